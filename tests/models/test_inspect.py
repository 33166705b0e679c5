"""Any model file is told for what it is, and nothing in it runs."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ModelFileError
from pipeline.models.inspect import inspect
from pipeline.models.quantisation import quality

Files = Any  # GgufFiles of conftest.py


def safetensors(folder: Path, tensors: dict[str, list[int]], config: object = None) -> Path:
    header = {name: {"dtype": "F16", "shape": shape, "data_offsets": [0, 0]} for name, shape in tensors.items()}
    raw = json.dumps({"__metadata__": {"format": "pt"}} | header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(64))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return path


def test_a_model_is_told_with_its_facts(files: Files) -> None:
    seen = inspect(files.write(change={"general.file_type": 15}))

    assert seen.usable
    assert seen.what == "a GGUF model, Q4_K_M (good)"
    assert seen.facts["architecture"] == "llama"
    assert seen.facts["trained context"] == "128 tokens"
    assert "nightdesk run" in seen.advice


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"general.type": "adapter"}, "a LoRA adapter"),
        ({"general.architecture": "clip"}, "the picture projector"),
        ({"general.type": "imatrix"}, "of type 'imatrix'"),
    ],
)
def test_other_gguf_files_are_told_by_kind(files: Files, change: dict[str, object], what: str) -> None:
    seen = inspect(files.write(change=change))

    assert what in seen.what
    assert not seen.usable
    assert seen.advice


def test_a_vocabulary_alone_is_told(files: Files) -> None:
    assert "vocabulary" in inspect(files.write(tensors=())).what


def test_a_file_cut_short_is_told_with_the_numbers(files: Files) -> None:
    seen = inspect(files.write(data=10))

    assert "its tensors need" in seen.what
    assert not seen.usable


@pytest.mark.parametrize(
    ("config", "tensors", "what"),
    [
        ({"model_type": "qwen3"}, {"w": [10, 20]}, "a safetensors model, not quantised"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, {"w": [1]}, "quantised (GPTQ, 4 bits)"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, {"w": [1]}, "quantised (AWQ, 4 bits)"),
        ({"quantization_config": {"quant_method": "fp8"}}, {"w": [1]}, "quantised (FP8)"),
        ({"quantization": {"group_size": 64, "bits": 4}}, {"w": [1]}, "quantised (MLX)"),
        (None, {"a.qweight": [1], "a.qzeros": [1]}, "quantised (GPTQ or AWQ)"),
        (None, {"base.q_proj.lora_A.weight": [1]}, "a LoRA adapter (safetensors)"),
    ],
)
def test_safetensors_are_told_by_the_config_beside_them(
    tmp_path: Path, config: object, tensors: dict[str, list[int]], what: str
) -> None:
    path = safetensors(tmp_path, tensors, config)

    assert what in inspect(path).what
    assert what in inspect(tmp_path).what
    assert not inspect(path).usable


def test_a_lora_in_safetensors_is_told_how_to_become_one_that_can_be_used(tmp_path: Path) -> None:
    advice = inspect(safetensors(tmp_path, {"base.q_proj.lora_A.weight": [1]})).advice

    assert "convert_lora_to_gguf.py" in advice
    assert "--lora" in advice


def test_parameters_of_safetensors_are_counted_from_the_header(tmp_path: Path) -> None:
    assert inspect(safetensors(tmp_path, {"a": [1000, 1000], "b": [500, 1000]})).facts["parameters"] == "2M"


def test_a_safetensors_header_that_is_not_json_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", 10) + b"{" + bytes(40))

    assert "damaged" in inspect(tmp_path / "x.safetensors").what


class _Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_a_pickle_is_told_and_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(_Bomb()))

    seen = inspect(tmp_path / name)

    assert "pickle" in seen.what
    assert "not opened" in seen.advice
    assert not (tmp_path / "exploded").exists()


def test_a_folder_of_pickles_is_told(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model-00001-of-00002.bin").write_bytes(b"PK\x03\x04")

    assert "pickles" in inspect(tmp_path).what


def test_a_folder_with_several_models_lists_them(files: Files) -> None:
    files.write("a.gguf")
    files.write("b.gguf")

    assert "a.gguf, b.gguf" in inspect(files.folder).advice


def test_anything_else_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Sir")
    (tmp_path / "empty").touch()

    assert inspect(tmp_path / "letter.txt").what == "is not a GGUF file"
    assert inspect(tmp_path / "empty").what == "is empty"
    with pytest.raises(ModelFileError, match="cannot be read"):
        inspect(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("F16", "full"), ("BF16", "full"), ("Q8_0", "excellent"), ("Q6_K", "excellent"), ("Q5_K_M", "great"),
        ("Q4_K_M", "good"), ("IQ4_XS", "good"), ("Q4_0", "fair"), ("Q3_K_M", "fair"), ("Q3_K_S", "weak"),
        ("IQ3_XXS", "weak"), ("Q2_K", "poor"), ("IQ2_M", "poor"), ("IQ1_S", "broken"), ("TQ1_0", "native"),
        ("Q2_0", "native"), ("MXFP4", "great"), ("Q9_X", "unknown"),
    ],
)  # fmt: skip
def test_every_quantisation_has_a_word(name: str, word: str) -> None:
    assert quality(name) == word

"""The self-test passes where sequences do not disturb each other, and fails where they do."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.batching import Logits
from pipeline.config import EngineSettings, Shape
from pipeline.engines import dry_run, self_test
from pipeline.engines.scripted import Scripted
from pipeline.models import locate
from pipeline.models.byte_tokenizer import ByteTokenizer
from pipeline.run.model import FileModel

PROMPT = list(b"The meeting was moved from Tuesday.")


class Disturbed(Scripted):
    """What one sequence answers depends on which one it is, after some steps."""

    steps = 0

    def logits(self, row: int) -> Logits:
        self.steps += 1
        found = super().logits(row).copy()
        if row == 3 and self.steps > 40:
            found[ord("x")] += 100
        return found


class Forgetful(Scripted):
    """Copies nothing, so that positions do not follow."""

    def copy(self, source: int, target: int) -> None:
        return


class Otherwise(Scripted):
    """What was copied answers with something else."""

    copied = False

    def copy(self, source: int, target: int) -> None:
        super().copy(source, target)
        self.copied = True

    def logits(self, row: int) -> Logits:
        found = super().logits(row).copy()
        if self.copied:
            found[ord("y")] += 100
        return found


@pytest.mark.parametrize(
    ("backend", "passed"), [(Scripted, True), (Disturbed, False), (Forgetful, False), (Otherwise, False)]
)
def test_disturbance_is_found(backend: type[Scripted], passed: bool) -> None:
    assert self_test.undisturbed(backend(ByteTokenizer().vocabulary), PROMPT) is passed


@pytest.mark.parametrize("name", ["mamba2", "granite-hybrid", "lfm2"])
def test_recurrent_and_hybrid_models_pass_with_this_llama_cpp(models: dict[str, Path], name: str) -> None:
    assert self_test._run((models[name], 1))


def test_a_file_that_cannot_be_loaded_fails(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")

    assert not self_test.passes(tmp_path / "x.gguf", 1)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """The self-test fails, and each time it is asked is counted."""
    asked: list[Path] = []
    monkeypatch.setattr(self_test, "passes", lambda path, threads: bool(asked.append(path)))
    monkeypatch.setattr(locate, "_cache_file", lambda: tmp_path / "cache" / "models.json")
    return asked


def test_a_model_that_fails_gets_one_slot_and_a_line_and_is_tested_once(
    models: dict[str, Path], counted: list[Path]
) -> None:
    for _ in range(2):
        engine, shape = FileModel(str(models["lfm2"])).start(EngineSettings(), prefix=50, longest=200, ranked=True)
        engine.close()
        assert shape.startswith("1 slot, ")
        assert "one is written at a time" in shape
        assert "hybrid model" in shape
    assert len(counted) == 1


def test_a_verdict_belongs_to_the_bytes_of_a_file_and_not_to_its_name(
    models: dict[str, Path], counted: list[Path], tmp_path: Path
) -> None:
    copy, other = tmp_path / "copy.gguf", tmp_path / "other.gguf"
    copy.write_bytes(models["lfm2"].read_bytes())
    other.write_bytes(models["lfm2"].read_bytes() + bytes(32))
    for path in (models["lfm2"], copy, other):
        FileModel(str(path))._allowed(EngineSettings(), 1)

    assert counted == [models["lfm2"], other]


def test_one_slot_asked_for_needs_no_test_and_dense_models_have_none(
    models: dict[str, Path], counted: list[Path]
) -> None:
    for name, settings in (("mamba2", EngineSettings(shape=Shape(slots=1))), ("llama", EngineSettings())):
        engine, shape = FileModel(str(models[name])).start(settings, prefix=50, longest=200, ranked=False)
        engine.close()
        assert "at a time" not in shape
    assert counted == []


def test_without_a_gpu_there_is_no_gpu_memory_and_devices_are_asked_rightly(monkeypatch: pytest.MonkeyPatch) -> None:
    if dry_run.llama_cpp.llama_supports_gpu_offload():
        pytest.skip("this build has a GPU")
    assert dry_run.free_vram() == 0

    monkeypatch.setattr(dry_run.llama_cpp, "llama_supports_gpu_offload", lambda: True)
    assert dry_run.free_vram() == 0
    monkeypatch.setattr(dry_run, "_GPU", 0)  # the CPU is a device too
    assert dry_run.free_vram() > 1 << 20

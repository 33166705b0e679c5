"""The header reader says what a file is, and never lets a damaged one through to llama.cpp."""

from __future__ import annotations

import os
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.engines.sizes import Sizes
from pipeline.errors import ModelFileError
from pipeline.models.gguf import check_model, read_header, tokenizer_hash
from pipeline.models.inspect import inspect
from pipeline.models.memory import estimate
from pipeline.models.shelf import shelf

Files = Any  # GgufFiles of conftest.py
SIZES = Sizes(1024, 4, 512, 8, 512, 1)


def test_a_header_tells_what_the_file_says(files: Files) -> None:
    header = check_model(files.write())

    assert (header.architecture, header.name, header.quantisation) == ("llama", "Tiny", "F32")
    assert (header.kind, header.version, header.byte_order) == ("model", 3, "little")
    assert (header.block_count, header.context_length, header.heads) == (2, 128, 4)
    assert (header.head_count_kv, header.key_length, header.value_length) == (2, 16, 16)
    assert (header.vocabulary_size, header.chat_template) == (3, "{{ messages }}")
    assert (header.parameters, header.tensors, header.tensor_bytes) == (384, 2, 1536)
    assert header.size == header.path.stat().st_size


def test_heads_may_differ_from_layer_to_layer(files: Files) -> None:
    header = read_header(files.write(change={"llama.attention.head_count_kv": [2, 0]}))

    assert header.head_count_kv == (2, 0)


def test_a_missing_file_type_is_told_from_the_tensors(files: Files) -> None:
    path = files.write(drop="general.file_type", tensors=[("w", (64, 3), 1)])

    assert read_header(path).quantisation == "F16"


@pytest.mark.parametrize("version", [2, 3])
def test_versions_2_and_3_are_read(files: Files, version: int) -> None:
    assert read_header(files.write(version=version)).version == version


@pytest.mark.parametrize("version", [0, 1, 4, 99])
def test_other_versions_are_refused_by_number(files: Files, version: int) -> None:
    with pytest.raises(ModelFileError, match=f"version {version};"):
        read_header(files.write(version=version))


def test_a_big_endian_file_is_read_and_refused_as_a_model_here(files: Files) -> None:
    path = files.write(order=">")

    assert read_header(path).byte_order == "big"
    with pytest.raises(ModelFileError, match="big-endian"):
        check_model(path)


def test_a_file_shorter_than_its_tensors_need_is_cut_short(files: Files) -> None:
    with pytest.raises(ModelFileError, match=r"cut short: it has .* and its tensors need"):
        read_header(files.write(data=100))


def test_every_truncation_of_a_file_is_refused(files: Files, tmp_path: Path) -> None:
    whole = files.whole()
    path = tmp_path / "cut.gguf"
    for length in range(len(whole) - 1, -1, -7):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            check_model(path)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({}, "vocabulary", "vocabulary only"),
        ({"general.type": "adapter"}, "adapter", "LoRA adapter"),
        ({"general.architecture": "clip"}, "mmproj", "mmproj"),
        ({"general.type": "mmproj"}, "mmproj", "mmproj"),
        ({"general.type": "imatrix"}, "other", "'imatrix', not a model"),
    ],
)
def test_gguf_files_that_are_no_models_are_refused_by_kind(
    files: Files, change: dict[str, object], kind: str, message: str
) -> None:
    path = files.write(change=change, tensors=() if kind == "vocabulary" else files.tensors)

    assert read_header(path).kind == kind
    with pytest.raises(ModelFileError, match=message):
        check_model(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (struct.pack("<Q", 40) + b'{"w":{"dtype":"F16"}}' + bytes(60), "safetensors"),
        (b"PK\x03\x04" + bytes(90), "pickle .* was not opened"),
        (pickle.dumps({"weights": [1, 2]}, protocol=2), "pickle .* was not opened"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS pointer"),
        (b"tjgg" + bytes(64), "older than GGUF"),
        (bytes(4096), "begins with zeros"),
        (b"Hello, this is a letter.", "not a GGUF file"),
    ],
)
def test_what_is_not_gguf_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)

    with pytest.raises(ModelFileError, match=message) as raised:
        read_header(path)
    assert raised.value.hint


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in [
        (tmp_path / "none.gguf", "No such file"),
        (tmp_path, "is not a file"),
        (tmp_path / "pipe", "is not a file"),
    ]:
        with pytest.raises(ModelFileError, match=message):
            read_header(path)


def test_a_split_model_counts_all_its_parts(files: Files) -> None:
    first = files.write("m-00001-of-00002.gguf", {"split.no": 0, "split.count": 2}, tensors=files.tensors[:1])
    second = files.write("m-00002-of-00002.gguf", {"split.no": 1, "split.count": 2}, tensors=files.tensors[1:])

    header = check_model(first)

    assert header.files == (first, second)
    assert header.parameters == 384
    assert header.size == first.stat().st_size + second.stat().st_size


@pytest.mark.parametrize("empty_first", [False, True])
def test_a_model_that_the_gguf_package_split_is_read_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_first: bool
) -> None:
    writer = gguf.GGUFWriter(
        tmp_path / "m.gguf", "llama", split_max_tensors=1, small_first_shard=empty_first, use_temp_file=False
    )
    writer.add_block_count(2)
    writer.add_file_type(0)
    writer.add_token_list(["a", "b"])
    for number in range(2):
        writer.add_tensor(f"blk.{number}.attn_q.weight", np.ones((32, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    count = 3 if empty_first else 2
    parts = [tmp_path / f"m-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]
    assert sorted(tmp_path.glob("*.gguf")) == parts

    header = check_model(parts[0])

    assert header.files == tuple(parts)
    assert (header.kind, header.tensors, header.parameters) == ("model", 2, 2 * 32 * 32)
    assert (header.block_count, header.vocabulary_size, header.quantisation) == (2, 2, "F32")
    assert header.layer_bytes == (4096, 4096)
    assert header.size == sum(part.stat().st_size for part in parts)
    assert "in 3 parts" in inspect(parts[0]).facts["size"] or not empty_first
    assert f"Name the first part: {parts[0]}" in inspect(parts[1]).advice
    monkeypatch.setenv("NIGHTDESK_MODELS", str(tmp_path))
    assert [found.path for found in shelf() if found.program == "NIGHTDESK_MODELS"] == parts[:1]


def test_a_split_model_without_one_of_its_parts_is_refused(files: Files) -> None:
    first = files.write("m-00001-of-00002.gguf", {"split.no": 0, "split.count": 2})
    with pytest.raises(ModelFileError, match=r"m-00002-of-00002.gguf is missing"):
        check_model(first)


def test_the_second_part_of_a_split_model_points_to_the_first(files: Files) -> None:
    files.write("m-00001-of-00002.gguf", {"split.count": 2})
    second = files.write("m-00002-of-00002.gguf", {"split.count": 2})
    with pytest.raises(ModelFileError, match="part 2 of 2") as raised:
        check_model(second)
    assert "m-00001-of-00002.gguf" in raised.value.hint


def test_a_vocabulary_of_sixty_thousand_tokens_is_stepped_over(files: Files) -> None:
    tokens = [f"token{number}" for number in range(60_000)]
    path = files.write(change={"tokenizer.ggml.tokens": tokens, "z.last": "here"})
    tracemalloc.start()
    header = read_header(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert header.vocabulary_size == 60_000
    assert header.metadata["z.last"] == "here"
    assert peak < 8 << 20


@pytest.mark.parametrize("place", range(4, 24))
def test_counts_beyond_the_file_are_refused_without_memory(files: Files, tmp_path: Path, place: int) -> None:
    raw = bytearray(files.whole())
    raw[place] = 0xFF
    path = tmp_path / "huge.gguf"
    path.write_bytes(raw)
    tracemalloc.start()
    with pytest.raises(ModelFileError):
        read_header(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


_file_fixture = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("shape", [(1 << 62, 0, 4), (0,), (64, 0), (1 << 63, 1)])
def test_a_tensor_whose_shape_llama_cpp_would_abort_on_is_refused(files: Files, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelFileError, match="a tensor of shape"):
        check_model(files.write(tensors=[("blk.0.w", shape, 0)], data=0))


@pytest.mark.parametrize("layers", [0, 513, (1 << 32) - 1])
def test_as_many_layers_as_llama_cpp_would_abort_on_are_refused(files: Files, layers: int) -> None:
    with pytest.raises(ModelFileError, match=f"has {layers:,} layers"):
        check_model(files.write(change={"llama.block_count": layers}))


@pytest.mark.parametrize("heads", [[2.0, float("nan")], [2, -1], [True, False]])
def test_heads_of_layers_are_whole_numbers(files: Files, heads: list[float]) -> None:
    with pytest.raises(ModelFileError, match="head_count_kv"):
        read_header(files.write(change={"llama.attention.head_count_kv": heads}))


@pytest.mark.parametrize("length", [0, 1, 8])
@pytest.mark.parametrize("shared", [0, 1, 3])
def test_lists_by_layer_are_reckoned_as_long_as_there_are_layers(files: Files, length: int, shared: int) -> None:
    def cache(heads: list[int], fed: list[int], slides: list[int]) -> int:
        lists = {"attention.head_count_kv": heads, "feed_forward_length": fed}
        lists |= {"attention.sliding_window_pattern": slides}
        numbers = {"block_count": 2, "embedding_length": 64, "attention.head_count": 4, "attention.key_length_swa": 8}
        numbers |= {"attention.shared_kv_layers": shared, "ssm.state_size": 4, "ssm.inner_size": 8}
        change = {f"nemotron_h.{key}": value for key, value in (lists | numbers).items()}
        path = files.write(change={"general.architecture": "nemotron_h", **change})
        return estimate(check_model(path), SIZES).cache

    lists = [[2, 0], [0, 9], [1, 0]]
    given = [[*each, 3, 3, 3, 3, 3, 3][:length] for each in lists]
    reckoned = [[*each[:length], 0, 0][:2] for each in lists]

    assert cache(*given) == cache(*reckoned)


def _only_model_file_errors(path: Path) -> None:
    try:
        header = check_model(path)
        tokenizer_hash(path)
        estimate(header, SIZES)
    except ModelFileError as error:
        assert str(path) in error.message  # noqa: PT017


@_file_fixture
@given(junk=st.binary(max_size=400), magic=st.booleans())
def test_random_bytes_raise_nothing_but_model_file_errors(tmp_path: Path, junk: bytes, magic: bool) -> None:
    path = tmp_path / "junk.gguf"
    path.write_bytes((b"GGUF\x03\0\0\0" if magic else b"") + junk)
    _only_model_file_errors(path)


@_file_fixture
@given(
    changes=st.lists(st.tuples(st.integers(0, 700), st.sampled_from([0, 1, 4, 8, 9, 127, 128, 255])), max_size=6),
    length=st.integers(0, 4000),
)
def test_mutated_headers_raise_nothing_but_model_file_errors(
    files: Files, tmp_path: Path, changes: list[tuple[int, int]], length: int
) -> None:
    raw = bytearray(files.whole())
    for place, value in changes:
        raw[place % len(raw)] = value
    path = tmp_path / "mutated.gguf"
    path.write_bytes(raw[:length] if length < len(raw) else raw)
    _only_model_file_errors(path)


def test_the_tokenizer_hash_follows_the_vocabulary_and_nothing_else(files: Files) -> None:
    base = tokenizer_hash(files.write())
    other_name = tokenizer_hash(files.write(change={"general.name": "Other"}))
    other_token = tokenizer_hash(files.write(change={"tokenizer.ggml.tokens": ["a", "c", "<|end|>"]}))

    assert base == other_name
    assert base != other_token


def test_real_vocabulary_files_are_told_apart_from_models(vocabulary_file: Path) -> None:
    assert read_header(vocabulary_file).kind == "vocabulary"
    with pytest.raises(ModelFileError, match="vocabulary only"):
        check_model(vocabulary_file)

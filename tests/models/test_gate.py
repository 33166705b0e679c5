"""What is allowed with an architecture, and that our lists of architectures are llama.cpp's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import pytest

from pipeline.errors import ModelFileError
from pipeline.models.gate import HYBRID, RECURRENT, gate
from pipeline.models.gguf import read_header

Files = Any  # GgufFiles of conftest.py


def test_the_lists_of_architectures_are_llama_cpps(tmp_path: Path, files: Files) -> None:
    @llama_cpp.llama_log_callback
    def silent(level: int, text: bytes, data: object) -> None:
        return

    llama_cpp.llama_log_set(silent, None)
    wanted = llama_cpp.llama_model_default_params()
    wanted.vocab_only = True
    recurrent, hybrid, known = set(), set(), set()
    for name in {*gguf.MODEL_ARCH_NAMES.values(), *HYBRID, *RECURRENT}:
        model = llama_cpp.llama_model_load_from_file(os.fsencode(vocabulary(tmp_path, files, name)), wanted)
        if model:
            known.add(name)
            if llama_cpp.llama_model_is_recurrent(model):
                recurrent.add(name)
            elif llama_cpp.llama_model_is_hybrid(model):
                hybrid.add(name)
            llama_cpp.llama_model_free(model)

    assert len(known) > 100
    assert recurrent == RECURRENT & known
    assert hybrid == HYBRID & known
    assert known >= RECURRENT | HYBRID


def vocabulary(folder: Path, files: Files, architecture: str) -> Path:
    files.write("v.gguf", {"general.architecture": architecture, "tokenizer.ggml.model": "none"}, tensors=())
    return folder / "v.gguf"


def test_a_plain_model_is_allowed_everything(files: Files) -> None:
    allowed = gate(read_header(files.write()))

    assert allowed.coupled
    assert not allowed.recurrent
    assert allowed.first_context is None
    assert allowed.note == ""


@pytest.mark.parametrize(("architecture", "memory"), [("mamba2", "recurrent"), ("lfm2", "hybrid")])
def test_models_with_recurrent_layers_are_trusted_less_and_rank_nothing(
    files: Files, architecture: str, memory: str
) -> None:
    allowed = gate(read_header(files.write(change={"general.architecture": architecture})))

    assert allowed.memory == memory
    assert allowed.recurrent
    assert not allowed.coupled
    assert "not ranked" in allowed.note


def test_longrope_has_a_first_context(files: Files) -> None:
    change = {"llama.rope.scaling.original_context_length": 4096}
    long = [*files.tensors, ("rope_factors_long.weight", (32,), 0)]

    assert gate(read_header(files.write(change=change, tensors=long))).first_context == 4096
    assert gate(read_header(files.write(change=change))).first_context is None


@pytest.mark.parametrize("architecture", ["bert", "t5", "llada", "modern-bert"])
def test_what_does_not_write_text_is_refused(files: Files, architecture: str) -> None:
    with pytest.raises(ModelFileError, match=architecture):
        gate(read_header(files.write(change={"general.architecture": architecture})))

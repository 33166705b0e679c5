"""The self-test passes where sequences do not disturb each other, and fails where they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.batching import Logits, Row
from pipeline.config import EngineSettings, Shape
from pipeline.engines import dry_run, self_test
from pipeline.engines.llama import Llama
from pipeline.engines.scripted import Scripted
from pipeline.engines.shape import Demand
from pipeline.engines.side_pool import RESERVED, WORKING, SidePool
from pipeline.engines.sizes import Sizes
from pipeline.engines.spec import EngineSpec
from pipeline.errors import ModelFileError
from pipeline.models import locate
from pipeline.models.byte_tokenizer import ByteTokenizer
from pipeline.models.gate import gate
from pipeline.models.gguf import read_header
from pipeline.run.model import FileModel

STEPS = 8
PROMPT = list(b"The meeting was moved from Tuesday.")


class Disturbed(Scripted):
    """What one sequence answers depends on which one it is."""

    def logits(self, row: int) -> Logits:
        found = super().logits(row).copy()
        if row == 3:
            found[ord("x")] += 100
        return found


class Forgetful(Scripted):
    """Copies nothing, so that positions do not follow."""

    def copy(self, source: int, target: int, end: int | None = None) -> None:
        return


class Otherwise(Scripted):
    """What was copied answers with something else."""

    copied = False

    def copy(self, source: int, target: int, end: int | None = None) -> None:
        super().copy(source, target, end)
        self.copied = True

    def drop(self, sequence: int, start: int = 0) -> None:
        super().drop(sequence, start)
        self.copied = False

    def logits(self, row: int) -> Logits:
        found = super().logits(row).copy()
        if self.copied:
            found[ord("y")] += 100
        return found


class Wandering(Scripted):
    """Rounds otherwise with each call: the best token changes where two are nearly equal."""

    calls = 0

    def decode(self, rows: Sequence[Row]) -> None:
        super().decode(rows)
        self.calls += 1

    def logits(self, row: int) -> Logits:
        found = super().logits(row).copy()
        two = np.argsort(found)[-2:]
        found[two] = found[two[1]]
        found[two[(row + self.calls) % 2]] += 0.2
        return found


@pytest.mark.parametrize(
    ("backend", "strict", "verdict"),
    [
        (Scripted, True, "passed"),
        (Scripted, False, "passed"),
        (Disturbed, True, "alone"),
        (Disturbed, False, "alone"),
        (Forgetful, False, "unshared"),
        (Otherwise, True, "unshared"),
        (Otherwise, False, "unshared"),
        (Wandering, True, "alone"),
        (Wandering, False, "passed"),
    ],
)
def test_disturbance_is_found_and_rounding_is_not(backend: type[Scripted], strict: bool, verdict: str) -> None:
    found = self_test.verdict(backend(ByteTokenizer().vocabulary), PROMPT, STEPS, strict=strict)

    assert found == verdict


def asked(path: Path, *, prefill_cells: int = 0, comparison_cells: int = 0, **changes: bool) -> self_test.SelfTest:
    sizes = Sizes(4096, 9, 512, 9, 512, 1, prefill_cells=prefill_cells, comparison_cells=comparison_cells)
    return self_test.SelfTest(path, sizes, **({"strict": False, "large": False} | changes))


def test_every_family_passes_with_this_llama_cpp(models: dict[str, Path], family: str) -> None:
    strict = gate(read_header(models[family])).recurrent

    assert self_test.run(asked(models[family], strict=strict)) == "passed"
    assert self_test.run(asked(models[family], strict=strict, large=True)) == "passed"


def test_a_pool_for_prompts_is_tested_where_there_is_one(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert self_test.run(asked(models["llama"], prefill_cells=2048)) == "passed"

    monkeypatch.setattr(Llama, "restore", lambda self, sequence, state: llama_decode(self, [Row(7, 0, (sequence,))]))
    assert self_test.run(asked(models["llama"], prefill_cells=2048)) == "unshared"


def test_a_pool_for_comparisons_is_tested_where_there_is_one(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = {"prefill_cells": 2048, "comparison_cells": 2048}
    assert self_test.run(asked(models["llama"], **pools)) == "passed"

    def other_words(self: SidePool, sequence: int) -> None:
        """In the pool of comparisons, which has forks: as many cells, of another text."""
        take(self, sequence)
        if self.small.max_sequences > RESERVED:
            length = self.small.length(WORKING)
            self.small.drop(WORKING)
            self.small.decode([Row(40 + at % 7, at, (WORKING,)) for at in range(length)])

    take = SidePool.take
    monkeypatch.setattr(SidePool, "take", other_words)
    assert self_test.run(asked(models["llama"], **pools)) == "unshared"
    assert self_test.run(asked(models["llama"], prefill_cells=2048)) == "passed"


def mixed_up(self: Llama, rows: Sequence[Row]) -> None:
    """As in llama.cpp's issue 29002: sequence 4 reads what sequence 2 is given."""
    theirs = [row.token for row in rows if row.sequences == (2,)]
    own = iter(theirs[::-1])
    llama_decode(self, [replace(row, token=next(own)) if row.sequences == (4,) and theirs else row for row in rows])


def copied_from_nowhere(self: Llama, source: int, target: int, end: int | None = None) -> None:
    """A seq_cp that gives as many cells, of another text."""
    for position in range(PREFIX):
        llama_decode(self, [Row(40 + position % 7, position, (target,))])


llama_decode = Llama.decode
PREFIX = self_test.SelfTest(Path(), Sizes(1, 1, 1, 1, 1, 1), strict=False, large=True).prompt // 2


@pytest.mark.parametrize("name", ["llama", "mixtral", "gemma3", "mamba2", "lfm2"])
def test_sequences_that_are_mixed_up_are_found_in_models(
    models: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Llama, "decode", mixed_up)

    assert self_test.run(asked(models[name], strict=gate(read_header(models[name])).recurrent)) == "alone"


@pytest.mark.parametrize("name", ["llama", "mixtral", "qwen3"])  # whose answers hang on far tokens, random as they are
def test_a_copy_of_something_else_is_found_in_models(
    models: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Llama, "copy", copied_from_nowhere)

    assert self_test.run(asked(models[name], large=True)) == "unshared"


def test_a_file_that_cannot_be_loaded_is_an_error_and_a_child_that_dies_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelFileError):
        self_test.ask(asked(tmp_path / "x.gguf"), {})

    monkeypatch.setattr(self_test, "SECONDS", 0.0)
    assert self_test.ask(asked(tmp_path / "x.gguf"), {}) is None


class Asked:
    """The self-test with a verdict that is given, and what it was asked."""

    def __init__(self) -> None:
        self.verdict: self_test.Verdict | None = "passed"
        self.tests: list[self_test.SelfTest] = []

    def __call__(self, test: self_test.SelfTest, environment: dict[str, str]) -> self_test.Verdict | None:
        self.tests.append(test)
        return self.verdict


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    """A self-test that only counts, and nothing remembered."""
    counts = Asked()
    monkeypatch.setattr(self_test, "ask", counts)
    monkeypatch.setattr("pipeline.run.model.ChildEngine", lambda spec: spec)
    monkeypatch.setattr(locate, "_cache_file", lambda: tmp_path / "cache" / "models.json")
    return counts


def started(path: Path, settings: EngineSettings, *, longest: int = 200) -> tuple[EngineSpec, str]:
    """What would run, and what is said of it."""
    spec, shape = FileModel(str(path)).start(settings, Demand(50, longest, 50 + longest, ranked=True))
    assert isinstance(spec, EngineSpec)
    return spec, shape


@pytest.mark.parametrize("name", ["llama", "lfm2"])
def test_a_model_that_passes_is_tested_once_and_nothing_is_said(
    models: dict[str, Path], counted: Asked, name: str
) -> None:
    for _ in range(2):
        _spec, shape = started(models[name], EngineSettings())
        assert shape.startswith("16 slots, ")
        assert "self-test" not in shape
    assert len(counted.tests) == 1
    assert counted.tests[0].strict is (name == "lfm2")


@pytest.mark.parametrize("name", ["llama", "lfm2"])
def test_a_model_whose_answers_disturb_each_other_gets_one_slot_and_a_line(
    models: dict[str, Path], counted: Asked, name: str
) -> None:
    counted.verdict = "alone"
    for _ in range(2):
        spec, shape = started(models[name], EngineSettings())
        assert shape.startswith("1 slot, ")
        assert "one is written at a time" in shape
        assert spec.engine == "batched"
    assert len(counted.tests) == (1 if name == "lfm2" else 2)  # with a pool for prompts and without
    assert "self-test" not in started(models[name], EngineSettings(shape=Shape(slots=1)))[1]


@pytest.mark.parametrize("verdict", ["unshared", None])
def test_a_model_that_cannot_share_runs_as_the_slow_twin_and_compares_nothing(
    models: dict[str, Path], counted: Asked, verdict: self_test.Verdict | None
) -> None:
    counted.verdict = verdict
    for _ in range(2):
        spec, shape = started(models["llama"], EngineSettings())
        assert shape.startswith("one at a time, ")
        assert "nothing is (slow)" in shape
        assert (spec.engine, spec.shape.forks) == ("naive", 0)
    assert len(counted.tests) == (2 if verdict else 4)  # with a pool for prompts and without; what died is tried again


def test_a_model_whose_prompts_cannot_be_copied_reads_them_in_the_pool_of_all(
    models: dict[str, Path], counted: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(test: self_test.SelfTest, environment: dict[str, str]) -> self_test.Verdict | None:
        counted.verdict = "unshared" if test.sizes.prefill_cells else "passed"
        return counted(test, environment)

    monkeypatch.setattr(self_test, "ask", ask)
    for _ in range(2):
        spec, shape = started(models["llama"], EngineSettings())
        assert shape.startswith("16 slots, ")
        assert "read in a pool of their own, so they are not" in shape
        assert (spec.engine, spec.sizes.prefill_cells, spec.sizes.flash_attention) == ("batched", 0, True)
    assert len(counted.tests) == 2


def test_a_verdict_belongs_to_the_bytes_of_a_file_and_to_how_it_is_run(
    models: dict[str, Path], counted: Asked, tmp_path: Path
) -> None:
    copy, other = tmp_path / "copy.gguf", tmp_path / "other.gguf"
    copy.write_bytes(models["lfm2"].read_bytes())
    other.write_bytes(models["lfm2"].read_bytes() + bytes(32))
    for path in (models["lfm2"], copy, other):
        started(path, EngineSettings())
    assert [test.path for test in counted.tests] == [models["lfm2"], other]

    started(other, EngineSettings(shape=Shape(flash_attention=False)))
    started(other, EngineSettings(engine="naive"))
    assert [test.sizes.flash_attention for test in counted.tests] == [True, True, False]


def test_longrope_is_said_where_a_prompt_is_above_the_first_context(models: dict[str, Path], counted: Asked) -> None:
    short, said = started(models["phi3"], EngineSettings(), longest=300)
    assert short.shape.sizes.short_rope
    assert short.shape.sizes.cells > 1024
    assert "LongRoPE" not in said

    long, said = started(models["phi3"], EngineSettings(), longest=1500)
    assert not long.shape.sizes.short_rope
    assert "LongRoPE's long factors for all" in said


def test_without_a_gpu_there_is_no_gpu_memory_and_devices_are_asked_rightly(monkeypatch: pytest.MonkeyPatch) -> None:
    if dry_run.llama_cpp.llama_supports_gpu_offload():
        pytest.skip("this build has a GPU")
    assert dry_run.free_vram() == 0

    monkeypatch.setattr(dry_run.llama_cpp, "llama_supports_gpu_offload", lambda: True)
    assert dry_run.free_vram() == 0
    monkeypatch.setattr(dry_run, "_GPU", 0)  # the CPU is a device too
    assert dry_run.free_vram() > 1 << 20

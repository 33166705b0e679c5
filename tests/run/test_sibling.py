"""A requantised sibling: beside, never over, the original; used only where it is named."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from pipeline.data import Completion, Prompt, Stop
from pipeline.engines.requantize import requantize
from pipeline.engines.spec import EngineSpec
from pipeline.errors import ModelError, UserError
from pipeline.evaluation import load_gold
from pipeline.models.gguf import check_model
from pipeline.models.locate import find_model, sha256_of
from pipeline.prompting import load_task
from pipeline.run import sibling
from pipeline.run.model import SCRIPTED

SCRIPT = Path(SCRIPTED)


class Told:
    """An engine that notes what it is asked. The second one that is built may refuse to answer about a document."""

    notes: list[str]
    built: int
    refused: str

    def __init__(self, engine: Any, number: int) -> None:
        self._engine, self._number = engine, number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run(self, prompts: list[Prompt]) -> Iterator[Completion]:
        Told.notes.append(f"asked {len(prompts)} of engine {self._number}")
        for answer in self._engine.run(prompts):
            refused = (self._number, answer.work_key) == (2, Told.refused)
            yield replace(answer, stop=Stop.GRAMMAR) if refused else answer


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the engines were asked, in order."""
    Told.notes, Told.built, Told.refused = [], 0, ""
    build = EngineSpec.build

    def wrapped(spec: EngineSpec) -> Told:
        Told.built += 1
        return Told(build(spec), Told.built)

    monkeypatch.setattr(EngineSpec, "build", wrapped)
    return Told.notes


def test_a_model_and_itself_answer_alike_and_are_asked_about_every_receipt() -> None:
    ticks = iter([0.0, 10.0, 0.0, 20.0])
    labels, task = load_gold(sibling.samples()), load_task(sibling.TASK)

    done = sibling.compare(SCRIPT, SCRIPT, clock=lambda: next(ticks))

    assert (done.changed, done.asked) == (0, len(labels) * len(task.schema.root.fields))
    assert (done.before.right, done.before.values) == (done.after.right, done.after.values)
    assert done.before.values == sum(value is not None for label in labels for value in label.fields.values())
    assert done.before.speed == 2 * done.after.speed == len(labels) * 360


def test_values_that_only_one_of_the_two_found_are_changed_ones(told: list[str]) -> None:
    Told.refused = load_gold(sibling.samples())[0].id

    done = sibling.compare(SCRIPT, SCRIPT)

    assert 0 < done.changed <= len(load_task(sibling.TASK).schema.root.fields)


def test_the_clock_runs_when_the_weights_are_there(told: list[str]) -> None:
    def clock() -> float:
        told.append("clock")
        return 0.0

    sibling.compare(SCRIPT, SCRIPT, clock=clock)

    number = len(load_gold(sibling.samples()))
    assert told == [
        note
        for engine in (1, 2)
        for note in (f"asked 1 of engine {engine}", "clock", f"asked {number} of engine {engine}", "clock")
    ]


def test_the_labelled_samples_are_there() -> None:
    labels = sibling.samples()

    assert all((labels.parent / label.file).exists() for label in load_gold(labels))


def test_what_is_no_model_leaves_nothing_behind(tmp_path: Path) -> None:
    source = tmp_path / "broken.gguf"
    source.write_bytes(b"GGUF and no more")

    with pytest.raises(ModelError):
        requantize(source, tmp_path / "new" / "out.gguf", "Q8_0")
    assert [*(tmp_path / "new").iterdir()] == []


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out.gguf").write_text("mine")

    with pytest.raises(UserError):
        requantize(tmp_path / "in.gguf", tmp_path / "out.gguf", "Q8_0")
    assert (tmp_path / "out.gguf").read_text() == "mine"


@pytest.mark.model
def test_the_sibling_is_a_whole_model_in_the_cache_and_the_original_is_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    original = find_model("demo")
    before = sha256_of(original)

    written = sibling.write(check_model(original))

    assert written.is_relative_to(tmp_path)
    assert check_model(written).quantisation == "Q8_0"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert sibling.write(check_model(original)) == written
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / "fresh" / name))
    assert sha256_of(original) == before

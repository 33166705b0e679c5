"""A kept beginning changes no answer, is nobody else's, and one that is damaged is computed again."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest

from pipeline.data import Completion, ConstraintSpec, Prompt, Segment
from pipeline.engines import prefix_cache
from pipeline.engines.shape import Resolved
from pipeline.engines.sizes import Sizes
from pipeline.engines.spec import EngineSpec

SCHEMA = '{"type": "object", "properties": {"a": {"type": "string", "maxLength": 12}, "b": {"type": "boolean"}}}'
SPEC = EngineSpec(None, "batched", "llguidance", Resolved(3, 0, 0, Sizes(2048, 16, 256, 64, 256, threads=1)))
PREFIX = Segment.of(list(b"what is asked of every document "), shared=True, lasting=True)


def prompt(number: int, prefix: Segment = PREFIX) -> Prompt:
    return Prompt(f"key-{number}", (prefix, Segment.of(list(b"text %d" % number))), ConstraintSpec(SCHEMA), 60)


def answers(spec: EngineSpec, prefix: Segment = PREFIX) -> dict[str, Completion]:
    return {done.work_key: done for done in spec.build().run([prompt(i, prefix) for i in range(6)])}


def tokens(of: dict[str, Completion]) -> dict[str, tuple[int, ...]]:
    return {key: done.tokens for key, done in of.items()}


def prefilled(of: dict[str, Completion]) -> int:
    return sum(done.counts.prefilled for done in of.values())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    return tmp_path / "nightdesk" / "prefixes"


KEPT = dataclasses.replace(SPEC, prefix_cache="this model")


def test_answers_are_the_same_with_a_beginning_that_was_kept_and_as_the_slow_twins(folder: Path) -> None:
    without = answers(SPEC)
    first, second = answers(KEPT), answers(KEPT)
    twin = answers(dataclasses.replace(SPEC, engine="naive"))

    assert tokens(first) == tokens(second) == tokens(without) == tokens(twin)
    assert prefilled(first) == prefilled(without)
    assert prefilled(second) == prefilled(without) - len(PREFIX.tokens)


def test_only_its_owner_can_read_it(folder: Path) -> None:
    answers(KEPT)

    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_another_model_and_other_words_have_their_own(folder: Path) -> None:
    answers(KEPT)
    other = Segment.of(list(b"what is asked of other documents"), shared=True, lasting=True)

    assert prefilled(answers(dataclasses.replace(KEPT, prefix_cache="that model"))) == prefilled(answers(SPEC))
    assert tokens(answers(KEPT, other)) == tokens(answers(SPEC, other))
    assert len([*folder.glob("*.state")]) == 3


def test_a_documents_text_is_never_kept(folder: Path) -> None:
    document = Segment.of(list(b"a private letter "), shared=True)
    answers(KEPT, document)

    assert not folder.exists()


@pytest.mark.parametrize(
    "harm",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-8]),
        lambda file: file.write_bytes(b""),
        lambda file: file.with_suffix(".sha256").unlink(),
        lambda file: file.with_suffix(".sha256").write_bytes(b"\xff"),
    ],
)
def test_one_that_is_damaged_is_computed_again(folder: Path, harm: Callable[[Path], object]) -> None:
    answers(KEPT)
    harm(next(folder.glob("*.state")))

    again = answers(KEPT)

    assert tokens(again) == tokens(answers(SPEC))
    assert prefilled(again) == prefilled(answers(SPEC))
    assert prefilled(answers(KEPT)) < prefilled(again)


def test_the_oldest_go_and_all_of_them_can_be_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_cache, "KEEP", 2)
    for model in "abcd":
        answers(dataclasses.replace(SPEC, prefix_cache=model))

    assert prefix_cache.clear() == 2
    assert [*folder.iterdir()] == []


def test_where_nothing_can_be_written_the_answers_come_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "nightdesk").write_text("a file in the way")

    assert tokens(answers(KEPT)) == tokens(answers(SPEC))
    assert prefix_cache.clear() == 0

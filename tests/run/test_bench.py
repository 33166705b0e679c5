"""The short benchmark with the scripted model: both engines, the same documents, a bounded time."""

from __future__ import annotations

import itertools
import json

import pytest

from pipeline.cli import call
from pipeline.run.bench import Busy, Pace, bench
from pipeline.run.model import SCRIPTED
from pipeline.run.sibling import samples


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NIGHTDESK_MODEL", raising=False)


@pytest.fixture(autouse=True)
def four_receipts(tmp_path_factory, monkeypatch):
    """The first of those that ship: the slow twin is slow."""
    shipped = samples()
    labels = [json.loads(line) for line in shipped.read_text("utf-8").splitlines()]
    texts = [label for label in labels if label["file"].endswith(".txt")][:4]
    for label in texts:
        label["file"] = str(shipped.parent / label["file"])
    file = tmp_path_factory.mktemp("gold") / "receipts.jsonl"
    file.write_text("".join(f"{json.dumps(label)}\n" for label in texts), "utf-8")
    monkeypatch.setattr("pipeline.run.sibling.samples", lambda: file)


def test_both_engines_do_the_same_documents_and_only_ours_reuses_and_shares_calls():
    ours, twin = bench(SCRIPTED, seconds=1000, busy=lambda: 0.0)

    assert isinstance(ours, Pace)
    assert isinstance(twin, Pace)
    assert (ours.engine, twin.engine) == ("batched", "naive")
    assert ours.documents == twin.documents == 3
    assert twin.counts.reused == 0 < ours.counts.reused
    assert ours.counts.reused + ours.counts.prefilled == twin.counts.prefilled
    assert ours.counts.forced + ours.counts.sampled == twin.counts.forced + twin.counts.sampled
    assert ours.calls < twin.calls


def test_a_busy_machine_is_said_first_and_what_was_begun_when_the_time_ends_is_finished():
    ticks = itertools.count(0, 0.6)
    busy, ours, twin = bench(SCRIPTED, seconds=1.0, busy=lambda: 0.5, clock=lambda: next(ticks))

    assert busy == Busy(0.5)
    assert twin.documents == 1 <= ours.documents


def test_the_command_shows_both_and_keeps_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("psutil.cpu_percent", lambda interval: 50.0)

    assert call(["bench", "--model", "scripted", "--seconds", "1"]) == 0

    said = capsys.readouterr().out
    assert "the machine is busy, others use 50%" in said
    assert "nightdesk " in said
    assert "its slow twin" in said
    assert "documents/hour" in said
    assert not [*tmp_path.iterdir()]

"""What cannot be read is named each, tried twice, and then left alone until `retry`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli import call
from pipeline.run import intake


@pytest.fixture
def here(desk, monkeypatch):
    monkeypatch.chdir(desk.path)
    desk.letters(1)
    return desk


def run(*args: str) -> int:
    return call(["run", "tone", "docs", "--db", "night.db", "--model", "scripted", "--quiet", *args])


def test_a_file_that_cannot_be_opened_fails_twice_and_then_only_after_retry(here, monkeypatch):
    here.write("docs/closed.txt", "nobody may read this")
    hashed = intake._hash

    def refused(path: Path) -> str:
        if path.name == "closed.txt":
            raise PermissionError(13, "Permission denied")
        return hashed(path)

    monkeypatch.setattr(intake, "_hash", refused)
    assert [run() for _ in range(4)] == [3, 3, 0, 0]
    assert here.sql("SELECT error, tries FROM _failures") == [("unreadable", 2)]
    assert here.sql("SELECT gone FROM _files ORDER BY path") == [(0,), (0,)]

    assert call(["retry", "--db", "night.db"]) == 0
    assert [run() for _ in range(3)] == [3, 3, 0]

    monkeypatch.setattr(intake, "_hash", hashed)
    assert run() == 0  # it can be opened again: that is seen by opening it, which costs nothing
    assert here.sql("SELECT count(*) FROM _failures") == [(0,)]
    assert here.sql("SELECT count(*) FROM tone") == [(2,)]


def test_the_same_unreadable_bytes_under_two_names_are_named_twice(here, capsys):
    for name in ("a.pdf", "b.pdf"):
        here.write(f"docs/{name}", b"%PDF-1.4 nothing more")
    assert [run(), run(), run()] == [3, 3, 0]
    here.write("docs/later.pdf", b"%PDF-1.4 nothing more")
    assert run() == 0  # known to fail: it is not read again, but named
    capsys.readouterr()

    assert call(["failures", "--db", "night.db"]) == 0
    said = capsys.readouterr().out
    assert call(["failures", "--db", "night.db", "--json"]) == 0
    (failure,) = json.loads(capsys.readouterr().out)

    names = {Path(name).name for name in (failure["subject"], *failure["same_bytes"])}
    assert names == {"a.pdf", "b.pdf", "later.pdf"}
    assert all(name in said for name in names)

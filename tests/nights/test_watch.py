"""Files are read when they have settled, once, and a signal ends the watching in order."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.watch import Arrivals

A, B = Path("a"), Path("b")


def test_a_file_is_given_when_it_has_not_changed_for_a_while():
    arrivals = Arrivals(10)

    assert arrivals.look({A: (1, 1)}, 0) == []
    assert arrivals.look({A: (2, 1), B: (5, 5)}, 9) == []  # it grows
    assert arrivals.look({A: (2, 2), B: (5, 5)}, 18) == []  # it is written again, at the same length
    assert arrivals.look({A: (2, 2), B: (5, 5)}, 19) == [B]
    assert arrivals.look({A: (2, 2), B: (5, 5)}, 28) == [A, B]


def test_files_wait_until_they_were_done_as_they_are():
    arrivals = Arrivals(10)
    assert not arrivals.waiting
    arrivals.look({A: (1, 1)}, 0)
    assert arrivals.waiting
    arrivals.given([A])
    assert not arrivals.waiting
    arrivals.look({A: (2, 2)}, 1)
    assert arrivals.waiting
    arrivals.look({}, 2)
    assert not arrivals.waiting


def test_what_was_done_is_given_again_only_when_it_has_changed():
    arrivals = Arrivals(0)
    assert arrivals.look({A: (1, 1)}, 0) == [A]
    arrivals.given([A])

    assert arrivals.look({A: (1, 1)}, 5) == []
    assert arrivals.look({A: (1, 2)}, 6) == [A]
    arrivals.given([A])
    assert arrivals.look({}, 7) == []
    assert arrivals.look({A: (1, 2)}, 8) == [A]  # it came back


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=30))
def test_a_file_that_is_given_was_seen_in_this_state_for_the_whole_time(looks):
    arrivals, now, seen = Arrivals(5), 0, []
    for size, passed in looks:
        now += passed
        seen.append((now, size))
        if arrivals.look({A: (size, 0)}, now):
            since = [time for time, s in seen if all(later == size for t, later in seen if t >= time)]
            assert now - min(since) >= 5


@pytest.fixture
def desk(desk, monkeypatch):
    """Its database lies in the folder that is watched."""
    monkeypatch.setattr(desk, "sql", lambda query: sql(desk.path / "docs/night.db", query))
    return desk


def sql(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


def rows(desk) -> int:
    try:
        return desk.sql("SELECT count(*) FROM tone")[0][0]
    except sqlite3.OperationalError:
        return -1  # not there yet


def until(desk, wanted: int, process) -> None:
    deadline = time.monotonic() + 120
    while rows(desk) < wanted and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    assert rows(desk) == wanted, process.communicate()[1] if process.poll() is not None else "too late"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_files_are_read_as_they_arrive_and_a_signal_ends_it(desk, number, code):
    desk.letters(1)
    process = desk.start("watch", "tone", "docs", "--db", "docs/night.db", "--model", "scripted", "--settle", "1", "-q")
    try:
        until(desk, 1, process)
        desk.write("docs/new.txt", "It came later.")
        until(desk, 2, process)
        time.sleep(5)
        assert desk.sql("SELECT count(*) FROM _runs") == [(2,)]  # the database that a run writes is no arrival
    finally:
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert desk.sql("SELECT DISTINCT state FROM _runs") == [("done",)]
    assert not list(desk.path.rglob("*.lock"))


JOB = """
database = "docs/night.db"
model = "scripted"
[[tasks]]
task = "tone"
inputs = ["docs"]
[night]
"""


@pytest.mark.parametrize(("letters", "code"), [(0, 0), (1, 75)])
def test_the_watch_ends_with_its_night_also_while_it_is_idle(desk, letters, code):
    desk.letters(letters)
    desk.write("night.toml", JOB + 'max_duration = "2s"')
    process = desk.start("watch", "night.toml", "--settle", "600")
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()

    assert process.returncode == code, err
    assert b"The night has ended: its time is over." in err


def test_the_documents_of_a_night_are_those_of_all_its_runs(desk):
    desk.letters(1)
    desk.write("night.toml", JOB + "max_documents = 2")
    process = desk.start("watch", "night.toml", "--settle", "0")
    try:
        until(desk, 1, process)
        desk.write("new/1.txt", "It came later.")
        desk.write("new/2.txt", "It came with it.")
        (desk.path / "new").rename(desk.path / "docs/new")
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()

    assert process.returncode == 75, err
    assert b"The night has ended: 2 documents are enough for it." in err
    assert rows(desk) == 2


def test_a_document_that_had_its_share_does_not_end_the_night(desk):
    desk.write("docs/book.txt", "\n\n".join(f"Chapter {i}. {'It rained. ' * 15}" for i in range(12)))
    desk.write("night.toml", JOB + "document_tokens = 1000")
    process = desk.start("watch", "night.toml", "--settle", "0", "-q")
    try:
        until(desk, 0, process)
        while not desk.sql("SELECT 1 FROM _runs WHERE state = 'stopped'") and process.poll() is None:
            time.sleep(0.1)
        desk.write("docs/new.txt", "It came later.")
        until(desk, 1, process)
    finally:
        process.terminate()
        process.communicate(timeout=60)

    assert process.returncode == 75


def test_the_priority_is_lowered_once_however_many_files_arrive(desk):
    desk.letters(1)
    desk.write("night.toml", JOB + "nice = 3")
    process = desk.start("watch", "night.toml", "--settle", "0", "-q")
    try:
        until(desk, 1, process)
        desk.write("docs/new.txt", "It came later.")
        until(desk, 2, process)
        assert psutil.Process(process.pid).nice() == os.nice(0) + 3
    finally:
        process.terminate()
        process.communicate(timeout=60)

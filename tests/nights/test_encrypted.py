"""A run into an encrypted database that is killed: no file, no argument and no environment has shown text or key."""

from __future__ import annotations

import signal
import time
from contextlib import closing, suppress

import psutil
import pytest

sqlcipher = pytest.importorskip("sqlcipher3.dbapi2", reason="needs the extra `encrypted`")

KEY = "XQZKEYXQZ with 'quotes'"
MARK = "XQZMARKERQZX"


def check(desk):
    for file in desk.path.rglob("*"):
        if file.is_file() and file.name != "night.key":
            assert KEY.encode() not in file.read_bytes(), file
            if file.name.startswith("night.db"):
                assert MARK.encode() not in file.read_bytes(), file
                assert b"SQLite format 3" not in file.read_bytes(), file


def test_the_key_is_in_no_argument_or_environment_of_a_child_and_a_killed_run_goes_on(desk):
    desk.write("night.key", KEY)
    desk.write("docs/secret.txt", f"{MARK} is what they call him. " * 20)
    for i in range(12):
        desk.write(f"docs/more-{i}.txt", f"{MARK} number {i}. " * 30)
    args = ("run", "tone", "docs", "--db", "night.db", "--model", "scripted", "--slots", "1", "--key-from", "night.key")
    process = desk.start(*args)
    ours, seen, deadline = psutil.Process(process.pid), set(), time.monotonic() + 200
    while len(seen) < 2 and process.poll() is None and time.monotonic() < deadline:
        for child in ours.children(recursive=True):
            with suppress(psutil.Error):  # it has ended
                assert KEY not in f"{child.cmdline()} {child.environ()} {ours.environ()}"
                seen.add(child.pid)
    process.send_signal(signal.SIGKILL)
    said = b"".join(process.communicate())

    assert seen
    assert KEY.encode() not in said
    check(desk)
    code, _, err = desk.run("--key-from", "night.key")
    assert code == 0, err
    with closing(sqlcipher.connect(desk.path / "night.db")) as db:
        db.execute("PRAGMA key = '" + KEY.replace("'", "''") + "'")
        assert db.execute("SELECT count(*) FROM tone").fetchall() == [(13,)]
    check(desk)

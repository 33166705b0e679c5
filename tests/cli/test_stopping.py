"""Signals, locks and closed pipes, each with a real process."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import termios
from contextlib import suppress

import pytest

from pipeline.cli.progress import Progress
from pipeline.run.events import FileRead

MANY = 200


def test_ctrl_c_ends_with_130_and_the_next_run_goes_on(place):
    place.documents(MANY)
    process = place.start_run("--slots", "1")
    place.wait_for_answers(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    kept = place.sql("SELECT count(*) FROM tone")[0][0]

    assert process.returncode == 130, err
    assert "Ctrl-C again stops at once" in err
    assert "Run the same command again to go on." in out
    assert 0 < kept < MANY

    result = place.run()

    assert result.code == 0
    assert f"{MANY - kept} done" in result.out
    assert place.sql("SELECT count(*) FROM tone") == [(MANY,)]


def test_sigterm_finishes_what_was_begun_and_ends_with_75(place):
    place.documents(MANY)
    process = place.start_run("--slots", "1")
    place.wait_for_answers(process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 75, err
    assert "Left to do: " in out
    assert 0 < place.sql("SELECT count(*) FROM tone")[0][0] < MANY


def test_a_second_signal_ends_it_at_once_and_what_was_finished_is_kept(place):
    place.documents(MANY)
    process = place.start_run("--slots", "1")
    place.wait_for_answers(process)
    process.send_signal(signal.SIGTERM)
    while "stops at once" not in (line := process.stderr.readline()):
        assert line, "it said nothing"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    kept = place.sql("SELECT work, saved FROM _extractions")

    assert process.returncode in (-signal.SIGTERM, 75)  # 75: it was done before the second
    assert kept
    assert place.sql("PRAGMA integrity_check") == [("ok",)]
    assert place.run().code == 0
    assert {*kept} <= {*place.sql("SELECT work, saved FROM _extractions")}
    assert place.sql("SELECT count(*) FROM tone") == [(MANY,)]


def test_a_second_run_on_the_same_database_is_refused_and_names_the_first(place):
    place.documents(MANY)
    first = place.start_run("--slots", "1")
    try:
        place.wait_for_answers(first)
        second = place.run()
    finally:
        first.kill()
        first.communicate()

    assert second.code == 5
    assert f"process {first.pid} on {socket.gethostname()}" in second.err


def test_a_reader_that_stops_reading_is_no_error(ran):
    process = ran.start("export", "tone", "--db", "night.db")
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()

    assert process.wait(timeout=60) == 0
    assert err == ""


def test_a_schema_that_reaches_for_the_network_is_refused(place):
    """The guard is on before a file of the user's is run."""
    place.documents(1)
    place.write("prompts/spy.toml", 'instructions = "x"\nschema = "spy"\n')
    place.write("schemas/spy.py", "import socket\nsocket.socket()\n")

    process = place.start("check", "spy", "--model", "scripted")
    _, err = process.communicate(timeout=60)

    assert process.returncode in (1, 2)
    assert "network" in err


def test_the_command_is_installed_and_answers_quickly_without_heavy_imports():
    code = "import sys; from pipeline.cli import call; call(['--version']); print([*sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    for heavy in ("llama_cpp", "numpy", "pypdf", "outlines", "sqlite_utils", "pydantic"):
        assert f"'{heavy}'" not in out


def test_ctrl_c_while_files_are_read_ends_with_130_and_loses_nothing(place, monkeypatch):
    place.documents(3)
    show = Progress.show

    def interrupt(self: Progress, event: object) -> None:
        show(self, event)
        if isinstance(event, FileRead):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Progress, "show", interrupt)
    result = place.run()
    monkeypatch.undo()
    monkeypatch.chdir(place.path)

    assert result.code == 130
    assert place.sql("SELECT state FROM _runs") == [("interrupted",)]
    assert place.run().code == 0
    assert place.sql("SELECT count(*) FROM tone") == [(3,)]


def on_a_terminal(place, *args: str, typed: str = "", **environment: str) -> str:
    """What a person sees: stdout and stderr are a terminal of 80 columns, and stdin too where something is typed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", "from pipeline.cli import main; main()", *args],
        cwd=place.path,
        env={**os.environ, "TERM": "xterm", **environment},
        stdin=theirs if typed else None,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    seen = b""
    with suppress(OSError):  # Linux says so when the last one has closed the terminal
        while block := os.read(ours, 4096):
            seen += block
    os.close(ours)
    process.wait(timeout=60)
    return seen.decode()


def test_purging_by_age_asks_a_person_first(place):
    place.documents(2)
    assert place.run().code == 0
    purge = ("purge", "--older-than", "0h", "--db", "night.db")

    seen = on_a_terminal(place, *purge, typed="n\n")
    assert "Delete 2 documents for good?" in seen
    assert place.sql("SELECT count(*) FROM _documents") == [(2,)]

    assert "Deleted: 2 documents" in on_a_terminal(place, *purge, typed="y\n")
    assert place.sql("SELECT count(*) FROM _documents") == [(0,)]


def test_a_terminal_shows_bars_and_colours_unless_told_otherwise(place):
    place.documents(2)
    place.write("docs/empty.txt", "")
    run = ("run", "tone", "docs", "--db", "night.db", "--model", "scripted")

    seen = on_a_terminal(place, *run)
    plain = on_a_terminal(place, "--no-color", "failures", "--db", "night.db", NO_COLOR="")
    quiet = on_a_terminal(place, *run, "--quiet")

    assert "Reading:" in seen
    assert "Extracting:" in seen
    assert "\x1b[33mfailed:\x1b[0m" in seen
    assert "\x1b" not in plain
    assert "Reading" not in quiet
    assert "skipped because nothing changed" in quiet


@pytest.mark.model
def test_a_real_night_that_is_killed_asks_each_question_once(place):
    place.documents(24)
    args = ("run", "tone", "docs", "--db", "night.db", "--model", "demo", "--threads", "1")
    killed = place.start(*args, "--slots", "1")
    place.wait_for_answers(killed)
    killed.kill()
    killed.communicate()
    kept = dict(place.sql("SELECT work, saved FROM _extractions"))

    result = place.call(*args)

    assert 0 < len(kept) < 24
    assert result.code == 0
    assert f"{24 - len(kept)} done" in result.out
    answers = place.sql("SELECT work, saved, run FROM _extractions")
    assert len(answers) == 24
    assert {work: saved for work, saved, run in answers if run == 1} == kept
    assert place.sql("SELECT count(*) FROM tone WHERE state = 'complete'") == [(24,)]


@pytest.mark.model
def test_the_demo_model_fills_a_row(place):
    place.documents(1)

    result = place.call("run", "tone", "docs", "--db", "night.db", "--model", "demo")

    assert result.code == 0
    assert place.sql("SELECT tone IN ('good', 'bad', 'mixed') FROM tone") == [(1,)]
    assert "1 skipped because nothing changed" in place.call("run", "tone", "docs", "--db", "night.db").out

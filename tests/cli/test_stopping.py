"""Signals, locks and closed pipes, each with a real process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

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

"""What `schedule` prints is what systemd, cron and launchd take, whatever the folder is called."""

from __future__ import annotations

import plistlib
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pipeline.cli import call
from pipeline.cli.schedule import crontab, plist, service, task, timer

NASTY = ["/bin/echo", "run", '/tmp/a "b" c\\d/100%/$HOME;x/night.toml', "--until", "06:00"]


def test_the_words_come_out_of_cron_and_launchd_as_they_went_in(tmp_path):
    folder = tmp_path / "it's 5% off"
    folder.mkdir()
    line = crontab(NASTY, folder, 22, 5)

    assert line.startswith("5 22 * * * ")
    assert "%" not in line.replace("\\%", "")
    command = line.split(maxsplit=5)[5].replace("\\%", "%")  # cron takes the backslash away
    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    assert said == " ".join([*NASTY[1:], "--quiet"]) + "\n"

    loaded = plistlib.loads(plist("nightdesk-x", NASTY, folder, 22, 5).encode())
    assert loaded["ProgramArguments"] == NASTY
    assert loaded["WorkingDirectory"] == str(folder)
    assert loaded["StartCalendarInterval"] == {"Hour": 22, "Minute": 5}


def test_the_windows_task_is_xml_that_runs_the_words_every_night():
    words = [r"C:\Program Files\n&d\nightdesk.exe", "run", r"C:\a <b>\night.toml", "--until", "06:00"]
    root = ElementTree.fromstring(task(words, Path("/a & b"), 22, 5))
    found = {element.tag.rpartition("}")[2]: element.text for element in root.iter()}

    assert found["Command"] == words[0]
    assert found["Arguments"] == r'run "C:\a <b>\night.toml" --until 06:00'
    assert found["WorkingDirectory"] == "/a & b"
    assert found["StartBoundary"].endswith("T22:05:00")
    assert found["DaysInterval"] == "1"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
@pytest.mark.parametrize("words", [["/bin/echo", "run", "/tmp/night.toml"], NASTY])
def test_systemd_takes_the_units(tmp_path, words):
    (tmp_path / "nightdesk-x.service").write_text(service(words, tmp_path))
    (tmp_path / "nightdesk-x.timer").write_text(timer(22, 5))

    for unit in ("service", "timer"):
        verified = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(tmp_path / f"nightdesk-x.{unit}")],
            capture_output=True,
            text=True,
            check=False,
        )
        ours = [line for line in verified.stderr.splitlines() if "nightdesk-x" in line]
        assert not ours, verified.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_a_unit_that_is_wrong_would_be_seen(tmp_path):
    (tmp_path / "nightdesk-x.service").write_text(service(["relative/echo"], tmp_path).replace("oneshot", "never"))

    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "nightdesk-x.service")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "nightdesk-x" in verified.stderr


def test_the_command_prints_all_four_and_where_they_go(desk, monkeypatch, capsys):
    job = desk.write("My night.toml", 'database = "night.db"\n[[tasks]]\ntask = "tone"\ninputs = ["docs"]\n')
    monkeypatch.chdir(desk.path)

    assert call(["schedule", "My night.toml", "--at", "23:30", "--until", "6:00"]) == 0
    out = capsys.readouterr().out
    assert "OnCalendar=*-*-* 23:30:00" in out
    assert "\n30 23 * * * cd " in out
    assert f"{shlex.quote(str(job))} --until 06:00" in out
    for place in (
        "systemd/user/nightdesk-my-night.timer",
        "crontab -e",
        "LaunchAgents/nightdesk-my-night.plist",
        "nightdesk-my-night.xml",
    ):
        assert place in out
    program = Path(sys.executable).with_name("nightdesk")
    assert not program.exists() or f"ExecStart={program} run " in out


def test_what_the_file_leaves_to_this_shell_is_written_into_the_command(desk, monkeypatch, capsys):
    desk.write("jobs/night.toml", '[[tasks]]\ntask = "tone"\ninputs = ["../docs"]\n')
    model = desk.write("tiny.gguf", b"GGUF")
    monkeypatch.chdir(desk.path)
    monkeypatch.setenv("NIGHTDESK_MODEL", "tiny.gguf")
    monkeypatch.setenv("NIGHTDESK_DB", "mine.db")

    assert call(["schedule", "jobs/night.toml"]) == 0
    out = capsys.readouterr().out
    assert f"cd {shlex.quote(str(desk.path))} && " in out  # where the tasks are looked for
    assert f"--model {model} --db {desk.path / 'mine.db'}" in out

    desk.write("jobs/night.toml", 'model = "demo"\ndatabase = "n.db"\n[[tasks]]\ntask = "tone"\ninputs = ["../docs"]\n')
    assert call(["schedule", "jobs/night.toml"]) == 0
    out = capsys.readouterr().out
    assert "--model" not in out
    assert "--db" not in out


@pytest.mark.parametrize("args", [("none.toml",), ("job.toml", "--at", "22"), ("job.toml", "--until", "24:00")])
def test_what_cannot_be_scheduled_is_said(desk, monkeypatch, capsys, args):
    desk.write("job.toml", "")
    monkeypatch.chdir(desk.path)

    assert call(["schedule", *args]) == 2
    assert "Error: " in capsys.readouterr().err

"""`nightdesk schedule`: a job file every night, for systemd, cron, launchd and Windows. Nothing is installed."""

from __future__ import annotations

import plistlib
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated
from xml.sax.saxutils import escape

import typer

from pipeline.cli import screen
from pipeline.errors import UserError


def schedule(
    job: Annotated[Path, typer.Argument(metavar="JOB.toml", help="The job file of the night.")],
    at: Annotated[str, typer.Option(metavar="22:00", help="When the night begins.")] = "22:00",
    until: Annotated[str | None, typer.Option(metavar="06:00", help="When it ends; default: as the file says.")] = None,
) -> None:
    """Print what makes a job run every night: a systemd timer, a crontab line, a launchd file, a Windows task.

    Installs nothing. The night starts in the folder that you are in, where the tasks are. Nightdesk itself is not
    supported on Windows: the task is there for who tries it all the same.

    \b
    Example:
      nightdesk schedule night.toml --at 22:00 --until 06:00
    """
    if not job.is_file() or job.suffix != ".toml":
        raise UserError(f"{job} is no job file.", hint="See `nightdesk help running`.")
    hour, minute = _time("--at", at)
    if until is not None:
        until = "{:02}:{:02}".format(*_time("--until", until))
    from pipeline.cli import job as jobs

    checked, told = jobs.from_file(job, None, {}), jobs.tables(job)
    words, folder, name = _command(job, until), Path.cwd(), _name(job)
    # What this environment says is not said at night.
    words += [] if "model" in told else ["--model", checked.model]
    words += [] if "database" in told else ["--db", str(checked.database)]
    _section("systemd", f"~/.config/systemd/user/{name}.service", service(words, folder))
    _section("systemd", f"~/.config/systemd/user/{name}.timer", timer(hour, minute))
    screen.out(f"systemctl --user daemon-reload && systemctl --user enable --now {name}.timer")
    screen.out("loginctl enable-linger    # also when nobody is logged in", "")
    _section("cron", "one line, with: crontab -e", crontab(words, folder, hour, minute))
    _section("launchd", f"~/Library/LaunchAgents/{name}.plist", plist(name, words, folder, hour, minute))
    screen.out(f"launchctl bootstrap gui/$(id -u) ~/Library/LaunchAgents/{name}.plist", "")
    _section("Windows (where running Nightdesk is not supported)", f"{name}.xml", task(words, folder, hour, minute))
    screen.out(f"schtasks /Create /TN {name} /XML {name}.xml")
    if checked.engine.server is not None:
        screen.out("", "If the server asks for a key, NIGHTDESK_SERVER_KEY must be set there too.")


def service(words: list[str], folder: Path) -> str:
    """The unit that runs the job once. 75 (work is left) and 3 (bad files) are no failures of the unit."""
    return "\n".join([
        "[Unit]",
        "Description=Nightdesk",
        "",
        "[Service]",
        "Type=oneshot",
        f"WorkingDirectory={_percent(str(folder))}",
        f"ExecStart={' '.join(map(_systemd_quoted, words))}",
        "SuccessExitStatus=75 3",
        "Nice=10",
        "IOSchedulingClass=idle",
        "UMask=0077",
        "LimitCORE=0",
        "TimeoutStopSec=150",
        "KillMode=mixed",
        "",
    ])  # fmt: skip


def timer(hour: int, minute: int) -> str:
    """The unit that starts it. A night that was slept through is not made up for by day."""
    return (
        "[Unit]\nDescription=Nightdesk, every night\n\n"
        f"[Timer]\nOnCalendar=*-*-* {hour:02}:{minute:02}:00\nPersistent=false\nAccuracySec=1min\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )


def crontab(words: list[str], folder: Path, hour: int, minute: int) -> str:
    """One line. cron takes % for a line break, so it is escaped."""
    command = f"cd {shlex.quote(str(folder))} && {shlex.join(words)} --quiet"
    return f"{minute} {hour} * * * {command}\n".replace("%", "\\%")


def plist(name: str, words: list[str], folder: Path, hour: int, minute: int) -> str:
    """What launchd reads."""
    return plistlib.dumps({
        "Label": name,
        "ProgramArguments": words,
        "WorkingDirectory": str(folder),
        "StartCalendarInterval": {"Hour": hour, "Minute": minute},
        "ProcessType": "Background",
        "Umask": 0o077,
    }).decode()  # fmt: skip


def task(words: list[str], folder: Path, hour: int, minute: int) -> str:
    """What the Windows Task Scheduler reads, version 1.2 of its XML. The date is only where the days begin to count."""
    program, *arguments = words
    return "\n".join([
        '<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">',
        "  <Triggers><CalendarTrigger>",
        f"    <StartBoundary>2026-01-01T{hour:02}:{minute:02}:00</StartBoundary>",
        "    <ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay>",
        "  </CalendarTrigger></Triggers>",
        "  <Settings>",
        "    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>",
        "    <StartWhenAvailable>false</StartWhenAvailable>",
        "    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>",
        "  </Settings>",
        "  <Actions><Exec>",
        f"    <Command>{escape(program)}</Command>",
        f"    <Arguments>{escape(subprocess.list2cmdline(arguments))}</Arguments>",
        f"    <WorkingDirectory>{escape(str(folder))}</WorkingDirectory>",
        "  </Exec></Actions>",
        "</Task>",
        "",
    ])  # fmt: skip


def _command(job: Path, until: str | None) -> list[str]:
    ours = Path(sys.executable).with_name("nightdesk")
    program = [str(ours)] if ours.exists() else [sys.executable, "-c", "from pipeline.cli import main; main()"]
    return [*program, "run", str(job.absolute()), *(["--until", until] if until else [])]


def _name(job: Path) -> str:
    """A name that all of them take."""
    return "nightdesk-" + (re.sub(r"[^A-Za-z0-9]+", "-", job.stem).strip("-").lower() or "job")


def _time(option: str, text: str) -> tuple[int, int]:
    if not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", text):
        raise UserError(f"{option}: expected a time of day such as 22:00.", hint="See `nightdesk schedule --help`.")
    hour, _, minute = text.partition(":")
    return int(hour), int(minute)


def _systemd_quoted(word: str) -> str:
    """A word of ExecStart: systemd has its own quoting, expands % and $, and takes ; alone for an end."""
    word = _percent(word).replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", word, re.ASCII):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _section(system: str, where: str, text: str) -> None:
    screen.out(screen.styled(f"# {system}: {where}", "bold"), *(screen.safe(line) for line in text.splitlines()), "")

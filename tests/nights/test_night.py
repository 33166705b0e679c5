"""When a night ends, in which order it works, and that the machine stays awake meanwhile."""

from __future__ import annotations

import ctypes
import datetime
import importlib
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pydantic
import pytest

from pipeline.batching import Halt
from pipeline.config import Job, Night
from pipeline.run import night as nights
from pipeline.run.night import NightsEnd, clock, seconds_until
from pipeline.store import Work

waking = importlib.import_module("pipeline.run.awake")  # the package has a function of this name
awake = waking.awake
NOON = datetime.datetime(2026, 3, 1, 12, 0).astimezone()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def an_end(night: Night, asked=lambda: Halt.NO, sleep=pytest.fail) -> tuple[NightsEnd, Clock]:
    clock = Clock()
    return NightsEnd(night, now=NOON, clock=clock, sleep=sleep).for_run(asked), clock


def test_a_night_without_an_end_asks_what_others_ask():
    asked = [Halt.NO]
    end, _ = an_end(Night(), lambda: asked[0])

    for asked[0] in Halt:
        assert end() is asked[0]
    assert end.reason == ""


def test_it_drains_at_the_end_and_stops_after_the_grace_time():
    end, clock = an_end(Night(max_duration="1h", grace="2m"))

    assert end() is Halt.NO
    clock.now += 3599
    assert end() is Halt.NO
    clock.now += 1
    assert end() is Halt.DRAIN
    clock.now += 119
    assert end() is Halt.DRAIN
    clock.now += 1
    assert end() is Halt.NOW
    assert end.reason == "its time is over"


def test_the_earlier_of_two_ends_counts():
    end, clock = an_end(Night(until="14:00", max_duration="6h"))
    clock.now += 2 * 3600

    assert end() is Halt.DRAIN
    assert end.reason == "it is 14:00"


def test_a_second_signal_does_not_wait_for_the_grace_time():
    end, _ = an_end(Night(max_duration="1s"), lambda: Halt.NOW)

    assert end() is Halt.NOW


def test_what_was_begun_when_somebody_asked_to_end_has_the_grace_time_too():
    asked = [Halt.NO]
    end, clock = an_end(Night(grace="2m"), lambda: asked[0])
    assert end() is Halt.NO
    clock.now += 3600
    asked[0] = Halt.DRAIN

    assert end() is Halt.DRAIN
    clock.now += 119
    assert end() is Halt.DRAIN
    clock.now += 1
    assert end() is Halt.NOW
    assert (end.reason, end.interrupted) == ("", False)


@pytest.fixture
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def lisbon(berlin, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Lisbon")
    time.tzset()


@pytest.mark.parametrize(
    ("now", "until", "hours"),
    [
        ("2026-01-10 22:00", "06:00", 8),
        ("2026-01-10 06:00", "06:00", 24),  # not at once
        ("2026-01-10 05:00", "06:00", 1),
        ("2026-03-28 22:00", "06:00", 7),  # summer time begins
        ("2026-10-24 22:00", "06:00", 9),  # and ends
        ("2026-03-28 22:00", "02:30", 4.5),  # no clock shows it that night
        ("2026-03-29 01:45", "02:30", 0.75),
    ],
)
def test_until_is_the_next_time_that_clocks_show_it(berlin, now, until, hours):
    begin = datetime.datetime.fromisoformat(now).astimezone()

    assert seconds_until(datetime.time.fromisoformat(until), begin) == hours * 3600


@pytest.mark.parametrize(
    ("now", "minutes"),
    [
        ("2025-10-25 23:30+00:00", 60),  # 00:30 in summer time
        ("2025-10-26 00:10+00:00", 20),  # 01:10
        ("2025-10-26 00:45+00:00", 45),  # 01:45; at 02:00 it is 01:00 again
        ("2025-10-26 01:10+00:00", 20),  # 01:10 in winter time
        ("2025-10-26 01:30+00:00", 24 * 60),
    ],
)
def test_until_is_found_in_the_hour_that_clocks_show_twice(lisbon, now, minutes):
    begin = datetime.datetime.fromisoformat(now)

    assert seconds_until(datetime.time(1, 30), begin) == minutes * 60


def test_the_clock_passes_and_counts_sleep_where_the_system_can():
    before = clock()

    assert clock() >= before
    if hasattr(time, "CLOCK_BOOTTIME"):
        assert abs(clock() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60


@pytest.fixture
def battery(monkeypatch):
    battery = SimpleNamespace(power_plugged=True)
    monkeypatch.setattr(nights.psutil, "sensors_battery", lambda: battery)
    return battery


def test_on_battery_it_pauses_and_goes_on_when_the_lead_is_back(battery):
    end, clock = an_end(Night(only_on_ac=True), sleep=lambda seconds: mends(seconds))

    def mends(seconds: float) -> None:
        clock.now += seconds
        battery.power_plugged = clock.now >= began + 310

    assert end() is Halt.NO
    battery.power_plugged = False
    assert end() is Halt.NO  # not looked at every time
    clock.now += 10
    began = clock.now
    assert end() is Halt.NO
    assert (clock.now - began, end.paused, end.reason) == (310, 310, "")


def test_a_pause_ends_with_the_night_or_when_somebody_asks(battery):
    battery.power_plugged = False
    asked = [Halt.NO] * 4 + [Halt.DRAIN] * 9
    end, clock = an_end(Night(only_on_ac=True), asked=lambda: asked.pop(0), sleep=lambda seconds: None)
    assert end() is Halt.DRAIN

    end, clock = an_end(Night(only_on_ac=True, max_duration="1m"), sleep=lambda seconds: slept(seconds))

    def slept(seconds: float) -> None:
        clock.now += seconds

    assert end() is Halt.DRAIN
    assert (end.reason, end.paused) == ("its time is over", 60)


def test_without_a_battery_or_without_being_asked_it_does_not_pause(monkeypatch, battery):
    battery.power_plugged = False
    assert an_end(Night())[0]() is Halt.NO
    monkeypatch.setattr(nights.psutil, "sensors_battery", lambda: None)
    assert an_end(Night(only_on_ac=True))[0]() is Halt.NO


def test_it_pauses_while_the_load_is_above_what_was_given(monkeypatch):
    loads = [7.0, 6.5, 5.9]
    monkeypatch.setattr(nights.psutil, "getloadavg", lambda: (loads.pop(0), 0.0, 0.0))
    end, _ = an_end(Night(max_load=6), sleep=lambda seconds: None)

    assert end() is Halt.NO
    assert loads == []


def work(document: str, index: int, tokens: int) -> Work:
    return Work(f"{document}{index}", "", tokens, document, index, 0, 1, index)


def test_no_more_documents_are_begun_than_are_wanted_but_begun_ones_go_on():
    end, _ = an_end(Night(max_documents=2))
    asked = [("a", 0), ("a", 1), ("b", 0), ("c", 0), ("b", 1)]

    assert [end.admits("t", work(*each, 5)) for each in asked] == [True, True, True, False, True]
    assert end.reason == "2 documents are enough for it"
    assert end() is Halt.NO  # nothing is cut off


def test_the_runs_of_a_night_share_its_end_and_its_documents_and_no_reason():
    night, clock = an_end(Night(max_documents=2, max_duration="1h"))
    first = night.for_run(lambda: Halt.NO)
    assert [first.admits("t", work(document, 0, 5)) for document in "aa"] == [True, True]
    assert night.over == ""

    second = night.for_run(lambda: Halt.NO)
    assert [second.admits("t", work(document, 0, 5)) for document in "bca"] == [True, False, True]
    assert (first.reason, second.reason) == ("", "2 documents are enough for it")
    assert night.over == "2 documents are enough for it"

    clock.now += 3600
    assert night.for_run(lambda: Halt.NO)() is Halt.DRAIN
    assert night.over == "its time is over"


def test_what_ends_one_run_of_a_night_does_not_end_the_night():
    night, _ = an_end(Night(document_tokens=5))
    assert [night.for_run(lambda: Halt.DRAIN).admits("t", work("a", i, 5)) for i in range(2)] == [True, False]
    assert night.for_run(lambda: Halt.DRAIN)() is Halt.DRAIN

    assert night.over == ""
    assert night.for_run(lambda: Halt.NO)() is Halt.NO


def test_a_night_without_such_limits_remembers_no_documents():
    end, _ = an_end(Night())

    assert all(end.admits("t", work(f"{i}", 0, 5)) for i in range(3))
    assert not end._documents
    assert not end._tokens


def test_a_long_document_has_its_share_and_a_chunk_larger_than_it_is_not_stuck():
    end, _ = an_end(Night(document_tokens=10))

    assert [end.admits("t", work("a", i, 5)) for i in range(3)] == [True, True, False]
    assert end.admits("other", work("a", 0, 5))
    assert end.admits("t", work("b", 0, 50))
    assert end.reason == "long documents had their share"


@pytest.mark.parametrize("bad", [{"until": "6"}, {"until": "25:00"}, {"max_duration": "6"}, {"max_duration": "0h"}])
def test_a_time_that_is_none_is_refused(bad):
    with pytest.raises(pydantic.ValidationError):
        Night(**bad)


def test_times_are_read_as_people_write_them_and_settings_can_be_kept():
    night = Night(until="6:05", max_duration="1h30m")

    assert night.until == datetime.time(6, 5)
    assert night.max_duration == datetime.timedelta(minutes=90)
    assert Job.model_validate({"database": "x", "tasks": [{"task": "t", "inputs": ["."]}], "night": {"nice": 5}})
    assert Night.model_validate(night.model_dump(mode="json")) == night


# --- through the command


def test_a_run_that_reached_its_number_ends_with_75_and_the_next_goes_on(desk):
    desk.letters(12)

    code, out, err = desk.run("--max-documents", "5")

    assert code == 75, err
    assert "tone: 12 documents: 5 done." in out
    assert "The night ended: 5 documents are enough for it." in out
    assert "Left to do: 7 chunks. Run the same command again to go on." in out
    assert desk.sql("SELECT state, done FROM _runs") == [("stopped", 5)]
    assert desk.run()[0] == 0
    assert desk.sql("SELECT count(*) FROM tone") == [(12,)]


def test_a_run_whose_time_is_over_while_it_reads_says_what_is_left(desk):
    desk.letters(200)

    code, out, _ = desk.run("--max-duration", "1s")

    assert code == 75
    assert "The night ended: its time is over." in out
    assert "Left to do: " in out
    assert desk.run()[0] == 0
    assert desk.sql("SELECT count(*) FROM tone") == [(200,)]


def test_sigterm_while_files_are_read_ends_with_75(desk):
    desk.letters(300)
    process = desk.start("run", "tone", "docs", "--db", "night.db", "--model", "scripted")
    deadline = time.monotonic() + 60
    while not (desk.path / "night.db").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)

    assert process.returncode in (75, -signal.SIGTERM), err
    if process.returncode == 75:
        assert b"Left to do: " in out


def test_a_job_file_says_when_the_night_ends(desk):
    desk.letters(4)
    desk.write(
        "job.toml",
        'database = "night.db"\nmodel = "scripted"\n[night]\nmax_documents = 2\nuntil = "06:00"\n'
        '[[tasks]]\ntask = "tone"\ninputs = ["docs"]\n',
    )

    assert desk.call("run", "job.toml")[0] == 75
    assert desk.call("run", "job.toml", "--max-documents", "9")[0] == 0  # the option wins


def test_a_wrong_time_names_the_option(desk):
    desk.letters(1)
    code, _, err = desk.run("--until", "morning")

    assert code == 2
    assert "--until" in err
    assert "06:00" in err


def test_nice_is_passed_on(desk):
    desk.letters(1)
    code = (
        "import os, atexit; atexit.register(lambda: print('niceness', os.nice(0)));"
        "from pipeline.cli import main; main()"
    )

    assert f"niceness {os.nice(0) + 7}" in desk.run("--nice", "7", code=code)[1]


def test_short_documents_come_before_a_book_and_equal_ones_keep_their_order(desk):
    desk.write("docs/0-book.txt", "\n\n".join(f"Chapter {i}. {'It rained. ' * 15}" for i in range(300)))
    desk.letters(3)

    code, _, _ = desk.run("--max-documents", "3")

    assert code == 75
    done = [str(Path(str(file)).name) for (file,) in desk.sql("SELECT file FROM tone ORDER BY id")]
    assert done == ["0000.txt", "0001.txt", "0002.txt"]


def test_a_book_has_its_share_of_a_night_and_is_done_after_some(desk):
    desk.write("docs/book.txt", "\n\n".join(f"Chapter {i}. {'It rained. ' * 15}" for i in range(12)))
    job = (
        'database = "night.db"\nmodel = "scripted"\n[night]\ndocument_tokens = 1000\n'
        '[[tasks]]\ntask = "tone"\ninputs = ["docs"]\n'
    )
    desk.write("job.toml", job)
    codes = []
    while not codes or (codes[-1] == 75 and len(codes) < 20):
        codes.append(desk.call("run", "job.toml")[0])

    assert codes[-1] == 0
    assert len(codes) > 1


# --- awake


def test_a_child_keeps_the_machine_awake_and_ends_with_us(monkeypatch, tmp_path):
    code = (
        "import importlib, time\nawake = importlib.import_module('pipeline.run.awake')\n"
        "awake.command = lambda: ('sh', '-c', 'echo $$ > child; exec cat')\n"
        "with awake.awake():\n    print('in', flush=True)\n    time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"in\n"
    deadline = time.monotonic() + 10
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child = int((tmp_path / "child").read_text())
    os.kill(child, 0)
    process.kill()
    process.communicate()
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return  # ended; whoever adopted it has not looked yet
            os.kill(child, 0)
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.05)
    pytest.fail("the child outlived us")


class Asked:
    """Stands in for the function of kernel32.dll: no Windows is at hand."""

    argtypes = restype = None

    def __init__(self):
        self.flags = []

    def __call__(self, flags):
        self.flags.append(flags)
        return 0x8000_0000


@pytest.mark.parametrize("error", [None, KeyError])
def test_on_windows_the_system_is_asked_and_the_request_taken_back(monkeypatch, error):
    asked = Asked()
    windll = SimpleNamespace(kernel32=SimpleNamespace(SetThreadExecutionState=asked))
    monkeypatch.setattr(waking, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(waking.ctypes, "windll", windll, raising=False)

    with suppress(KeyError), awake():
        assert asked.flags == [0x80000001]
        if error:
            raise error

    assert asked.flags == [0x80000001, 0x80000000]
    assert asked.argtypes == (ctypes.c_uint32,)
    assert asked.restype is ctypes.c_uint32
    assert waking.means() == "SetThreadExecutionState"


def test_where_nothing_can_keep_it_awake_nothing_happens(monkeypatch):
    for words in (None, ("/no/such/program",), ("false",)):
        monkeypatch.setattr(waking, "command", lambda words=words: words)
        with awake():
            pass
    monkeypatch.undo()
    monkeypatch.setattr(waking.shutil, "which", lambda name: None)
    assert waking.command() is None

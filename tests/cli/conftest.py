"""A small task of one choice, a folder of documents, and two ways to call the command: here, or in a real process."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.cli import call

TASK = """
instructions = "Say the tone."

[options]
chunk_tokens = 300
max_answer_tokens = 40
"""
SCHEMA = """{
  "type": "object",
  "properties": {"tone": {"enum": ["good", "bad", "mixed"]}},
  "required": ["tone"], "additionalProperties": false
}"""


@dataclass
class Result:
    code: int
    out: str
    err: str


@dataclass
class Place:
    """A working directory with the task `tone` and a folder `docs`."""

    path: Path
    call: Callable[..., Result]

    def write(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    def documents(self, number: int) -> None:
        for i in range(number):
            self.write(f"docs/{i:04}.txt", f"Letter number {i}. The weather was fine.")

    def run(self, *args: str) -> Result:
        return self.call("run", "tone", "docs", "--db", "night.db", "--model", "scripted", *args)

    def start(self, *args: str) -> subprocess.Popen[str]:
        """The command as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", "from pipeline.cli import main; main()", *args],
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def start_run(self, *args: str) -> subprocess.Popen[str]:
        return self.start("run", "tone", "docs", "--db", "night.db", "--model", "scripted", *args)

    def sql(self, query: str) -> list[tuple[object, ...]]:
        db = sqlite3.connect(f"file:{self.path}/night.db?mode=ro", uri=True)
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()

    def wait_for_answers(self, process: subprocess.Popen[str]) -> None:
        """Until the run has saved an answer."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if self.sql("SELECT 1 FROM _extractions LIMIT 1"):
                    return
            except sqlite3.OperationalError:
                pass  # not there yet
            time.sleep(0.02)
        raise AssertionError(f"the run saved nothing: {process.communicate()}")


def laid_out(path: Path) -> Place:
    place = Place(path, lambda *args: pytest.fail("not callable here"))
    place.write("prompts/tone.toml", TASK)
    place.write("schemas/tone.json", SCHEMA)
    (path / "docs").mkdir()
    return place


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[Path], Place]:
    """A place whose commands run in this process."""
    for name in ("NIGHTDESK_DB", "NIGHTDESK_MODEL", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["nightdesk"])

    def called(*args: str) -> Result:
        capsys.readouterr()
        code = call(args)
        said = capsys.readouterr()
        return Result(code, said.out, said.err)

    def at(path: Path) -> Place:
        monkeypatch.chdir(path)
        return Place(path, called)

    return at


@pytest.fixture
def place(tmp_path: Path, here: Callable[[Path], Place]) -> Place:
    """A working directory of the test's own."""
    laid_out(tmp_path)
    return here(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = laid_out(tmp_path_factory.mktemp("finished"))
    place.documents(2)
    place.write("docs/empty.txt", "")
    process = place.start_run()
    process.communicate(timeout=120)
    assert process.returncode == 3
    return place.path


@pytest.fixture
def ran(finished: Path, here: Callable[[Path], Place]) -> Place:
    """Two documents are done and one failed. Shared: tests only read here."""
    return here(finished)


@pytest.fixture(autouse=True)
def signals() -> None:
    """A test that leaves a handler behind fails here and not in a later one."""
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before
    assert os.environ.pop("NO_COLOR", None) in (None, "", "1")

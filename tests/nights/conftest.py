"""A folder with the task `tone`, documents, and the command as a process of its own."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

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
MAIN = "from pipeline.cli import main; main()"


class Desk:
    """A working directory; `extra` options go with every command."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("prompts/tone.toml", TASK)
        self.write("schemas/tone.json", SCHEMA)
        (path / "docs").mkdir()

    def write(self, name: str, content: str | bytes) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def letters(self, number: int) -> None:
        for i in range(number):
            self.write(f"docs/{i:04}.txt", f"Letter number {i}. The weather was fine.")

    def start(self, *args: str, code: str = MAIN, wrap: tuple[str, ...] = (), **how) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*wrap, sys.executable, "-c", code, *args],
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **how,
        )

    def call(self, *args: str, **how) -> tuple[int, str, str]:
        process = self.start(*args, **how)
        out, err = process.communicate(timeout=200)
        return process.returncode, out.decode(), err.decode()

    def run(self, *args: str, **how) -> tuple[int, str, str]:
        return self.call("run", "tone", "docs", "--db", "night.db", "--model", "scripted", *args, **how)

    def sql(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(f"file:{self.path}/night.db?mode=ro", uri=True)) as db:
            return db.execute(query, parameters).fetchall()


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)

"""Nights of real processes that meet a fault, and what is in the database after them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StoreError
from pipeline.store import Store

OF_A_RUN = {
    "run",
    "first_run",
    "seen_run",
    "last_run",
    "replaced_run",
    "saved",
    "replaced",
    "applied_at",
}
"""Columns that differ from run to run: its number and times. Of `_runs` nothing is compared: there are more of them."""


def dump(path: Path) -> dict[str, list[str]]:
    """All rows of all tables but `_runs`, in an order that is that of their content.

    Numbers of rows are replaced by what they stand for: of a record by its document, of a file by its path. Tokens
    that the shared prefix took are paid by whoever comes first after a start, so paid and reused ones are one figure.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        names = [n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        documents = dict(db.execute("SELECT id, document || task FROM _records").fetchall())
        files = dict(db.execute("SELECT id, path FROM _files").fetchall())
        stands_for = {("_evidence", "record"): documents, ("_history", "record"): documents, ("_inputs", "file"): files}
        content = {}
        for name in names:
            if name == "_runs" or name.startswith("sqlite_"):
                continue
            rows = []
            for found in db.execute(f'SELECT * FROM "{name}"'):
                row = {key: found[key] for key in found.keys() if key != "id" and key not in OF_A_RUN}  # noqa: SIM118
                for key in row:
                    if (name, key) in stands_for:
                        row[key] = stands_for[name, key].get(row[key], "retired")
                    elif key == "parent" and isinstance(row[key], int):  # child tables are one level deep here
                        row[key] = documents[row[key]]
                if name == "_extractions":
                    row["prompt"] = row.pop("prefilled") + row.pop("reused")
                if name == "_history":
                    row["row"] = without_numbers(json.loads(row["row"]))
                rows.append(repr(row))
            content[name] = sorted(rows)
    return content


def without_numbers(value: Any) -> Any:
    """A row of the history without the numbers of rows and runs."""
    if isinstance(value, dict):
        return {k: without_numbers(v) for k, v in value.items() if k not in ("id", "parent", "run")}
    return [without_numbers(v) for v in value] if isinstance(value, list) else value


def check(path: Path) -> None:
    """The file is whole, and every document is either a record, or a failure, or still to be done, and says so."""
    if not path.exists():
        return  # it was killed before anything
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    try:
        opened = Store.open(path, write=False)
        store = opened.__enter__()
    except StoreError:
        return  # it was killed before the database was made
    try:
        for status in store.status():
            assert status.documents == status.done + status.failed + status.pending
            states: Counter[str] = Counter()
            for sha256, some_path in store.db.conn.execute(
                """SELECT f.sha256, min(f.path) FROM _files f JOIN _inputs i ON i.file = f.id
                   WHERE i.task = ? AND f.gone = 0 GROUP BY coalesce(f.sha256, f.path)""",
                (status.task,),
            ).fetchall():
                verdicts = [v for v in store.explain(some_path).verdicts if v.task == status.task]
                assert len(verdicts) == 1, sha256
                states[verdicts[0].state] += 1
            assert states["done"] == status.done
            assert states["failed"] == status.failed
            assert states["pending"] + states["changed"] == status.pending
    finally:
        opened.__exit__(None, None, None)


TONE = {"enum": ["good", "bad"]}
WORDS = {
    "type": "array",
    "items": {"type": "object", "properties": {"w": {"enum": ["a", "b"]}}, "required": ["w"]},
    "maxItems": 2,
}


@dataclass
class Ended:
    """How a process ended."""

    code: int
    said: str
    statements: int

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Nights:
    """A folder of documents, two tasks, and processes that read it into a database."""

    def __init__(self, path: Path, starter: subprocess.Popen[str]) -> None:
        self.path = path
        self.statements = 0  # of a night without faults
        self.expected: dict[str, list[str]] = {}
        self._starter = starter
        (path / "docs").mkdir()
        for name in ("prompts", "schemas"):
            (path / name).mkdir()
        self.task(
            "tone", "Say the tone.", {"tone": {"enum": ["good", "bad"]}, "words": WORDS, "sum": {"type": "string"}}
        )
        self.task("topic", "Say the topic.", {"topic": {"enum": ["work", "weather"]}, "many": {"type": "boolean"}})

    def task(self, name: str, instructions: str, properties: dict[str, Any]) -> None:
        properties = {k: {**v, "maxLength": 5} if v.get("type") == "string" else v for k, v in properties.items()}
        schema = {
            "type": "object",
            "properties": properties,
            "required": [*properties],
            "additionalProperties": False,
        }
        (self.path / f"schemas/{name}.json").write_text(json.dumps(schema))
        options = "[options]\nchunk_tokens = 200\nmax_answer_tokens = 90\n"
        (self.path / f"prompts/{name}.toml").write_text(f'instructions = "{instructions}"\n{options}')
        (self.path / "night.toml").write_text(
            'database = "night.db"\nmodel = "scripted"\n[engine.shape]\nslots = 3\n'
            + "".join(f'[[tasks]]\ntask = "{t}"\ninputs = ["docs"]\n' for t in ("tone", "topic"))
        )

    def write(self, name: str, content: str | bytes) -> Path:
        file = self.path / "docs" / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def documents(self) -> None:
        """Some of each kind: short, long, twice the same, the same text in other bytes, unreadable, a mail."""
        for i in range(5):
            self.write(f"{i}.txt", f"Letter number {i}. The weather was fine.")
        self.write("again.txt", "Letter number 1. The weather was fine.")
        self.write("bom.txt", "\ufeffLetter number 2. The weather was fine.")
        self.write("empty.txt", "")
        self.write("picture.txt", b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
        self.write("long.md", "\n\n".join(f"# Day {i}\n\n" + "It rained. " * 14 for i in range(4)))
        mail = EmailMessage()
        mail["Subject"] = "Papers"
        mail.set_content("Please find them attached.")
        for name, content in (("one.txt", b"A letter in a mail."), ("none.txt", b" \n"), ("two.txt", b"A second one.")):
            mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
        self.write("papers.eml", mail.as_bytes())

    def changes(self) -> None:
        """What may happen before the second night: a file edited, one gone, one new, and a task that was rewritten."""
        self.write("0.txt", "Something else altogether.")
        self.write("empty.txt", "Not empty any more.")
        self.write("new.txt", "A new letter.")
        (self.path / "docs/3.txt").unlink()
        self.task(
            "tone", "Say its tone.", {"tone": {"enum": ["good", "bad"]}, "words": WORDS, "sum": {"type": "integer"}}
        )

    def run(self, database: str, *, args: tuple[str, ...] = (), **fault: Any) -> Ended:
        command = ["run", "night.toml", "--db", database, "--quiet", *args]
        return self.command(*command, **fault)

    def command(self, *args: str, **fault: Any) -> Ended:
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        request = {"cwd": str(self.path), "args": args, **fault}
        self._starter.stdin.write(json.dumps(request) + "\n")
        self._starter.stdin.flush()
        return Ended(**json.loads(self._starter.stdout.readline()))

    def dump(self, database: str) -> dict[str, list[str]]:
        return dump(self.path / database)

    def check(self, database: str) -> None:
        check(self.path / database)

    def until_nothing_is_left(self, database: str) -> None:
        """Three undisturbed runs: what failed is tried twice."""
        codes = [self.run(database).code for _ in range(3)]
        assert codes[-1] == 0, codes
        assert set(codes) <= {0, 3}

    def sql(self, database: str, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.path / database}?mode=ro", uri=True)) as db:
            return db.execute(query).fetchall()


@pytest.fixture(scope="session")
def starter() -> Iterator[subprocess.Popen[str]]:
    script = Path(__file__).with_name("night_process.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    yield process
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=60)
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, starter: subprocess.Popen[str]) -> Nights:
    """A folder that no test changes, and in `first.db` what a night over it leaves that meets no fault."""
    nights = Nights(tmp_path_factory.mktemp("undisturbed"), starter)
    nights.documents()
    nights.statements = nights.run("first.db").statements
    nights.until_nothing_is_left("first.db")
    nights.check("first.db")
    nights.expected = nights.dump("first.db")
    return nights


@pytest.fixture
def nights(tmp_path: Path, starter: subprocess.Popen[str]) -> Nights:
    nights = Nights(tmp_path, starter)
    nights.documents()
    return nights


@dataclass
class SmallDisk:
    """A disk in memory with room for 400 kB."""

    path: Path

    def grow(self) -> None:
        subprocess.run(["mount", "-o", "remount,size=64m", str(self.path)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if sys.platform != "linux" or os.getuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield SmallDisk(disk)
    finally:
        subprocess.run(["umount", str(disk)], check=True)

"""A folder of documents, a tiny task, and nights on the scripted model, in this process."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.batching import Halt
from pipeline.config import EngineSettings, Job, JobTask
from pipeline.data import Completion, Counts, Prompt, Stop
from pipeline.engines import never
from pipeline.engines.spec import EngineSpec
from pipeline.errors import NightdeskError
from pipeline.run import Answered, Event, Failed, Looked, Opened, Planned, Recorded, Summary, run
from pipeline.store import Store
from pipeline.store.driver import connection_class

Connection = connection_class(sqlite3)

INSTRUCTIONS = "Say the tone of this letter and what it is about."
SCHEMA = """{
  "type": "object",
  "properties": {
    "tone": {"enum": ["good", "bad", "mixed"]},
    "topics": {"type": "array", "items": {"enum": ["work", "weather", "money"]}, "maxItems": 2},
    "word": {"type": "string", "maxLength": 6}
  },
  "required": ["tone", "topics", "word"],
  "additionalProperties": false
}"""
EXAMPLE = """
[[examples]]
text = "It rained."
answer = { tone = "bad", topics = ["weather"], word = "rained" }
"""


@dataclass
class Outcome:
    """What one run told."""

    events: list[Event]

    def all(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def summary(self) -> Summary:
        assert isinstance(self.events[-1], Summary)
        return self.events[-1]

    @property
    def looked(self) -> Looked:
        return self.all(Looked)[0]

    @property
    def answered(self) -> int:
        return len(self.all(Answered))

    @property
    def recorded(self) -> int:
        return len(self.all(Recorded))

    @property
    def failures(self) -> list[Failed]:
        return self.all(Failed)

    @property
    def engine_started(self) -> bool:
        return any(event.shape for event in self.all(Opened))

    def plan(self, task: str = "tone") -> Planned:
        return next(event for event in self.all(Planned) if event.task == task)


class Nights:
    """A folder `docs` of documents and the job that reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "night.db"
        (path / "docs").mkdir()
        self.task("tone")

    def task(
        self,
        name: str,
        *,
        instructions: str = INSTRUCTIONS,
        schema: str = SCHEMA,
        examples: str = EXAMPLE,
        chunk: int = 400,
        answer: int = 120,
        options: str = "",
    ) -> None:
        prompts, schemas = self.path / "prompts", self.path / "schemas"
        prompts.mkdir(exist_ok=True)
        schemas.mkdir(exist_ok=True)
        options = f"[options]\nchunk_tokens = {chunk}\nmax_answer_tokens = {answer}\n{options}"
        (prompts / f"{name}.toml").write_text(f'instructions = "{instructions}"\n{options}{examples}')
        (schemas / f"{name}.json").write_text(schema)

    def write(self, name: str, content: str | bytes) -> Path:
        file = self.path / "docs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def letters(self, number: int) -> None:
        for i in range(number):
            self.write(f"{i:04}.txt", f"Letter number {i}. The weather was fine.")

    def run(
        self,
        *,
        tasks: Iterable[str] = ("tone",),
        limit: int | None = None,
        dry_run: bool = False,
        stop: Callable[[], Halt] = never,
        model_change: str = "redo",
        ocr: str = "auto",
        changes: str = "final",
        password: tuple[str, ...] = (),
        no_text: bool = False,
        **engine: Any,
    ) -> Outcome:
        given = {"model_change": model_change, "ocr": ocr, "changes": changes, "password": password}
        given["no_text"] = no_text
        job = self.job(tasks, limit=limit, **engine).model_copy(update=given)
        return Outcome(list(run(job, dry_run=dry_run, should_stop=stop)))

    def job(self, tasks: Iterable[str] = ("tone",), *, limit: int | None = None, **engine: Any) -> Job:
        return Job(
            database=self.database,
            model="scripted",
            tasks=tuple(
                JobTask(task=str(self.path / "prompts" / f"{task}.toml"), inputs=(self.path / "docs",))
                for task in tasks
            ),
            engine=EngineSettings(**engine),
            limit=limit,
        )

    def sql(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            return db.execute(query, parameters).fetchall()

    def change(self, sql: str) -> None:
        with closing(sqlite3.connect(self.database)) as db, db:
            db.execute(sql)

    def count(self, what: str) -> int:
        return int(self.sql(f"SELECT count(*) FROM {what}")[0][0])

    def check(self) -> None:
        """The file is whole, and every document is a record, a failure, or still to be done."""
        assert self.sql("PRAGMA integrity_check") == [("ok",)]
        assert self.sql("PRAGMA foreign_key_check") == []
        with Store.open(self.database, write=False) as store:
            for task in store.status():
                assert task.documents == task.done + task.failed + task.pending
                assert task.pending >= 0


class ReaderHere:
    """A worker of the reading stage without a process."""

    def __init__(self, handler: Callable[[Any], Any], **_limits: object) -> None:
        self.ask = handler

    def close(self) -> None:
        pass


def map_here(handler: Callable[[Any], Any], requests: Iterable[Any], **_limits: object) -> Iterator[tuple[Any, Any]]:
    for request in requests:
        try:
            yield request, handler(request)
        except NightdeskError as error:
            yield request, error


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody cuts the power here."""
    plain = Connection.execute

    def execute(self: Connection, sql: str, parameters: Any = (), /) -> Any:
        return plain(self, sql.replace("synchronous = FULL", "synchronous = OFF"), parameters)

    monkeypatch.setattr(Connection, "execute", execute)


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nights]:
    """Reading happens in this process: its workers have tests of their own, and starting them takes a second."""
    monkeypatch.setattr("pipeline.run.intake.map_ordered", map_here)
    monkeypatch.setattr("pipeline.run.intake.Worker", ReaderHere)
    monkeypatch.setattr("pipeline.run.scans.map_ordered", map_here)
    nights = Nights(tmp_path)
    yield nights
    if nights.database.exists():
        nights.check()


class Refusing:
    """An engine that cannot answer about some texts, or answers as it is told."""

    words = b"#refuse#"
    answer: bytes | None = None

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run(self, prompts: Iterable[Prompt], should_stop: Callable[[], Halt] = never) -> Iterator[Completion]:
        refused = []

        def others() -> Iterator[Prompt]:
            for prompt in prompts:
                self.asked += 1
                text = bytes(t for segment in prompt.segments for t in segment.tokens if t < 256)
                if self.words in text:
                    tokens, rows = tuple(self.answer or b""), (0.0,) * len(self.answer or b"")
                    stop = Stop.GRAMMAR if self.answer is None else Stop.END
                    refused.append(Completion(prompt.work_key, tokens, rows, rows, rows, Counts(), stop))
                else:
                    yield prompt

        yield from self._engine.run(others(), should_stop)
        yield from refused


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> list[Refusing]:
    """Engines refuse texts with `#refuse#`; those that were started."""
    started: list[Refusing] = []
    build = EngineSpec.build

    def wrapped(spec: EngineSpec) -> Refusing:
        started.append(Refusing(build(spec)))
        return started[-1]

    monkeypatch.setattr(EngineSpec, "build", wrapped)
    return started


@pytest.fixture
def answering(refusing: list[Refusing], monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Says how texts with `#refuse#` are answered."""
    return lambda answer: monkeypatch.setattr(Refusing, "answer", answer)

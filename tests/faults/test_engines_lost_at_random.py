"""The engine's process killed at random moments of a night: the database ends like that of an undisturbed one."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.config import Job, JobTask
from pipeline.engines.child import ChildEngine
from pipeline.engines.spec import EngineSpec
from pipeline.run import Recorded, run
from pipeline.store import Store

SCHEMA = {
    "type": "object",
    "properties": {"tone": {"enum": ["good", "bad"]}, "name": {"type": "string", "maxLength": 20}},
    "required": ["tone", "name"],
    "additionalProperties": False,
}
BETWEEN = 20  # rows at least between two kills, so that no document meets three of them


class Killer:
    """Ends the engine's process a moment after a row, whatever it is doing then: starting, loading, answering."""

    def __init__(self, seed: int) -> None:
        self.engines: list[ChildEngine] = []
        self.kills = 0
        self._chance = random.Random(seed)
        self._rows_left = self._chance.randint(1, BETWEEN)
        self._timers: list[threading.Timer] = []

    def row(self) -> None:
        self._rows_left -= 1
        if not self._rows_left:
            self._rows_left = BETWEEN + self._chance.randint(0, BETWEEN)
            number = self._chance.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
            timer = threading.Timer(self._chance.uniform(0.0, 0.05), self._kill, [number])
            self._timers.append(timer)
            timer.start()

    def _kill(self, number: int) -> None:
        process = self.engines[-1]._replicas[0].child._process
        with suppress(ProcessLookupError):
            if process is not None:
                os.kill(process.pid, number)
                self.kills += 1

    def join(self) -> None:
        for timer in self._timers:
            timer.join()


def night(path: Path, database: str, documents: int, killer: Killer | None = None) -> list[tuple[object, ...]]:
    """One night over these documents; its answers and rows."""
    for folder in ("docs", "prompts", "schemas"):
        (path / folder).mkdir(exist_ok=True)
    (path / "schemas/tone.json").write_text(json.dumps(SCHEMA))
    (path / "prompts/tone.toml").write_text('instructions = "Say the tone."\n[options]\nmax_answer_tokens = 60\n')
    for i in range(documents):
        (path / f"docs/{i:05}.txt").write_text(f"Letter number {i}. The weather was fine.")
    task = JobTask(task=str(path / "prompts/tone.toml"), inputs=(path / "docs",))
    for event in run(Job(database=path / database, model="scripted", tasks=(task,))):
        if killer is not None and isinstance(event, Recorded):
            killer.row()
    if killer is not None:
        killer.join()
    with Store.open(path / database, write=False) as store:
        assert store._all("PRAGMA integrity_check") == [("ok",)]
        (status,) = store.status()
        assert (status.documents, status.done, status.failed, status.pending) == (documents, documents, 0, 0)
        found = store._all(
            """SELECT f.name, e.raw, e.answer, t.tone, t.name FROM _files f JOIN _chunks c ON c.document = f.sha256
               JOIN _work w ON w.text_hash = c.text_hash JOIN _extractions e ON e.work = w.key
               JOIN _records r ON r.document = f.sha256 JOIN tone t ON t.id = r.id ORDER BY f.name"""
        )
    assert len(found) == documents
    return [tuple(row) for row in found]


@pytest.fixture
def rounds(tmp_path, monkeypatch):
    def with_kills(documents: int, seed: int) -> int:
        """The kills of a night that ended like one without any."""
        killer = Killer(seed)
        expected = night(tmp_path, f"undisturbed-{seed}.db", documents)
        with monkeypatch.context() as patch:

            def in_a_child(spec: EngineSpec) -> ChildEngine:
                killer.engines.append(ChildEngine(spec))
                return killer.engines[-1]

            patch.setattr(EngineSpec, "build", in_a_child)
            assert night(tmp_path, f"killed-{seed}.db", documents, killer) == expected
        return killer.kills

    return with_kills


def test_a_night_whose_engine_is_killed_at_random_ends_like_one_that_was_not(rounds):
    assert rounds(80, seed=1) >= 2


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_kills_of_the_engine_at_random_change_nothing(rounds):
    kills = rounds(6000, seed=2)
    print(f"{kills} kills of the engine's process over 6,000 documents")
    assert kills > 100

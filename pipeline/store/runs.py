"""Runs: who wrote when, with what, and how it ended."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.data import Counts
from pipeline.store.connection import Part, clean_path, now


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a run is known by. `settings` is JSON text; nothing in it names a password."""

    command: str
    settings: str = "{}"
    model: str = ""  # path of the model file
    model_sha256: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    cores: int = 0


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended: `done`, `failures`, `stopped`, `interrupted` ..., and what it did (documents, tokens)."""

    state: str
    counts: Counts
    done: int
    failed: int
    skipped: int
    seconds: float | None = None  # that the model worked


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as it is kept. Counts are of documents and tokens; None in a run that never ended."""

    id: int
    command: str
    model: str
    state: str
    started: str
    ended: str | None
    seconds: float | None  # that the model worked
    done: int | None
    failed: int | None
    skipped: int | None
    prefilled: int | None
    reused: int | None
    forced: int | None
    sampled: int | None


class Runs(Part):
    """The table `_runs`. States: running, crashed, and whatever `end_run` is told."""

    def begin_run(self, info: RunInfo) -> int:
        """Enter a run and give its id. Runs that never ended are marked `crashed`, with the tokens they saved."""
        with self.atomic():
            self._do("""
                UPDATE _runs SET state = 'crashed',
                    (prefilled, reused, forced, sampled) = (
                        SELECT coalesce(sum(prefilled), 0), coalesce(sum(reused), 0),
                               coalesce(sum(forced), 0), coalesce(sum(sampled), 0)
                        FROM _extractions WHERE run = _runs.id)
                WHERE state = 'running'""")
            row = self._one(
                """INSERT INTO _runs
                   (command, settings, model, model_sha256, versions, host, cores, pid, started)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id""",
                (
                    clean_path(info.command),
                    info.settings,
                    clean_path(info.model),
                    info.model_sha256,
                    json.dumps(dict(info.versions), sort_keys=True),
                    info.host,
                    info.cores,
                    os.getpid(),
                    now(),
                ),
            )
            return int(row[0])

    def end_run(self, run_id: int, end: RunEnd) -> None:
        """Say how a run ended."""
        with self.atomic():
            self._do(
                """UPDATE _runs SET state = ?, ended = ?, seconds = ?, done = ?, failed = ?, skipped = ?,
                   prefilled = ?, reused = ?, forced = ?, sampled = ? WHERE id = ?""",
                (
                    end.state,
                    now(),
                    end.seconds,
                    end.done,
                    end.failed,
                    end.skipped,
                    end.counts.prefilled,
                    end.counts.reused,
                    end.counts.forced,
                    end.counts.sampled,
                    run_id,
                ),
            )

    def last_runs(self, number: int) -> tuple[RunRow, ...]:
        """The newest runs, newest first."""
        rows = self._all(
            """SELECT id, command, model, state, started, ended, seconds, done, failed, skipped,
                      prefilled, reused, forced, sampled
               FROM _runs ORDER BY id DESC LIMIT ?""",
            (number,),
        )
        return tuple(RunRow(*row) for row in rows)

    def last_settings(self) -> str | None:
        """The settings of the newest run, as JSON text; None where there was none."""
        row = self._one("SELECT settings FROM _runs ORDER BY id DESC LIMIT 1")
        return None if row is None else str(row[0])

    def last_model(self) -> tuple[str, str] | None:
        """Name and sha256 (a server's: fingerprint) of the model of the newest run; None where there was none."""
        row = self._one("SELECT model, model_sha256 FROM _runs ORDER BY id DESC LIMIT 1")
        return None if row is None else (str(row[0]), str(row[1]))

    def note_shape(self, run_id: int, shape: str) -> None:
        """Keep how the engine was shaped: slots, cells, threads. It decides speed, not answers."""
        with self.atomic():
            self._do("UPDATE _runs SET shape = ? WHERE id = ?", (shape, run_id))

    def speed(self, model_sha256: str) -> tuple[float, float] | None:
        """Measured in earlier runs with this model: tokens evaluated a second, and output tokens of an answer."""
        tokens, seconds = self._one(
            """SELECT sum(prefilled + forced + sampled), sum(seconds) FROM _runs
               WHERE model_sha256 = ? AND seconds > 0""",
            (model_sha256,),
        )
        (answer,) = self._one(
            """SELECT avg(e.forced + e.sampled) FROM _extractions e JOIN _runs r ON r.id = e.run
               WHERE r.model_sha256 = ?""",
            (model_sha256,),
        )
        return (tokens / seconds, answer) if tokens and seconds and answer else None

"""`nightdesk status`: how far each task is, and how the last runs went."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli import options, screen

if TYPE_CHECKING:
    from pipeline.store.runs import RunRow

_RUNS = 5


def status(db: options.Db = None, key_from: options.KeyFrom = None) -> None:
    """Show how far each task is, and how the last runs went.

    \b
    Example:
      nightdesk status --db night.db
    """
    from pipeline.cli.keys import opened

    database = options.database(db)
    with opened(database, key_from) as store:
        tasks, runs = store.status(), store.last_runs(_RUNS)
    if not runs:
        screen.out(f"{screen.safe(str(database))} has seen no run yet.")
        return
    tasks_heads = ("task", "documents", "done", "incomplete", "failed", "pending", "gone", "in history")
    rows = [(t.task, t.documents, t.done, t.incomplete, t.failed, t.pending, t.gone, t.replaced) for t in tasks]
    screen.out(*screen.table(tasks_heads, rows), "")
    runs_heads = (
        "run",
        "started (UTC)",
        "took",
        "state",
        "done",
        "failed",
        "skipped",
        "tokens",
        "documents/hour",
        "model",
    )
    screen.out(*screen.table(runs_heads, map(_run, runs)))
    if any(task.failed or task.incomplete for task in tasks):
        screen.out("", f"What failed, and what to do about it: nightdesk failures {options.naming(database, key_from)}")


def _run(run: RunRow) -> tuple[str | int, ...]:
    started = run.started[:16].replace("T", " ")
    name = Path(run.model).name
    if run.ended is None:
        return (str(run.id), started, "", run.state, "", "", "", "", "", name)
    seconds = (_time(run.ended) - _time(run.started)).total_seconds()
    tokens = sum(count or 0 for count in (run.prefilled, run.reused, run.forced, run.sampled))
    done = run.done or 0
    speed = round(done / run.seconds * 3600) if run.seconds else 0
    counts = (done, run.failed or 0, run.skipped or 0, tokens, speed)
    return (str(run.id), started, screen.duration(seconds), run.state, *counts, name)


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)

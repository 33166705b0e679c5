"""`nightdesk failures`: what could not be done, why, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options, screen

if TYPE_CHECKING:
    from pipeline.store import Failed

_MOST_NAMED = 3  # files that hold the same bytes
_LONG = 160  # characters: the next step of an unknown suffix names all that are read


def failures(
    db: options.Db = None,
    key_from: options.KeyFrom = None,
    task: options.TaskName = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array, with all that is known.")] = False,
) -> None:
    """List what could not be read or answered, why, and what to do about it.

    \b
    Examples:
      nightdesk failures --db night.db
      nightdesk failures --task invoices --json
    """
    from pipeline.cli.keys import opened

    database = options.database(db)
    with opened(database, key_from) as store:
        if task is not None:
            store.require_task(task)
        if as_json:
            kept = [
                {
                    **asdict(f.failure),
                    "same_bytes": [] if f.failure.work_key else store.same_bytes(f.failure),
                    "tries": f.tries,
                    "runs": [f.first_run, f.last_run],
                }
                for f in store.failures(task)
            ]
            screen.out(json.dumps(kept, ensure_ascii=False, indent=2))
            return
        count = 0
        hints: set[str] = set()
        for failed in store.failures(task):
            _show(failed, [] if failed.failure.work_key else store.same_bytes(failed.failure), hints)
            count += 1
    if count:
        retry = f"nightdesk retry {options.naming(database, key_from)}"
        screen.out("", f"{screen.counted(count, 'failure')}. `{retry}` lets them be tried again.")
    else:
        screen.out("No failures.")


def _show(failed: Failed, same: list[str], hints: set[str]) -> None:
    """Print one failure. A long next step is said once: `hints` are those that were said."""
    failure = failed.failure
    where = f"{failure.task}, {failure.stage}" if failure.task else failure.stage
    screen.out(
        screen.styled(failure.subject, "bold"),
        f"  {screen.safe(f'{where}: {failure.message}')}  [{failure.error}, {_tried(failed.tries)}]",
    )
    if failure.hint:
        again = failure.hint in hints and len(failure.hint) > _LONG
        screen.out("  The next step is the one above." if again else f"  {screen.safe(failure.hint)}")
        hints.add(failure.hint)
    if same:
        more = f" and {len(same) - _MOST_NAMED:,} more" if len(same) > _MOST_NAMED else ""
        screen.out(f"  The same bytes: {screen.safe(', '.join(same[:_MOST_NAMED]))}{more}")


def _tried(tries: int) -> str:
    return {0: "to be tried again", 1: "tried once", 2: "tried twice"}.get(tries, f"tried {tries} times")

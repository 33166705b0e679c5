"""`nightdesk purge`: documents out of the database, with everything that was made of them."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options, screen
from pipeline.errors import JobError, StoreError, UserError

if TYPE_CHECKING:
    from pipeline.store import Store


def purge(
    documents: Annotated[
        list[str] | None, typer.Argument(metavar="DOCUMENT...", help="Paths, or the sha256 of documents.")
    ] = None,
    older_than: Annotated[str | None, typer.Option(metavar="90d", help="All that were read before this time.")] = None,
    db: options.Db = None,
    key_from: options.KeyFrom = None,
) -> None:
    """Delete documents from the database for good: texts, answers, rows, evidence, history.

    The deleted is overwritten in the database's file. Your own files are not touched: what still lies in a folder that
    a run reads is read again. Beginnings of prompts that runs have kept (prefix_cache) go too. Exports and backups are
    yours to delete. With --older-than you are asked first, if you sit at a terminal.

    \b
    Examples:
      nightdesk purge scans/0017.pdf --db night.db
      nightdesk purge --older-than 90d
    """
    from pipeline.cli.keys import opened
    from pipeline.engines.prefix_cache import clear

    if bool(documents) == (older_than is not None):
        raise UserError("Name documents or --older-than, one of the two.", hint="See `nightdesk purge --help`.")
    database = options.database(db)
    before = None if older_than is None else _before(older_than)
    if not database.is_file():  # a writer would make one
        raise StoreError(f"There is no database at {database}.", hint="`nightdesk run` makes one.")
    with opened(database, key_from, write=True) as store:
        found = _named(store, documents or []) if before is None else store.documents_before(before)
        asked = before is not None and found and sys.stdin.isatty()
        if asked and not typer.confirm(f"Delete {screen.counted(len(found), 'document')} for good?", err=True):
            screen.out("Nothing was deleted.")
            return
        purged = store.purge(found)
    screen.out(
        f"Deleted: {screen.counted(purged.documents, 'document')}, {screen.counted(purged.rows, 'row')}, "
        f"{screen.counted(purged.answers, 'answer')}."
    )
    if beginnings := clear():
        screen.out(f"Removed: {screen.counted(beginnings, 'kept beginning')} of prompts, which hold tasks' examples.")
    there = sum(Path(path).exists() for path in purged.paths)
    if there:
        are = "1 of its files still lies" if there == 1 else f"{there:,} of their files still lie"
        screen.out(f"{are} on the disk; the next run over them reads them again.")


def _named(store: Store, subjects: list[str]) -> set[str]:
    found: set[str] = set()
    for subject in subjects:
        here = store.documents_at(options.absolute(subject)) or store.documents_at(subject)
        if not here:
            raise JobError(f"The database knows no document {subject}; nothing was deleted.", hint="Check the path.")
        found.update(here)
    return found


def _before(age: str) -> str:
    import pydantic

    from pipeline.config import Duration

    try:
        span = pydantic.TypeAdapter(Duration).validate_python(age)
        return (datetime.datetime.now(datetime.UTC) - span).isoformat(timespec="milliseconds")
    except (pydantic.ValidationError, OverflowError):
        raise UserError(f"--older-than: {age!r} is no time span.", hint="Write it as 90d or 12h.") from None

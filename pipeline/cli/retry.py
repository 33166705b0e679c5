"""`nightdesk retry`: let what failed be tried again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options, screen
from pipeline.errors import JobError, StoreError


def retry(
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE...", help="These files; default: all.")] = None,
    db: options.Db = None,
    key_from: options.KeyFrom = None,
    task: options.TaskName = None,
) -> None:
    """Let what failed be tried again by the next run.

    What failed twice is left alone until then, so that a bad file does not cost time every night. Only a file that
    the next run would read otherwise (`nightdesk help running`) is tried again without this.

    \b
    Examples:
      nightdesk retry --db night.db
      nightdesk retry scans/0017.pdf
    """
    from pipeline.cli.keys import opened

    database = options.database(db)
    if not database.is_file():  # a writer would make one
        raise StoreError(f"There is no database at {database}.", hint="`nightdesk run` makes one.")
    subjects = [options.absolute(file) for file in files] if files else None
    with opened(database, key_from, write=True) as store:
        if task is not None:
            store.require_task(task)
        count = store.retry(task=task, subjects=subjects)
    if files and not count:
        named = screen.listed([str(file) for file in files], "or")
        raise JobError(f"No failure of {named} is kept.", hint="`nightdesk failures` lists those that are.")
    screen.out(
        f"The next run tries {screen.counted(count, 'failure')} again." if count else "There is nothing to retry."
    )

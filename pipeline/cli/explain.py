"""`nightdesk explain`: why a document was, was not or will be run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options, screen
from pipeline.errors import NightdeskError

if TYPE_CHECKING:
    from pipeline.store import Store

_CHANGES = {"final": "read as accepted", "original": "read as refused", "all": "all read, with marks"}


def explain(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A path, or the sha256 of a document.")],
    db: options.Db = None,
    key_from: options.KeyFrom = None,
) -> None:
    """Say why a document was, was not or will be run.

    \b
    Example:
      nightdesk explain scans/0017.pdf --db night.db
    """
    from pipeline.cli.keys import opened

    with opened(options.database(db), key_from) as store:
        path = options.absolute(file)
        recipes = _next_recipes(store)
        known = store.explain(path, recipes)
        if not known.paths:
            known = store.explain(file, recipes)  # perhaps a sha256
        if not known.paths:
            screen.out(f"No run into this database has seen {screen.safe(file)}. {_unseen(Path(file))}")
            return
        asked, *others = sorted(known.paths, key=lambda other: other != path)  # what was asked about comes first
        screen.out(screen.styled(asked, "bold"))
        for other in others:
            screen.out(f"  the same bytes: {screen.safe(other)}")
        screen.out(f"  document: {known.document or 'could not be read'}")
        differs = _on_disk(store, path) if path in known.paths else []
        screen.out(*differs)
        if known.changes:
            screen.out(f"  its tracked changes: {_CHANGES[known.changes]} (--changes {known.changes})")
            if (wanted := _changes(store.last_settings(), known.changes)) != known.changes:
                screen.out(f"    The newest job says --changes {wanted}: its next run reads the file again.")
        marks = {v.task: store.marks(v.task, v.row) for v in known.verdicts if v.row is not None}
    for verdict in known.verdicts:
        row = f" Row {verdict.row} of table {verdict.task}." if verdict.row is not None else ""
        outdated = differs and not others and verdict.state == "done"
        reason = "Its row is of the file as it was." if outdated else verdict.reason
        screen.out(f"  {screen.styled(verdict.task, 'bold')}: {verdict.state}. {screen.safe(reason)}{row}")
        if marks.get(verdict.task):
            screen.out(f"    marked: {screen.safe(marks[verdict.task])}")
    if not known.verdicts:
        screen.out("  No task reads it.")
    for failed in known.failures:
        screen.out(f"  failed ({failed.failure.stage}): {screen.safe(failed.failure.message)}")
        if failed.failure.hint:
            screen.out(f"    {screen.safe(failed.failure.hint)}")


def _unseen(file: Path) -> str:
    """What to do about a path that no run has seen."""
    if file.is_dir():
        return "It is a folder: name a file in it, or look at `nightdesk status`."
    return "The next run over its folder reads it." if file.is_file() else "Check the path."


def _next_recipes(store: Store) -> dict[str, dict[str, str]] | None:
    """What the last job would do if it ran again now; None where its tasks or its model cannot be loaded any more."""
    from pipeline.run import recipes

    settings, model = store.last_settings(), store.last_model()
    if settings is None or model is None:
        return None
    if "://" in json.loads(settings)["engine"]["engine"]:
        screen.note(
            f"The server is not asked: it is taken to hold the model of the newest run, {screen.safe(model[0])}."
        )
    try:
        return recipes(settings, model)
    except NightdeskError as error:
        screen.note(f"The newest job cannot be compared with what ran: {error.message}")
        return None


def _changes(settings: str | None, otherwise: str) -> str:
    """How the newest job reads tracked changes."""
    return str(json.loads(settings or "{}").get("changes", otherwise))


def _on_disk(store: Store, path: str) -> list[str]:
    """Whether the file is still the one that was read."""
    row, file = store.file(path), Path(path)
    if row is None or "!/" in path:  # an attachment lies in its mail
        return []
    try:
        facts = file.stat()
        if (facts.st_size, facts.st_mtime_ns) == (row.size, row.mtime_ns):
            return []
        with file.open("rb") as stream:
            same = hashlib.file_digest(stream, "sha256").hexdigest() == row.sha256
    except OSError as error:
        return [f"  The file is gone or cannot be read now: {error.strerror}."]
    return [] if same else ["  The file has changed since it was read; the next run reads it again."]

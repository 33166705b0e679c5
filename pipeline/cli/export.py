"""`nightdesk export`: a task's rows as a file for other programs."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated, TextIO

import typer

from pipeline.cli import options, screen
from pipeline.errors import UserError


def export(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Whose rows.")],
    db: options.Db = None,
    key_from: options.KeyFrom = None,
    form: Annotated[
        str, typer.Option("--format", "-f", metavar="jsonl|csv|langextract", help="What to write.")
    ] = "jsonl",
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: stdout.")] = None,
    table: Annotated[
        str | None, typer.Option(metavar="NAME", help="CSV: a list of the task, such as items, or `evidence`.")
    ] = None,
    with_evidence: Annotated[
        bool, typer.Option("--with-evidence", help="JSON Lines: where each value stands in its document.")
    ] = False,
    rectangles: Annotated[
        bool, typer.Option("--rectangles", help="With --with-evidence: where it stands on the pages of a PDF.")
    ] = False,
) -> None:
    """Write a task's rows as JSON Lines, as CSV, or with the documents' text for langextract's viewer.

    \b
    Examples:
      nightdesk export receipts --db night.db --format csv -o receipts.csv
      nightdesk export invoices --format csv --table items
      nightdesk export contracts --with-evidence | jq .
      nightdesk export contracts --with-evidence --rectangles -o contracts.jsonl
    """
    from pipeline.cli.keys import opened
    from pipeline.run.rectangles import places
    from pipeline.sinks import export as write

    if rectangles and (form != "jsonl" or not with_evidence):
        raise UserError("Rectangles are part of the evidence in JSON Lines.", hint="Add --with-evidence.")
    with ExitStack() as stack:
        store = stack.enter_context(opened(options.database(db), key_from))
        found = stack.enter_context(places(store)) if rectangles else None
        looked_up = None if found is None else found.of
        if output is None:
            # As the format wants it, whatever the terminal's encoding and line ends are.
            stream = io.TextIOWrapper(sys.stdout.buffer, "utf-8", newline="")
            try:
                write(store, task, form, stream, with_evidence, table, looked_up)
                stream.flush()
            finally:
                with suppress(ValueError, BrokenPipeError):
                    stream.detach()
        else:
            with _replacing(output) as file:
                count = write(store, task, form, file, with_evidence, table, looked_up)
            screen.note(f"{screen.counted(count, 'row')} written to {screen.safe(str(output))}.")
        if found is not None and found.unknown:
            screen.note(
                f"{screen.counted(found.unknown, 'PDF')} could not be searched for rectangles: gone, changed, "
                "encrypted, or inside another file."
            )


@contextmanager
def _replacing(output: Path) -> Iterator[TextIO]:
    """A file (0600) that takes the place of `output` when it is whole; a pipe or a device is written as it is."""
    try:
        if output.exists() and not output.is_file():
            with output.open("w", encoding="utf-8", newline="") as stream:
                yield stream
            return
        # Without a name until it is whole, so that a process that is killed leaves nothing behind.
        with tempfile.TemporaryFile("w+", encoding="utf-8", newline="", dir=output.parent) as stream:
            yield stream
            stream.seek(0)
            whole = output.with_name(f".{output.name}.whole")  # one name, so that the next export removes it
            whole.unlink(missing_ok=True)
            with open(whole, "x", encoding="utf-8", newline="", opener=_private) as named:
                shutil.copyfileobj(stream, named)
            whole.replace(output)
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror}.", hint="Name another file with -o.") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)

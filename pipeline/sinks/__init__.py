"""Sinks: what the store found, written elsewhere. They only read, and may be run again at any time.

A member of this room is a module with a function `write(export, out) -> int` that gives the number of rows written;
its name is the name of the format. A sink knows no model, no prompt and no SQL.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO, cast

from pipeline.data import Evidence, Rectangle
from pipeline.errors import UserError
from pipeline.store import Store, Table

Places = Callable[[str, Sequence[Evidence]], list[tuple[Rectangle, ...]] | None]
"""The rectangles of a document's (sha256) evidence, piece by piece; None where they cannot be known."""

EVIDENCE = "evidence"
"""The name under which a table export gives the evidence of a task."""


@dataclass(frozen=True, slots=True)
class Export:
    """What is to be written: a task's rows; with `table`, one child table of it or its evidence."""

    store: Store
    task: str
    tables: Table
    table: Table | None = None  # None: the task's own; only for formats of one table
    evidence: bool = False  # with the evidence of each row
    only_evidence: bool = False  # nothing but the evidence
    places: Places | None = None  # the evidence with its rectangles


class Sink(Protocol):
    """A module of this room."""

    def write(self, export: Export, out: TextIO) -> int:
        """Write the rows to `out`, which was opened with newline=""; how many."""
        ...


def formats() -> tuple[str, ...]:
    """The formats there are, by name."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def export(
    store: Store,
    task: str,
    format: str,
    out: TextIO,
    with_evidence: bool = False,
    table: str | None = None,
    places: Places | None = None,
) -> int:
    """Write a task's rows to `out`; how many. `table` is a list of the task (`items`), its table, or `evidence`.

    `places` adds rectangles to the evidence of JSON Lines.
    """
    if format not in formats():
        raise UserError(f"There is no format {format!r}.", hint=f"Formats are {', '.join(formats())}.")
    store.require_task(task)
    tables = store.tables(task)
    sink = cast(Sink, importlib.import_module(f"{__name__}.{format}"))
    only_evidence = table == EVIDENCE and _named(tables, EVIDENCE) is None
    chosen = None
    if table is not None and not only_evidence:
        chosen = _named(tables, table)
        if chosen is None:
            names = ", ".join([*(t.name for t in tables.all()), EVIDENCE])
            raise UserError(f"{task} has no table {table!r}.", hint=f"Its tables: {names}.")
    return sink.write(Export(store, task, tables, chosen, with_evidence, only_evidence, places), out)


def _named(tables: Table, name: str) -> Table | None:
    return next((table for table in tables.all() if name in (table.name, table.key)), None)

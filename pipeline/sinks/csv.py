"""CSV (RFC 4180): one table at a time, the task's own or one of its lists, or its evidence.

A list's rows carry `parent`, the `id` of the row they belong to. What a spreadsheet would take for a formula gets an
apostrophe in front; plain numbers stay as they are.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import astuple
from typing import TextIO

from pipeline.errors import UserError
from pipeline.sinks import Export

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # spreadsheets read the wide forms too
_PLAIN_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*", re.ASCII)


def write(export: Export, out: TextIO) -> int:
    """Write the rows with a line of column names; how many."""
    if export.evidence:
        raise UserError(
            "A CSV file holds one table, so evidence does not fit beside the rows.",
            hint="Use --format jsonl, or write the evidence as a file of its own: --table evidence.",
        )
    # \r\n also makes the writer quote a lone \r or \n inside a cell.
    writer = csv.writer(out, lineterminator="\r\n")
    names, rows = _evidence(export) if export.only_evidence else _table(export)
    writer.writerow(map(defused, names))
    count = 0
    for row in rows:
        writer.writerow(map(defused, row))
        count += 1
    return count


def _table(export: Export) -> tuple[Iterable[str], Iterator[Iterable[object]]]:
    table = export.table or export.tables
    return export.store.columns(table), (row.values() for row in export.store.rows(table))


def _evidence(export: Export) -> tuple[Iterable[str], Iterator[Iterable[object]]]:
    names = ("path", "quote", "found", "start_char", "end_char", "page", "occurrences", "confidence", "place")
    return ("record", "file", *names), (
        (row["id"], row["file"], *astuple(item))
        for row in export.store.rows(export.tables)
        for item in export.store.evidence(row["id"])
    )


def defused(cell: object) -> object:
    """The cell as no spreadsheet would run it."""
    if isinstance(cell, str) and cell.startswith(_FORMULA) and not _PLAIN_NUMBER.fullmatch(cell):
        return "'" + cell
    return cell

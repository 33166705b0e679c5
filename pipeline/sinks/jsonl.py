"""JSON Lines: a line a document, columns as in the task's table, lists as arrays. UTF-8, not escaped."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, TextIO

from pipeline.errors import UserError
from pipeline.sinks import Export
from pipeline.store import Table


def write(export: Export, out: TextIO) -> int:
    """Write the rows; how many."""
    if export.table is not None or export.only_evidence:
        raise UserError(
            "JSON Lines hold whole documents, not one table.", hint="Leave the table away, or use --format csv."
        )
    count = 0
    for row in export.store.nested(export.task):
        evidence = export.store.evidence(row["id"]) if export.evidence else []
        line = {**row, **_lists(export.tables, row)}
        if export.evidence:
            key = "evidence"
            while key in line:
                key += "_"
            line[key] = [{_UNITS.get(name, name): value for name, value in asdict(item).items()} for item in evidence]
            if export.places is not None:
                places = export.places(row["document"], evidence)
                for number, piece in enumerate(line[key]):
                    piece["rectangles"] = None if places is None else [asdict(one) for one in places[number]]
        json.dump(line, out, ensure_ascii=False)
        out.write("\n")
        count += 1
    return count


_UNITS = {"start": "start_char", "end": "end_char"}


def _lists(table: Table, row: dict[str, Any]) -> dict[str, list[Any]]:
    """The lists of a row without the columns that only join tables; a list of plain items is just that."""
    lists: dict[str, list[Any]] = {}
    for child in table.children:
        plain = len(child.columns) == 1 and child.columns[0].path == () and not child.children
        lists[child.key] = [
            item[child.columns[0].name]
            if plain
            else {
                **{name: value for name, value in item.items() if name not in ("id", "parent", "position")},
                **_lists(child, item),
            }
            for item in row[child.key]
        ]
    return lists

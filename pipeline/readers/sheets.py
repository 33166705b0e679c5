"""What all spreadsheets share: cells -> the lines of a page, without the empty stretches."""

from __future__ import annotations

import re

from pipeline.errors import ReadError
from pipeline.readers import PageText

_MOST_CELLS = 2_000_000
_MOST_CHARACTERS = 64 << 20
_PLAIN_NAME = re.compile(r"[^\W\d]\w*")


class Sheets:
    """Collects one file's sheets and bounds them together."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._cells = self._characters = 0
        self._rows: dict[int, dict[int, str]] = {}

    def put(self, row: int, column: int, text: str, *, rows: int = 1, columns: int = 1) -> None:
        """A cell of the sheet at hand, or a stretch of equal ones, counted from 1. Raises ReadError limits.

        Line ends within become spaces; an empty cell is none.
        """
        text = " ".join(text.split())
        if not text:
            return
        self._cells += rows * columns
        self._characters += rows * columns * len(text)
        if self._cells > _MOST_CELLS or self._characters > _MOST_CHARACTERS:
            raise ReadError(
                f"{self._name} has more than {_MOST_CELLS} filled cells or {_MOST_CHARACTERS >> 20} million characters",
                code="limits",
                hint="Save the part that matters as a file of its own.",
            )
        for below in range(row, row + rows):
            self._rows.setdefault(below, {}).update(dict.fromkeys(range(column, column + columns), text))

    def merge(self, top: int, left: int, bottom: int, right: int) -> None:
        """These cells of the sheet at hand are one, which shows its first cell and hides what the others hold."""
        for row in range(top, bottom + 1) if bottom - top < len(self._rows) else list(self._rows):
            cells = self._rows.get(row, {}) if top <= row <= bottom else {}
            hidden = [column for column in cells if left <= column <= right and (row, column) != (top, left)]
            for column in hidden:
                del cells[column]
            if hidden and not cells:
                del self._rows[row]

    def page(self, title: str, below: list[str]) -> PageText:
        """The sheet as text, and a new one begins: its name, its rows as `cell | cell`, then what stands `below`.

        Columns in which no cell is filled are left out, and so are empty rows, but for a blank line where they
        part two tables. Each row is a place by its cells, `Costs!A5:D5`; the rest is `sheet Costs`.
        """
        columns = sorted({column for cells in self._rows.values() for column in cells})
        if not columns and not below:
            return PageText("")
        lines = [title, ""] if title else []
        places = [(0, f"sheet {title}")] if title else []
        at = sum(len(line) + 1 for line in lines)
        before = None
        for row in sorted(self._rows):
            cells = self._rows[row]
            if before is not None and row > before + 1:
                lines.append("")
                at += 1
            lines.append(" | ".join([cells.get(column, "") for column in columns]).rstrip(" |"))
            places.append((at, cells_of_row(row, min(cells), max(cells), title)))
            at += len(lines[-1]) + 1
            before = row
        self._rows = {}
        if below:
            places.append((at, f"sheet {title}" if title else ""))
            lines.extend(("", *below))
        return PageText("\n".join(lines), places=tuple(places))


def cells_of_row(row: int, first: int, last: int, sheet: str = "") -> str:
    """The cells of a row as spreadsheets name them: `A5:D5`, `B5`, `Costs!A5:D5`, `'Costs 2025'!A5:D5`."""
    place = f"{_letters(first)}{row}" + (f":{_letters(last)}{row}" if last > first else "")
    if not sheet:
        return place
    quoted = sheet if _PLAIN_NAME.fullmatch(sheet) else "'" + sheet.replace("'", "''") + "'"
    return f"{quoted}!{place}"


def _letters(column: int) -> str:
    letters = ""
    while column > 0:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters

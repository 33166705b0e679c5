"""What all spreadsheets share: cells -> the lines of a page, without the empty stretches."""

from __future__ import annotations

from pipeline.errors import ReadError

_MOST_CELLS = 2_000_000
_MOST_CHARACTERS = 64 << 20


class Sheets:
    """Collects one file's sheets and bounds them together."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._cells = self._characters = 0
        self._rows: dict[int, dict[int, str]] = {}

    def put(self, row: int, column: int, text: str, *, rows: int = 1, columns: int = 1) -> None:
        """A cell of the sheet at hand, or a stretch of equal ones. Raises ReadError limits.

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

    def page(self, title: str, below: list[str]) -> str:
        """The sheet as text, and a new one begins: its name, its rows as `cell | cell`, then what stands `below`.

        Columns in which no cell is filled are left out, and so are empty rows, but for a blank line where they
        part two tables.
        """
        columns = sorted({column for cells in self._rows.values() for column in cells})
        lines: list[str] = []
        before = None
        for row in sorted(self._rows):
            cells = self._rows[row]
            if before is not None and row > before + 1:
                lines.append("")
            lines.append(" | ".join([cells.get(column, "") for column in columns]).rstrip(" |"))
            before = row
        self._rows = {}
        if not lines and not below:
            return ""
        return "\n\n".join(piece for piece in (title, "\n".join(lines), "\n".join(below)) if piece)

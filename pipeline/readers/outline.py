"""Names for the lines of a text without pages: its paragraphs and rows, counted from the heading above them."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.readers import PageText

_LONGEST_HEADING = 60


class Outline:
    """Collects where paragraphs, rows and headings begin, by the number of their line counted from 0, in order.

    What stands behind a paragraph (notes, comments, boxes) is in its place.
    """

    def __init__(self) -> None:
        self._found: list[tuple[int, str]] = []
        self._heading = ""
        self._paragraphs = self._tables = self._rows = 0

    def heading(self, line: int, text: str) -> None:
        """A heading is its own place, and counting begins anew below it."""
        words = " ".join(text.split())
        self._heading = words if len(words) <= _LONGEST_HEADING else words[: _LONGEST_HEADING - 1] + "…"
        self._paragraphs = self._tables = self._rows = 0
        self._found.append((line, self._heading))

    def paragraph(self, line: int, text: str) -> None:
        """Paragraphs without a text are not counted: nobody sees them."""
        if text.strip():
            self._paragraphs += 1
            self._add(line, f"paragraph {self._paragraphs}")

    def table(self) -> None:
        """A table begins."""
        self._tables += 1
        self._rows = 0

    def row(self, line: int) -> None:
        """The next row of the table."""
        self._rows += 1
        self._add(line, f"table {self._tables}, row {self._rows}")

    def page(self, lines: Sequence[str], *, headers: Sequence[str] = (), footers: Sequence[str] = ()) -> PageText:
        """The lines as a page with its places, between headers and footers."""
        starts, at = [], 0
        for line in lines:
            starts.append(at)
            at += len(line) + 1
        body = [(starts[line], label) for line, label in self._found if line < len(starts)]
        text, places = "", []
        parts = ((headers, [(0, "page header")]), (["\n".join(lines)], body), (footers, [(0, "page footer")]))
        for pieces, found in parts:
            piece = "\n\n".join(one for one in pieces if one.strip())
            if piece:
                text += "\n\n" if text else ""
                places += [(len(text) + start, label) for start, label in found]
                text += piece
        return PageText(text, places=tuple(places))

    def _add(self, line: int, label: str) -> None:
        self._found.append((line, f"{self._heading}, {label}" if self._heading else label))

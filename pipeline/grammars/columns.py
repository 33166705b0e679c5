"""Columns of a table in plain text: the cells of its rows, and which of them stands below a word of its header.

A cell ends at a mark (|), a tab, a gap of two blanks or a line's end; a row that shows none of these is cut around its
figures. The header is what stands right above the first row. Its parts and a row's cells are counted from the right:
what stands before the figures is cut in more ways than the figures are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from pipeline.schema import as_label, label_pattern

Window = tuple[int, int]

HEADER_LINES = 2  # above the first row, of which one may be a rule
GAP = re.compile(r"\s*\|\s*|\t|\s{2,}")
_WORD = re.compile(r"\S*(?:[^\W\d_]|[#№])\S*")


def cells_of_line(line: str) -> list[Window]:
    """Where the cells of a line stand that has something: between marks and gaps, without the frame around it."""
    start, end = len(line) - len(line.lstrip()), len(line.rstrip())
    if line[start] == "|":
        start += 1
        end -= line[start:end].endswith("|")
    cuts = [start, *(at for gap in GAP.finditer(line, start, end) for at in gap.span()), end]
    return list(zip(cuts[::2], cuts[1::2], strict=True))


def cells_of_row(text: str, lines: Sequence[Sequence[Window]], figures: Iterable[Window]) -> list[Window]:
    """The cells of a row, whose further lines count where each is one cell without letters. `figures` are the numbers
    of the text in the order in which they are taken; what begins in one that is taken is none."""
    cells = list(lines[0])
    if len(cells) == 1:
        for line in lines[1:]:
            if len(line) != 1 or _WORD.search(text, *line[0]):
                break
            cells += line
    return _cut(text, cells[0], figures) if len(cells) == 1 else cells


def _cut(text: str, cell: Window, figures: Iterable[Window]) -> list[Window]:
    start, parts = cell[0], []
    for low, high in figures:
        if start <= low and high <= cell[1]:
            parts += [(start, low), (low, high)]
            start = high
    return [part for one in [*parts, (start, cell[1])] if (part := _stripped(text, one))[0] < part[1]]


def _stripped(text: str, window: Window) -> Window:
    """Without what is neither letter nor digit at its ends."""
    low, high = window
    while low < high and not text[low].isalnum():
        low += 1
    while low < high and not text[high - 1].isalnum():
        high -= 1
    return low, high


@dataclass(frozen=True, slots=True)
class Header:
    """The parts of a table's header, as they are searched for words: `ends` is where each ends in `label`."""

    label: str = field(repr=False)
    ends: tuple[int, ...]

    @classmethod
    def of(cls, text: str, parts: Iterable[Window]) -> Header:
        """Of these parts of the text, a blank behind each."""
        said = [as_label(text[start:end]) + " " for start, end in parts]
        return cls("".join(said), tuple(accumulate(map(len, said))))

    def below(self, word: re.Pattern[str], cells: Sequence[Window]) -> Window | None:
        """The cell of a row below the last part that the word ends in; None where there is none, or where the header
        has more parts than the row and the word is not in the last."""
        found = [match.end() for match in word.finditer(self.label)]
        from_right = sum(end > found[-1] for end in self.ends) if found else 0
        certain = len(self.ends) <= len(cells) or from_right == 1
        return cells[-from_right] if certain and 0 < from_right <= len(cells) else None


def header_above(text: str, lines: Sequence[Sequence[Window]], first: int, cells: int) -> Header:
    """The header of a table whose first row begins at line `first` and has so many cells: the parts of the line above,
    or its words where it shows none, or lines of a word or two each. Without parts where there is none."""
    above = [line[0] for line in lines[max(first - cells, 0) : first] if len(line) == 1]
    if len(lines[first]) == 1 and len(above) == cells and all(len(_WORD.findall(text, *one)) <= 2 for one in above):
        return Header.of(text, above)
    for line in reversed(lines[max(first - HEADER_LINES, 0) : first]):
        if any(_WORD.search(text, *cell) for cell in line):
            words = (match.span() for match in _WORD.finditer(text, *line[0]))
            return Header.of(text, line if len(line) > 1 else words)
    return NO_HEADER


NO_HEADER = Header("", ())


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table, with the header of the table."""

    header: Header
    cells: Sequence[Window]

    def below(self, near: Iterable[str]) -> list[Window]:
        """For each word that stands in the header, the cell below it."""
        found = (self.header.below(label_pattern(word), self.cells) for word in near)
        return [cell for cell in found if cell is not None]

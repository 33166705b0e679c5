"""CSV and its kin (semicolons, tabs, bars): one line a row, cells as `cell | cell`.

Kept: every cell, as it is written, in its row, which is a place (`A5:D5`); the header as the first row. Lost: quotes,
line ends within a cell (they become spaces), rows without content. Rows are not spelt out as `header: value`: that
repeats each header in each row (2.6 times the characters on a table of eight columns), and a value would no longer
stand next to its neighbours as in the file.
"""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterator

from pipeline.errors import ReadError
from pipeline.readers import PageText, Reading, ReadOptions, decoding
from pipeline.readers.sheets import cells_of_row

SUFFIXES = (".csv", ".tsv")
VERSION = f"2 ({decoding.VERSION})"

_DELIMITERS = ",;\t|"
_SAMPLE_ROWS = 100
_SAMPLE_CHARACTERS = 65536

csv.field_size_limit(2**31 - 1)  # a setting of the whole process; a big cell is no error here


def recognises(content: bytes) -> bool:
    """Any text: a table of one column has no delimiter."""
    return decoding.is_text(content)


def read(content: bytes, name: str, options: ReadOptions) -> Reading:  # noqa: ARG001 - the contract's signature
    """Find the delimiter and read the rows."""
    text = decoding.decode(content).replace("\r\n", "\n").replace("\r", "\n")
    first, _, rest = text.partition("\n")
    if first.startswith("sep=") and len(first) == 5:  # Excel's own mark
        delimiter, text = first[4], rest
    else:
        delimiter = _delimiter(text[:_SAMPLE_CHARACTERS])
    try:
        rows = [[" ".join(cell.split()) for cell in row] for row in _rows(text, delimiter)]
    except csv.Error as error:
        raise ReadError(
            f"{name} is a broken CSV file ({error})", code="broken", hint="Save it again from its program."
        ) from None
    lines: list[str] = []
    places: list[tuple[int, str]] = []
    at = 0
    for number, row in enumerate(rows, start=1):
        filled = [column for column, cell in enumerate(row, start=1) if cell]
        line = " | ".join(row).rstrip(" |")
        if line:
            lines.append(line)
            places.append((at, cells_of_row(number, filled[0], filled[-1])))
            at += len(line) + 1
    return Reading((PageText("\n".join(lines), places=tuple(places)),))


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    lines = (line + "\n" for line in text.split("\n"))
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True)


def _delimiter(sample: str) -> str:
    """The one that cuts most rows into the same number of cells, and of two such the one with more cells."""

    def merit(delimiter: str) -> tuple[float, int]:
        rows = itertools.islice(_rows(sample, delimiter), _SAMPLE_ROWS)
        widths = Counter(len(row) for row in rows if any(row))
        width, times = max(widths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        return (times / widths.total(), width) if width > 1 else (0.0, 1)

    return max(_DELIMITERS, key=merit)

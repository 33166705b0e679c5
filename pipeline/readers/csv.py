"""CSV and its kin (semicolons, tabs, bars): one line a row, cells as `cell | cell`.

Kept: every cell, as it is written, in its row; the header as the first row. Lost: quotes, line ends within a cell
(they become spaces), rows without content. Rows are not spelt out as `header: value`: that repeats each header in each
row (2.6 times the characters on a table of eight columns), and a value would no longer stand next to its neighbours
as in the file.
"""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterator

from pipeline.errors import ReadError
from pipeline.readers import PageText, Reading, ReadOptions, decoding

SUFFIXES = (".csv", ".tsv")
VERSION = f"1 ({decoding.VERSION})"

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
        rows = [" | ".join(_cells(row)).rstrip(" |") for row in _rows(text, delimiter)]
    except csv.Error as error:
        raise ReadError(
            f"{name} is a broken CSV file ({error})", code="broken", hint="Save it again from its program."
        ) from None
    return Reading((PageText("\n".join(row for row in rows if row)),))


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    lines = (line + "\n" for line in text.split("\n"))
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True)


def _cells(row: list[str]) -> Iterator[str]:
    return (" ".join(cell.split()) for cell in row)


def _delimiter(sample: str) -> str:
    """The one that cuts most rows into the same number of cells, and of two such the one with more cells."""

    def merit(delimiter: str) -> tuple[float, int]:
        rows = itertools.islice(_rows(sample, delimiter), _SAMPLE_ROWS)
        widths = Counter(len(row) for row in rows if any(row))
        width, times = max(widths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        return (times / widths.total(), width) if width > 1 else (0.0, 1)

    return max(_DELIMITERS, key=merit)

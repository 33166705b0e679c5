"""Tables in plain text: which lines are rows, and which rows follow each other in one table.

A row is a line with letters, together with the lines behind it that hold nothing but figures (cells of a PDF, one a
line). Rows that follow each other with two amounts or more, the price of one and of all, are one table; lines without
an amount between two of its rows belong to the row above. Totals have one amount, so they stay out. Nothing here asks
the model.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Window = tuple[int, int]

AMOUNTS = 2  # in each row of a table, at least
SMALLEST = 3  # rows of a table; two like lines are a coincidence
LOOSE = 2  # lines without an amount between two rows, at most


@dataclass(frozen=True, slots=True)
class Row:
    """A line, or several that are one row. `number` counts the lines that begin one."""

    window: Window
    amounts: int
    number: int


def tables(text: str, lines: Sequence[Window], amounts: Sequence[Window]) -> list[list[Window]]:
    """The windows of the rows of each table. Where there is no table, each row with an amount is one by itself."""
    rows = _rows(text, lines, amounts)
    found: list[list[Row]] = []
    for row in rows:
        if row.amounts < AMOUNTS:
            continue
        if found and row.number - found[-1][-1].number <= LOOSE + 1 and not _parted(rows, found[-1][-1], row):
            found[-1].append(row)
        else:
            found.append([row])
    found = [table for table in found if len(table) >= SMALLEST]
    return [_windows(table) for table in found] or [[row.window] for row in rows]


def _parted(rows: Sequence[Row], one: Row, other: Row) -> bool:
    """Whether a row with fewer amounts stands between the two."""
    return any(one.number < row.number < other.number for row in rows)


def _windows(table: Sequence[Row]) -> list[Window]:
    """Each row reaches to the next one."""
    return [*((row.window[0], following.window[0]) for row, following in pairwise(table)), table[-1].window]


def _rows(text: str, lines: Sequence[Window], amounts: Sequence[Window]) -> list[Row]:
    """Lines with amounts and letters, joined with the lines of figures behind them."""
    joined: list[Window] = []
    for start, end in lines:
        if joined and not any(char.isalpha() for char in text[start:end]):
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    ends = _apart(amounts)
    rows = []
    for number, (start, end) in enumerate(joined):
        count = bisect_right(ends, end) - bisect_right(ends, start)
        if count and (marked := [cell for cell in text[start:end].split("|") if _is_figure(cell)]):
            count = max(count, len(marked))  # 0.021 is no amount, but a price in a column
        if count and any(char.isalpha() for char in text[start:end]):
            rows.append(Row((start, end), count, number))
    return rows


def _is_figure(cell: str) -> bool:
    return any(map(str.isdigit, cell)) and not any(map(str.isalpha, cell))


def _apart(amounts: Sequence[Window]) -> list[int]:
    """The ends of the amounts, counted once where one stands with and without its currency."""
    ends: list[int] = []
    last = 0
    for start, end in sorted(amounts):
        if ends and start < last:
            ends[-1] = last = max(last, end)
        else:
            ends.append(end)
            last = end
    return ends

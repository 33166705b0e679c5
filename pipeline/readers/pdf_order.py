"""What a page of a PDF shows by where it draws its text, and the text alone does not: four cases, by geometry.

- Lines drawn across columns of prose (left, right, left, right ...): each column is read to its end.
- A table drawn column by column, one of its columns being numbers: it is read row by row.
- A row of a table drawn cell by cell, a cell of several lines before the rest: its first lines are one line.
- Lines with gaps, as the rows of tables have: a gap between two cells is two blanks.

PDFium says where the page draws what. The words stay those of pypdf: its text is cut and put together anew, and only
where PDFium sees the same characters in the same order. A page that shows no such case keeps the text that it has; so
do turned pages, and those written from right to left. These are rules and no model of a page: what falls under none is
left as it is drawn, which is mostly right.
"""

from __future__ import annotations

import functools
import itertools
import statistics
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pypdfium2

_LEAST_ROWS = 5  # of columns, with text in all of them
_LEAST_CELLS = 3  # of a table's column, or of a row that is torn
_GUTTER = 0.7  # between columns, all lengths in heights of a line
_NARROWEST = 10.0  # column of prose
_FULL = 0.8  # of a column's width: a line that is broken because it is full
_FULL_SHARE = 0.6  # of the lines of prose are that; cells of a table are ragged
_LETTERS = 0.7  # of the visible characters of prose
_DENSITY = 0.6  # letters to the height of a line; Latin print has twice as many, Chinese about one
_FARTHEST = 2.5  # from one line of a block to the next, where one has no neighbour
_GAP = 0.8  # between the cells of a row, of the highest in it; blanks of justified lines are smaller
_LEAST_GAPPED = 3  # rows with gaps on a page
_CELL_GAP = "  "
_TALLEST = 12  # lines of a cell
_MOST_ROWS = 2000  # a page with more is a drawing
_HYPHENS = str.maketrans({"\x02": "-", "\xad": "-", "\ufffe": "-"})  # PDFium marks those at the end of a line


@dataclass(frozen=True, slots=True)
class _Run:
    """A piece of a line as it is drawn at once, in points from the bottom left."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def height(self) -> float:
        return self.top - self.bottom

    def holds(self, x: float, y: float) -> bool:
        """Whether a point lies in it."""
        return self.left <= x <= self.right and self.bottom <= y <= self.top

    def beside(self, other: _Run) -> bool:
        """On one line: half of the lower one's height is shared."""
        shared = min(self.top, other.top) - max(self.bottom, other.bottom)
        return shared >= min(self.height, other.height) / 2

    def under(self, other: _Run) -> bool:
        """Where a line of the same cell may stand: further down, and not all to one side."""
        return self.top < other.top and self.left < other.right and self.right > other.left


_Gap = tuple[_Run, _Run]
_Row = tuple[_Run, ...]  # from left to right, on one line, drawn one after the other


class Pages:
    """The pages of a PDF as PDFium sees them; none where it cannot open the file."""

    def __init__(self, content: bytes, passwords: Sequence[str]) -> None:
        self._document: Any = None
        for password in (None, *passwords):
            try:
                self._document = pypdfium2.PdfDocument(content, password=password)
            except pypdfium2.PdfiumError:
                continue
            return

    def close(self) -> None:
        """Give back what PDFium holds."""
        if self._document is not None:
            self._document.close()

    def ordered(self, index: int, plain: str) -> str | None:
        """The text of a page, from 0, whose text as drawn is `plain`; None where that is as good as another order."""
        if self._document is None or any(unicodedata.bidirectional(char) in {"R", "AL"} for char in plain):
            return None
        try:
            page = self._document[index]
            if page.get_rotation():
                return None
            text = page.get_textpage()
            boxes = (text.get_rect(at) for at in range(text.count_rects()))
            runs = [_Run(*box) for box in boxes if box[3] > box[1] and box[2] > box[0]]
            rows = list(_rows(runs))
            if len(rows) > _MOST_ROWS:
                return None
            words = _Words(text, runs, plain)
            gaps = [found for row in rows if (found := _gaps(row))]
            if len(gaps) >= _LEAST_GAPPED:
                words.widen(gaps)
            return _reordered(rows, words) or (words.plain if words.plain != plain else None)
        except MemoryError:
            raise
        except Exception:  # what PDFium cannot make out, or pypdf reads as other characters: the text stands
            return None


class _Words:
    """What runs say, in the words of the text as it was read. They are looked up when first asked for."""

    def __init__(self, page: Any, runs: Sequence[_Run], plain: str) -> None:  # noqa: ANN401 - an extra
        self._page, self._runs, self.plain = page, runs, plain

    @functools.cached_property
    def _stretches(self) -> dict[_Run, tuple[int, int]]:
        """Each run as a stretch of the visible characters. Raises ValueError where PDFium sees others."""
        seen: list[str] = []
        ends = [0] * len(self._runs)
        at = 0
        for number in range(self._page.count_chars()):
            char = self._page.get_text_range(number, 1).translate(_HYPHENS).strip()
            if not char:
                continue
            left, bottom, right, top = self._page.get_charbox(number)
            while not self._runs[at].holds((left + right) / 2, (bottom + top) / 2):
                at += 1
                ends[at] = len(seen)
            seen.append(char)
            ends[at] = len(seen)
        visible = "".join(self.plain.split()).translate(_HYPHENS)
        if "".join(seen) != visible or len(set(self._runs)) < len(self._runs):
            raise ValueError("two orders")
        return {
            run: (ends[at - 1] if at else 0, end) for at, (run, end) in enumerate(zip(self._runs, ends, strict=True))
        }

    @functools.cached_property
    def _visible(self) -> list[int]:
        """Where the visible characters stand."""
        return [at for at, char in enumerate(self.plain) if not char.isspace()]

    def span(self, rows: Sequence[_Row]) -> tuple[int, int]:
        """From where to where rows stand that follow each other."""
        first, last = self._stretches[rows[0][0]][0], self._stretches[rows[-1][-1]][1]
        return self._visible[first], self._visible[last - 1] + 1

    def with_blocks(self, rows: list[_Row], blocks: list[tuple[int, int, list[_Row]]]) -> str:
        """The text with the rows of each block, from its start to its end, in the order that it gives."""
        parts: list[str] = []
        behind = 0
        for start, end, ordered in blocks:
            first, last = self.span(rows[start:end])
            parts += [self.plain[behind:first], "\n".join(map(self.line, ordered))]
            behind = last
        return "".join([*parts, self.plain[behind:]])

    def widen(self, gaps: Sequence[Sequence[_Gap]]) -> None:
        """Put two blanks in these gaps of the text. The runs stay the stretches that they are."""
        visible = self._visible
        parts: list[str] = []
        behind = 0
        for one, other in itertools.chain.from_iterable(gaps):
            end, start = self._stretches[one][1], self._stretches[other][0]
            if start != end or start in (0, len(visible)):
                continue
            low, high = visible[end - 1] + 1, visible[start]
            if "\n" not in self.plain[low:high]:
                parts += [self.plain[behind:low], _CELL_GAP]
                behind = high
        self.plain = "".join([*parts, self.plain[behind:]])
        del self._visible

    def line(self, row: Sequence[_Run]) -> str:
        """Runs as a line, with blanks between those that did not stand side by side."""
        stretches = [self._stretches[run] for run in row]
        parts: list[str] = []
        behind = -1
        for first, end in stretches:
            if first == end:
                continue
            start = self._visible[first]
            gap = self.plain[self._visible[first - 1] + 1 : start] if first == behind else _CELL_GAP
            parts.append((_CELL_GAP if gap == _CELL_GAP else " " if gap else "") if parts else "")
            parts.append(self.plain[start : self._visible[end - 1] + 1])
            behind = end
        return "".join(parts)


def _gaps(row: _Row) -> list[_Gap]:
    """The runs of a line that stand far apart, in pairs."""
    wide = _GAP * max(run.height for run in row)
    return [(one, other) for one, other in itertools.pairwise(row) if other.left - one.right >= wide]


def _rows(runs: Sequence[_Run]) -> Iterator[_Row]:
    """Runs that follow each other on one line, towards the right."""
    row: list[_Run] = []
    for run in runs:
        if row and not (run.beside(row[-1]) and run.left >= row[-1].right - run.height):
            yield tuple(row)
            row = []
        row.append(run)
    if row:
        yield tuple(row)


def _reordered(rows: list[_Row], words: _Words) -> str | None:
    """The text in the order of reading, where that is not the one of `rows`."""
    blocks: list[tuple[int, int, list[_Row]]] = []
    at = 0
    while at < len(rows):
        found = _columns(rows, at, words) or _table(rows, at, words) or _wrapped(rows, at, words)
        if found is not None:
            blocks.append((at, *found))
        at = found[0] if found is not None else at + 1
    return words.with_blocks(rows, blocks) if blocks else None


def _columns(rows: list[_Row], start: int, words: _Words) -> tuple[int, list[_Row]] | None:
    """Columns of prose that begin with the row at `start` and whose lines were drawn across: where they end, and their
    lines, one column after the other.

    The rows are taken as long as a strip stays free from top to bottom.
    """
    if len(rows[start]) < 2:
        return None
    covered: list[tuple[float, float]] = []
    best: tuple[int, list[tuple[float, float]]] | None = None
    height = statistics.median(run.height for run in rows[start])
    for end in range(start, len(rows)):
        row = rows[end]
        if end > start and not _goes_on(rows[end - 1], row, height):
            break
        covered = _merged([*covered, *((run.left, run.right) for run in row)], _GUTTER * height)
        if len(covered) < 2:
            break
        best = end + 1, covered
    if best is None:
        return None
    end, bands = best
    block = rows[start:end]
    columns = [[part for row in block if (part := _within(row, band))] for band in bands]
    full_rows = sum(all(_within(row, band) for band in bands) for row in block)
    if full_rows < _LEAST_ROWS or any(right - left < _NARROWEST * height for left, right in bands):
        return None
    prose = all(_is_prose(column, band, words) for column, band in zip(columns, bands, strict=True))
    return (end, list(itertools.chain(*columns))) if prose else None


def _goes_on(before: _Row, row: _Row, height: float) -> bool:
    down = before[0].bottom - row[0].bottom
    return 0 < down <= _FARTHEST * max(height, row[0].height)


def _merged(bands: list[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for left, right in sorted(bands):
        if found and left < found[-1][1] + gap:
            found[-1] = found[-1][0], max(found[-1][1], right)
        else:
            found.append((left, right))
    return found


def _within(row: _Row, band: tuple[float, float]) -> _Row:
    return tuple(run for run in row if band[0] <= run.left and run.right <= band[1])


def _is_prose(column: list[_Row], band: tuple[float, float], words: _Words) -> bool:
    """Lines that are mostly full, of letters that stand close together: the cells of a table seldom are."""
    full = sum(row[-1].right - row[0].left >= _FULL * (band[1] - band[0]) for row in column)
    visible = "".join("".join(words.line(row).split()) for row in column)
    room = sum((row[-1].right - row[0].left) / row[0].height for row in column)
    letters = sum(map(str.isalpha, visible))
    return full >= _FULL_SHARE * len(column) and letters >= max(_LETTERS * len(visible), _DENSITY * room)


def _table(rows: list[_Row], start: int, words: _Words) -> tuple[int, list[_Row]] | None:
    """A table whose first column begins at `start` and whose columns were drawn one after the other, each to the right
    of what came before, its lines beside those of the column that has most: where it ends, and its rows."""
    columns = [_down(rows, start)]
    end = start + len(columns[0])
    while end < len(rows):
        right = max(run.right for column in columns for row in column for run in row)
        longest = max(columns, key=len)
        column: list[_Row] = []
        for row in _down(rows, end):
            if row[0].left <= right or row[0].top < longest[-1][0].bottom:
                break
            column.append(row)
        beside = sum(any(row[0].beside(other[0]) for other in longest) for row in column)
        if beside < max(_LEAST_CELLS, 0.8 * min(len(column), len(longest))):
            break
        columns.append(column)
        end += len(column)
    if len(columns) < 2 or not any(_is_numbers(column, words) for column in columns[1:]):
        return None
    first = columns[0][0][0]
    if not any(column[0][0].beside(first) for column in columns[1:]):
        return None  # what stands above the table; it begins further down
    return end, _by_height([row for column in columns for row in column])


def _wrapped(rows: list[_Row], start: int, words: _Words) -> tuple[int, list[_Row]] | None:
    """A row of a table that begins at `start` and has a cell of several lines, which was drawn before the cells to its
    right, one of them a number: where it ends, and its lines from top to bottom."""
    first, lowest, end = rows[start], rows[start][-1], start + 1
    for at in range(start + 1, len(rows)):
        run = rows[at][0]
        if run.beside(first[0]) and run.left >= first[-1].right:
            first, lowest = first + rows[at], rows[at][-1]
            end = at + 1
        elif at - end >= _TALLEST or not _goes_on((lowest,), rows[at], lowest.height):
            break
        elif all(one.under(first[-1]) for one in rows[at]):
            lowest = run
        else:
            break
    block = rows[start:end]
    torn = len(block) > 2 and len(first) >= _LEAST_CELLS
    return (end, _by_height(block)) if torn and any(_is_number(words.line([run])) for run in first[1:]) else None


def _down(rows: list[_Row], start: int) -> list[_Row]:
    """The rows from `start` on, as long as each stands below the one before."""
    end = start + 1
    while end < len(rows) and rows[end][0].top < rows[end - 1][0].top and not rows[end][0].beside(rows[end - 1][0]):
        end += 1
    return rows[start:end]


def _is_numbers(column: list[_Row], words: _Words) -> bool:
    numbers = sum(_is_number(words.line(row)) for row in column)
    return numbers >= max(_LEAST_CELLS, len(column) / 2)


def _is_number(cell: str) -> bool:
    shown = "".join(filter(str.isalnum, cell))
    return 2 * sum(map(str.isdigit, shown)) >= max(1, len(shown))


def _by_height(rows: list[_Row]) -> list[_Row]:
    """Cells as rows, from top to bottom and each from left to right."""
    lines: list[list[_Run]] = []
    for run in sorted((run for row in rows for run in row), key=lambda run: -(run.top + run.bottom)):
        if lines and run.beside(lines[-1][0]):
            lines[-1].append(run)
        else:
            lines.append([run])
    return [tuple(sorted(line, key=lambda run: run.left)) for line in lines]

"""The places of a chunk that a value may point at: words, lines, blocks and typed spans, all in folded text.

A window is a stretch of the folded text, half-open. Knows nothing of grammars.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

from pipeline.finders import MENDED, find, mend
from pipeline.grammars.columns import GAP, NO_HEADER, TableRow, cells_of_line, cells_of_row, header_above
from pipeline.grammars.tables import tables
from pipeline.grammars.words import units
from pipeline.schema import Extractive, Text, ValueType, as_label, fold, label_pattern

Window = tuple[int, int]

MAX_CHARS = 400  # of a value whose schema gives no maxLength
_LABEL_ENDS = 32  # characters behind the word that a label is found by, at most
_REACH = 100  # characters before a value in which a label stands
FEW = 3  # places from which a value that has begun may be copied, for its continuation to be told

_FACTS: tuple[ValueType, ...] = ("date", "email", "iban")
_POSTAL_CODE = 9  # digits at most
_LINE = re.compile(r"[^\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
_BLOCK = re.compile(r"(?:[^\n]*\S[^\n]*(?:\n|\Z))+")
_DECIMALS = re.compile(r"\d[.,]\d\d(?!\d)")
_LABEL = re.compile(
    r"(?<!\S)(?:[^\W\d][^\s:]{0,24}\s?:(?=\s|\d)|(?i:tel|telefon|phone|fax|mobile|mob)\.?(?=\s?[+(\d]))"
)
_LISTED = re.compile(r"(?<!\s)\s+[-\u2013\u2014\u00b7\u2022\u25cf]\s|[,\u060c]\s|[\uff0c\u3001]")
_IN_BRACKETS = re.compile(r"\([^()]*\)")
_MARKS = re.compile(r"\w*+[\W_]*+")
# Brackets, and what Japanese letters put behind the name of a company or a person.
_TAIL = re.compile(r"(?<!\s)\s*(?:\([^()]*\)|<[^<>]*>|御中|様)\s*\Z")


@dataclass(frozen=True, slots=True)
class LineParts:
    """Where values may begin and end in a line; and, for names, where the first of its parts ends ("Name, street")."""

    begins: list[int]
    ends: list[int]
    first_part: list[int]


class Places:
    """One chunk's text, folded, and what stands where in it."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._folded = fold(source)
        self.text = self._folded.text
        self.all: Window = (0, len(self.text))
        self._spans: dict[ValueType, list[Window]] = {}
        self._listed: dict[tuple[str, ...], list[Window]] = {}
        self._beside: dict[tuple[Extractive, int], list[list[Window]]] = {}
        self._begins: dict[tuple[str, ...], list[set[int]]] = {}
        self._values: dict[tuple[Extractive, Window, int], list[str]] = {}
        self._marks: dict[ValueType, tuple[set[int], set[int]]] = {}

    @cached_property
    def words(self) -> list[Window]:
        """Every unit, spaces included."""
        out, at = [], 0
        for unit in units(self.text):
            out.append((at, at + len(unit)))
            at += len(unit)
        return out

    @cached_property
    def lines(self) -> list[Window]:
        """The lines that hold something."""
        return [self._window(*match.span()) for match in self._written]

    @cached_property
    def blocks(self) -> list[Window]:
        """Runs of lines without an empty one between them."""
        found = (self._window(*match.span()) for match in _BLOCK.finditer(self._source))
        return [(low, high) for low, high in found if low < high]

    @cached_property
    def line_parts(self) -> list[LineParts]:
        """Where values may begin and end in each of `lines`: at its ends; at a wide gap and around a label ("Tel: ")
        where letters follow; and before brackets that end it. Never inside a word that goes on in the next line."""
        word_starts, word_ends = self._bounds("text")
        parts = []
        for match, (low, high) in zip(self._written, self.lines, strict=True):
            line, starts, ends = match.group(), [match.start()], [match.end()]
            for gap in GAP.finditer(line):
                ends.append(match.start() + gap.start())
                starts.append(match.start() + gap.end())
            for label in _LABEL.finditer(line):
                ends.append(match.start() + label.start())
                starts.append(match.start() + label.end())
            if tail := _TAIL.search(line):
                ends.append(match.start() + tail.start())
            begins = {self._window(at, match.end())[0] for at in starts}
            begins = {at for at in begins & word_starts if at == low or (at < high and self.text[at].isalpha())}
            stops = {self._window(match.start(), at)[1] for at in ends}
            first = {self._window(match.start(), match.start() + at)[1] for at in _first_part(line)} - stops
            ends_of = ([at for at in sorted(found & word_ends) if at > low] for found in (stops, first))
            parts.append(LineParts(sorted(begins), *ends_of))
        return parts

    @cached_property
    def _written(self) -> list[re.Match[str]]:
        """Each of `lines` as it stands in the source."""
        found = ((match, self._window(*match.span())) for match in _LINE.finditer(self._source))
        return [match for match, (low, high) in found if low < high]

    def _window(self, start: int, end: int) -> Window:
        """The folded place of a stretch of the source, without spaces at its ends."""
        low, high = bisect_left(self._folded.starts, start), bisect_left(self._folded.starts, end)
        while low < high and self.text[low] == " ":
            low += 1
        while low < high and self.text[high - 1] == " ":
            high -= 1
        return low, high

    @cached_property
    def facts(self) -> list[int]:
        """Where dates, amounts with decimals, telephone numbers, mail addresses and bank accounts begin."""
        plain = {start for type in _FACTS for start, _ in self.spans(type)}
        amounts = {start for start, end in self.spans("money") if _DECIMALS.search(self.text, start, end)}
        phones = {start for start, end in self.spans("phone") if self._is_dialled(start, end)}
        return sorted(plain | amounts | phones)

    def _is_dialled(self, start: int, end: int) -> bool:
        """Whether what may be a telephone number is no number of a house with a postal code behind it."""
        said = self.text[start:end].lstrip("( ")
        named = self.text[max(start - 3, 0) : start].rstrip("( ").endswith(":")
        return _digits(said) > _POSTAL_CODE and (named or said.startswith(("+", "0")))

    @cached_property
    def tables(self) -> list[list[Window]]:
        """The rows of each table; a row with an amount that belongs to none is one by itself."""
        return tables(self.text, self.lines, self.spans("money"))

    @cached_property
    def _cells(self) -> list[list[Window]]:
        """The cells of each of `lines`; empty ones between marks stay."""
        return [
            [self._window(match.start() + start, match.start() + end) for start, end in cells_of_line(match.group())]
            for match in self._written
        ]

    @cached_property
    def _rows(self) -> dict[Window, TableRow]:
        figures = {*self.spans("number"), *self.spans("money")}
        # "1 240,00" is one figure, or two: the header knows.
        ways = [sorted(figures, key=lambda span: (span[0], sign * span[1])) for sign in (-1, 1)]
        found = {}
        header = NO_HEADER
        behind = -1  # the line behind the last row
        for table in self.tables:
            for row in table:
                first, end = (bisect_left(self.lines, at, key=itemgetter(0)) for at in row)
                cut = [cells_of_row(self.text, self._cells[first:end], _beginning(way, row)) for way in ways]
                if row == table[0] and first != behind:
                    header = header_above(self.text, self._cells, first, len(cut[0]))
                found[row] = TableRow(header, next((cells for cells in cut if len(cells) == len(header.ends)), cut[0]))
                behind = end
        return found

    def row(self, window: Window) -> TableRow | None:
        """The row of a table that the window is; the whole text is none."""
        return self._rows.get(window) if window != self.all else None

    def spans(self, value_type: ValueType) -> list[Window]:
        """Where values of this type stand, also those that OCR read with letters for digits; empty for plain text."""
        if value_type not in self._spans:
            stretches = {(span.start, span.end) for span in find(self._source, value_type)}
            if value_type in MENDED and (mended := mend(self._source)) != self._source:
                also = ((span.start, span.end) for span in find(mended, value_type))
                stretches |= {(start, end) for start, end in also if "|" not in self._source[start:end]}  # of a table
            found = {self._window(start, end) for start, end in stretches}
            self._spans[value_type] = sorted(window for window in found if window[0] < window[1])
        return self._spans[value_type]

    def spans_of(self, extractive: Extractive) -> list[Window]:
        """Where values stand that the field may have: those of its type, or the words of its list."""
        if not extractive.one_of:
            return self.spans(extractive.type)
        if extractive.one_of not in self._listed:
            self._listed[extractive.one_of] = sorted({*self._places_of(extractive.one_of)})
        return self._listed[extractive.one_of]

    def _places_of(self, listed: tuple[str, ...]) -> Iterator[Window]:
        """Where these words stand as whole words, in upper or lower case."""
        wanted = {tuple(unit.casefold() for unit in units(fold(one).text.strip())) for one in listed}
        lengths: dict[str, set[int]] = {}  # by the first unit
        for cut in wanted - {()}:
            lengths.setdefault(cut[0], set()).add(len(cut))
        for at, (start, _) in enumerate(self.words):
            for length in lengths.get(self._cased[at], ()):
                if self._cased[at : at + length] in wanted:
                    yield start, self.words[at + length - 1][1]

    @cached_property
    def _cased(self) -> tuple[str, ...]:
        """The words without case."""
        return tuple(self.text[start:end].casefold() for start, end in self.words)

    def beside(self, extractive: Extractive, limit: int) -> list[list[Window]]:
        """For each word that it is near, the first preferred, the spans of its type in a cell with that word; on its
        line, where that has none; on the next one, where that has none, but for a row of the table that the line heads.
        Words beside which nothing stands are left out. First come identifiers right behind one of the words."""
        if (extractive, limit) not in self._beside:
            spans = [span for span in self.spans_of(extractive) if span[1] - span[0] <= limit]
            on = [_beginning(spans, line) for line in self.lines]
            rows = {row[0] for table in self.tables if len(table) > 1 for row in table}
            below = [[] if line[0] in rows else found for line, found in zip(self.lines[1:], on[1:], strict=True)]
            below.append([])

            def standing(word: re.Pattern[str], number: int) -> list[Window]:
                own = [span for cell in self._cells_with(word, number) for span in _beginning(spans, cell)]
                return own or on[number] or below[number]

            having = self._having(extractive.near)
            groups = [{span for number in numbers for span in standing(word, number)} for word, numbers in having]
            if extractive.type == "id":  # what names an identifier stands right before it
                pairs = zip(having, groups, strict=True)
                groups = [
                    {span for span in group if self._is_behind(word, span)} for (word, _), group in pairs
                ] + groups
            self._beside[extractive, limit] = [sorted(group) for group in groups if group]
        return self._beside[extractive, limit]

    def beneath(self, extractive: Extractive, window: Window) -> list[list[Window]]:
        """For each word that stands in the header of the row that the window is, the spans in the cell below."""
        row = self.row(window)
        cells = row.below(extractive.near) if row else []
        return [_beginning(self.spans_of(extractive), cell) for cell in cells]

    def begins_beside(self, near: tuple[str, ...]) -> list[set[int]]:
        """For each word, the first preferred, where a value of `line_parts` may begin: behind the word in its cell;
        where none does, behind it on its line, and on the next line."""
        if near not in self._begins:
            self._begins[near] = [
                {start for number in numbers for start in self._begins_behind(word, number)}
                for word, numbers in self._having(near)
            ]
        return self._begins[near]

    def _begins_behind(self, word: re.Pattern[str], number: int) -> list[int]:
        low, high = self.lines[number]
        starts = [at for at in self.line_parts[number].begins if _ends_a_label(word, self.text[low:at])]
        cells = self._cells_with(word, number)
        if own := [at for at in starts if any(start < at < end for start, end in cells)]:
            return own
        alone = any(_ends_a_label(word, self.text[slice(*cell)], alone=True) for cell in [*cells, (low, high)])
        below = self.line_parts[number + 1 : number + 2] if alone else []
        return [*starts, *(at for line in below for at in line.begins)]

    def _is_behind(self, word: re.Pattern[str], span: Window) -> bool:
        """Whether nothing but marks stands between the word, to its end, and the span on its line, or the word is a
        label on the line above."""
        number = bisect_right(self.lines, span[0], key=itemgetter(0)) - 1
        low, _ = self.lines[number]
        before = as_label(self.text[max(low, span[0] - _REACH) : span[0]])
        rests = (_IN_BRACKETS.sub("", before[match.end() :]) for match in word.finditer(before))
        if any(_MARKS.fullmatch(rest) for rest in rests):
            return True
        above = self._cells_with(word, number - 1) if number else []
        return any(_ends_a_label(word, self.text[slice(*cell)], alone=True) for cell in above)

    def _cells_with(self, word: re.Pattern[str], number: int) -> list[Window]:
        return [cell for cell in self._cells[number] if word.search(as_label(self.text[slice(*cell)]))]

    def _having(self, near: tuple[str, ...]) -> list[tuple[re.Pattern[str], list[int]]]:
        """What each word is found by, with the numbers of the lines that have it."""
        labels = list(enumerate(self._labels))
        patterns = map(label_pattern, near)
        return [(one, [number for number, label in labels if one.search(label)]) for one in patterns]

    @cached_property
    def _labels(self) -> list[str]:
        return [as_label(self.text[start:end]) for start, end in self.lines]

    def words_in(self, window: Window) -> list[str]:
        """The units that lie wholly in the window."""
        first = bisect_left(self.words, window[0], key=itemgetter(0))
        last = bisect_right(self.words, window[1], key=itemgetter(1))
        return [self.text[start:end] for start, end in self.words[first:last]]

    def values_in(self, node: Text, window: Window, limit: int) -> list[str]:
        """The values in the window that were found, without repeats, in the order of the text."""
        if node.extractive is None or not node.extractive.finds:
            return []
        key = (node.extractive, window, limit)
        if key not in self._values:
            spans = self.spans_of(node.extractive)
            near = node.extractive.near
            groups = self.beside(node.extractive, limit) if near else []
            if near and self.row(window):
                groups = [*self.beneath(node.extractive, window), *groups, spans]
            groups = groups or [spans]
            inside = (
                [(start, end) for start, end in _beginning(group, window) if end <= window[1] and end - start <= limit]
                for group in groups
            )
            found = next(filter(None, inside), [])
            self._values[key] = list(dict.fromkeys(self.text[start:end] for start, end in found))
        return self._values[key]

    def end_of(self, node: Text, value: str, window: Window) -> int | None:
        """Where the first occurrence of `value` in the window ends, at bounds that `node` may point at."""
        starts, ends = self._bounds(node.extractive.type if node.extractive else "text")
        at = self.text.find(value, *window)
        while at >= 0 and not (at in starts and at + len(value) in ends):
            at = self.text.find(value, at + 1, window[1])
        return None if at < 0 else at + len(value)

    def following(self, said: str) -> list[str]:
        """What stands between `said`, which begins at a word, and the end of its line; empty where it stands at more
        than a few places."""
        starts, _ = self._bounds("text")
        rests: dict[str, None] = {}
        at = self.text.find(said) if said else -1
        while at >= 0 and len(rests) <= FEW:
            if at in starts:
                end = at + len(said)
                line = bisect_right(self.lines, end, key=itemgetter(0)) - 1
                if line >= 0 and (rest := self.text[end : self.lines[line][1]]):
                    rests[rest] = None
            at = self.text.find(said, at + 1)
        return list(rests) if len(rests) <= FEW else []

    def _bounds(self, value_type: ValueType) -> tuple[set[int], set[int]]:
        """Where values of this type may begin and end."""
        if value_type not in self._marks:
            places = [*self.words, *self.spans(value_type)]
            self._marks[value_type] = {start for start, _ in places}, {end for _, end in places}
        return self._marks[value_type]


def _digits(text: str) -> int:
    return sum(map(str.isdigit, text))


def _first_part(line: str) -> list[int]:
    """Where the first part of a line that lists ends, if the second holds a number: behind Acme in "Acme, 9 Elm Road",
    not in "Acme, Ltd"."""
    listed = _LISTED.search(line)
    if listed is None:
        return []
    ends = (found.start() for each in (_LISTED, GAP) if (found := each.search(line, listed.end())))
    second = line[listed.end() : min(ends, default=len(line))]
    return [listed.start()] if _digits(second) else []


def _ends_a_label(word: re.Pattern[str], text: str, *, alone: bool = False) -> bool:
    """Whether the word stands close to the end of the text, but for brackets; `alone`: and no number behind it."""
    said = as_label(text[-_REACH:])
    behind = (_IN_BRACKETS.sub("", said[match.end() :]) for match in word.finditer(said))
    return any(len(rest) <= _LABEL_ENDS and not (alone and any(map(str.isdigit, rest))) for rest in behind)


def _beginning(spans: list[Window], window: Window) -> list[Window]:
    """Those of the sorted `spans` that begin in the window."""
    return spans[bisect_left(spans, window[0], key=itemgetter(0)) : bisect_left(spans, window[1], key=itemgetter(0))]

"""Lists that end suspiciously short. Nothing is added to them; a person is told where to look.

Four things speak for items that were missed: lines of the text that look like the lines of the items found; where no
chunk found any, lines one after the other that end in such figures as items have; samples that found more; and the
lengths of this list in other documents. Each alone is enough, and none is proof: the totals of an invoice look like its
items. So the bounds below are wide.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from statistics import median
from typing import cast

from pipeline.data import Chunk, Evidence, Extraction, ShortList
from pipeline.finders import find
from pipeline.schema import List, Node, Number, Object, Text, ValueType

_PARTS = re.compile(r"(?P<number>[^\W\d]{0,3}\d[\d.,:/%-]*)|(?P<word>[^\W\d]+)|(?P<sign>[^\w\s])")
_TELLING = 3  # parts of a line's shape; shorter ones are those of totals and headings too
_LIKE_THEM = 2  # lines of a telling shape
_MANY_MORE = 5  # lines of another shape, more than there are items
_APART = 3  # lines from a row to the next one, at most
_LINE = re.compile(r"\S[^\n]*")
_LINE_ENDS = re.compile(r"[^\w\n]*(?:[^\W\d]{1,4}[^\w\n]*)?")  # behind a figure: signs, a currency or a unit
_FIGURE_AT_END = re.compile(rf"\d{_LINE_ENDS.pattern}\Z")
_START = itemgetter(0)
_KNOWN = 20  # other documents
_EXPECTED = 4.0  # items
_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk, its answer, and where the values of that answer stand."""

    chunk: Chunk
    extraction: Extraction
    evidence: Sequence[Evidence] = field(repr=False)


def lists_of(schema: Object, path: str = "") -> Iterator[str]:
    """The paths of a record's own lists, not of those inside of their items."""
    for member in schema.fields:
        here = f"{path}.{member.name}" if path else member.name
        if isinstance(member.node, List):
            yield here
        elif isinstance(member.node, Object):
            yield from lists_of(member.node, here)


def short_lists(
    schema: Object,
    values: Mapping[str, object],
    parts: Sequence[Part],
    length: int,
    others: Mapping[str, Sequence[tuple[int, int]]],
) -> tuple[ShortList, ...]:
    """The lists of a record that may be short, each with the first reason that is found.

    `length` is that of the document in characters; `others` says by list how many items other documents of some
    length have.
    """
    found = []
    for path in lists_of(schema):
        items = len(_at(values, path))
        if any(
            _has_more_lines(path, p, len(_at(p.extraction.values, path)), len(p.chunk.text)) for p in parts
        ) or _a_chunk_is_passed_over(path, parts, items):
            found.append(ShortList(path, "more lines look like its items"))
        elif not items and any(_holds_rows(_list_at(schema, path).items, part) for part in parts):
            found.append(ShortList(path, "it is empty, and lines look like items"))
        elif any(_samples_have_more(path, part.extraction) for part in parts):
            found.append(ShortList(path, "most samples have more items"))
        elif _is_unusual(items, length, others.get(path, ())):
            found.append(ShortList(path, "it is usually longer"))
    for path, inner in _lists_in_items(schema):
        if any(_an_item_has_more_lines(path, inner, part) for part in parts):
            found.append(ShortList(f"{path}.{inner}", "more lines look like its items"))
    return tuple(found)


def _lists_in_items(schema: Object) -> Iterator[tuple[str, str]]:
    """The paths of lists whose items hold lists, each with the path of such a list in the item; no deeper."""
    for path in lists_of(schema):
        items = _list_at(schema, path).items
        if isinstance(items, Object):
            yield from ((path, inner) for inner in lists_of(items))


def _list_at(schema: Object, path: str) -> List:
    node: Node = schema
    for name in path.split("."):
        node = next(member.node for member in cast(Object, node).fields if member.name == name)
    return cast(List, node)


def _an_item_has_more_lines(path: str, inner: str, part: Part) -> bool:
    """Whether a list inside of an item is short of lines that stand before the next item."""
    items = _at(part.extraction.values, path)
    begins = [_places(f"{path}[{number}]", part)[:1] for number in range(len(items))]
    for number, item in enumerate(items):
        end = min((start for later in begins[number + 1 :] for start, *_ in later), default=len(part.chunk.text))
        if _has_more_lines(f"{path}[{number}].{inner}", part, len(_at(item, inner)), end):
            return True
    return False


def _places(path: str, part: Part) -> list[tuple[int, int, str]]:
    """Where the values at or below a path stand in the chunk, in order, and their paths from there."""
    below = re.compile(rf"{re.escape(path)}(?P<rest>(?:[.\[].*)?)$")
    found = ((piece, below.match(piece.path)) for piece in part.evidence)
    return sorted(
        (piece.start - part.chunk.start, piece.end - part.chunk.start, match["rest"])
        for piece, match in found
        if match is not None and piece.start is not None and piece.end is not None
    )


def _has_more_lines(path: str, part: Part, items: int, behind: int) -> bool:
    """Whether lines of the chunk look like those that the items found stand on, and stand behind the first of them and
    before `behind`. Lines of lists in the items speak neither for nor against."""
    places = _places(path, part)
    own = [place for place in places if place[2].count("[") == 1]
    if not own:
        return False
    taken: set[str] = set()
    left: list[str] = []
    for line in re.finditer(r"[^\n]+", part.chunk.text):
        if line.end() <= own[0][0]:
            continue
        if line.start() >= behind:
            break
        if _stands_on(line, own):
            taken.add(_shape(line[0]))
        elif not _stands_on(line, places):
            left.append(_shape(line[0]))
    return _are_many([shape for shape in left if shape in taken and "9" in shape], items)


def _a_chunk_is_passed_over(path: str, parts: Sequence[Part], items: int) -> bool:
    """Whether a chunk without items has lines like those that the items of other chunks stand on. Only lines that end
    in a figure tell: most chunks of a long text hold no items, and prose has figures too."""
    if all(_at(part.extraction.values, path) for part in parts):
        return False
    pieces = [piece for part in parts for piece in part.evidence if piece.path.startswith(f"{path}[")]
    places = sorted(
        (piece.start, piece.end, "") for piece in pieces if piece.start is not None and piece.end is not None
    )
    known: set[str] = set()
    passed: list[list[str]] = []
    for part in parts:
        origin = part.chunk.start
        here = places[bisect_left(places, origin, key=_START) : bisect_left(places, part.chunk.end, key=_START)]
        here = [(start - origin, end - origin, rest) for start, end, rest in here]  # also what another chunk read here
        lines = [line for line in _LINE.finditer(part.chunk.text) if _FIGURE_AT_END.search(line[0])]
        known.update(_shape(line[0]) for line in lines if _stands_on(line, here))
        if not _at(part.extraction.values, path):
            passed.append([_shape(line[0]) for line in lines if not _stands_on(line, here)])
    return any(_are_many([shape for shape in shapes if shape in known], items) for shapes in passed)


def _are_many(shapes: Collection[str], items: int) -> bool:
    """Whether so many lines, each of the shape of some item's line, are more than the totals below the items."""
    telling = sum(len(shape) >= _TELLING for shape in shapes)
    return telling >= _LIKE_THEM or len(shapes) - telling >= items + _MANY_MORE


def _holds_rows(node: Node, part: Part) -> bool:
    """Whether lines of the chunk that follow each other look like items that hold figures: each has a value of every
    type that an item has, and ends in one of them. Lines without letters belong to the one before, as the cells of a
    table in a PDF do. Lines that items of some list stand on are no rows."""
    lines = _joined_lines(part.chunk.text)
    starts = [start for start, _ in lines]
    rows, ends = set(range(len(lines))), set()
    for type in set(_types(node)):
        holds = set()
        for span in find(part.chunk.text, type):
            at = bisect_right(starts, span.start) - 1
            if span.end <= lines[at][1]:
                holds.add(at)
                if _LINE_ENDS.fullmatch(part.chunk.text, span.end, lines[at][1]):
                    ends.add(at)
        rows &= holds
    for piece in part.evidence:
        if "[" in piece.path and piece.start is not None:
            rows.discard(bisect_right(starts, piece.start - part.chunk.start) - 1)
    run = longest = 0
    last = -1
    for row in sorted(rows & ends):
        run = run + 1 if row - last <= _APART else 1
        longest, last = max(longest, run), row
    return longest >= _MANY_MORE


def _types(node: Node) -> Iterator[ValueType]:
    """The types of the values in an item that finders know."""
    match node:
        case Text() if node.type != "text":
            yield node.type
        case Number():
            yield "number"
        case Object():
            for member in node.fields:
                yield from _types(member.node)


def _joined_lines(text: str) -> list[tuple[int, int]]:
    lines: list[tuple[int, int]] = []
    for line in _LINE.finditer(text):
        if lines and not any(char.isalpha() for char in line[0]):
            lines[-1] = lines[-1][0], line.end()
        else:
            lines.append(line.span())
    return lines


def _stands_on(line: re.Match[str], places: Sequence[tuple[int, int, str]]) -> bool:
    return any(start < line.end() and end > line.start() for start, end, _ in places)


def _shape(line: str) -> str:
    """What a line is made of: `9` a number, `a` words; signs tell nothing."""
    kinds = ("9" if part.lastgroup == "number" else "a" for part in _PARTS.finditer(line) if part.lastgroup != "sign")
    return re.sub("a+", "a", "".join(kinds))


def _samples_have_more(path: str, extraction: Extraction) -> bool:
    here = len(_at(extraction.values, path))
    more = sum(len(_at(sample, path)) > here for sample in extraction.samples)
    return more * 2 > len(extraction.samples)


def _is_unusual(items: int, length: int, others: Sequence[tuple[int, int]]) -> bool:
    """Whether documents of this length usually have several times as many."""
    if len(others) < _KNOWN:
        return False
    expected = median(number / max(size, 1) for number, size in others) * length
    return expected >= _EXPECTED and items < expected * _SHARE


def _at(values: object, path: str) -> Sequence[object]:
    """The list at this path; empty where there is none."""
    for name in path.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values if isinstance(values, list | tuple) else ()

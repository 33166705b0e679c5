"""Lists that end suspiciously short. Nothing is added to them; a person is told where to look.

Three things speak for items that were missed: lines of the text that look like the lines of the items found, samples
that found more, and the lengths of this list in other documents. Each alone is enough, and none is proof: the totals
of an invoice look like its items. So the bounds below are wide.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import cast

from pipeline.data import Chunk, Evidence, Extraction, ShortList
from pipeline.schema import List, Node, Object

_PARTS = re.compile(r"(?P<number>[^\W\d]{0,3}\d[\d.,:/%-]*)|(?P<word>[^\W\d]+)|(?P<sign>[^\w\s])")
_TELLING = 3  # parts of a line's shape; shorter ones are those of totals and headings too
_LIKE_THEM = 2  # lines of a telling shape
_MANY_MORE = 5  # lines of another shape, more than there are items
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
        if any(_has_more_lines(path, p, len(_at(p.extraction.values, path)), len(p.chunk.text)) for p in parts):
            found.append(ShortList(path, "more lines look like its items"))
        elif any(_samples_have_more(path, part.extraction) for part in parts):
            found.append(ShortList(path, "most samples have more items"))
        elif _is_unusual(len(_at(values, path)), length, others.get(path, ())):
            found.append(ShortList(path, "it is usually longer"))
    for path, inner in _lists_in_items(schema):
        if any(_an_item_has_more_lines(path, inner, part) for part in parts):
            found.append(ShortList(f"{path}.{inner}", "more lines look like its items"))
    return tuple(found)


def _lists_in_items(schema: Object) -> Iterator[tuple[str, str]]:
    """The paths of lists whose items hold lists, each with the path of such a list in the item; no deeper."""
    for path in lists_of(schema):
        node: Node = schema
        for name in path.split("."):
            node = next(member.node for member in cast(Object, node).fields if member.name == name)
        items = cast(List, node).items
        if isinstance(items, Object):
            yield from ((path, inner) for inner in lists_of(items))


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
    taken: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for line in re.finditer(r"[^\n]+", part.chunk.text):
        if line.end() <= own[0][0]:
            continue
        if line.start() >= behind:
            break
        if _stands_on(line, own):
            taken[_shape(line[0])] += 1
        elif not _stands_on(line, places):
            left[_shape(line[0])] += 1
    like = {shape: number for shape, number in left.items() if shape in taken and "9" in shape}
    telling = sum(number for shape, number in like.items() if len(shape) >= _TELLING)
    plain = sum(like.values()) - telling
    return telling >= _LIKE_THEM or plain >= items + _MANY_MORE


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

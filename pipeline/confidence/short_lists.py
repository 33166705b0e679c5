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

from pipeline.data import Chunk, Evidence, Extraction, ShortList
from pipeline.schema import List, Object

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
    """The paths of a record's own lists; lists inside of lists are not looked at."""
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
        if any(_has_more_lines(path, part) for part in parts):
            found.append(ShortList(path, "more lines look like its items"))
        elif any(_samples_have_more(path, part.extraction) for part in parts):
            found.append(ShortList(path, "most samples have more items"))
        elif _is_unusual(len(_at(values, path)), length, others.get(path, ())):
            found.append(ShortList(path, "it is usually longer"))
    return tuple(found)


def _has_more_lines(path: str, part: Part) -> bool:
    """Whether lines of the chunk look like those that the items found stand on, and stand behind the first of them."""
    chunk = part.chunk
    inside = re.compile(rf"{re.escape(path)}\[(\d+)\]")
    places = sorted(
        (piece.start - chunk.start, piece.end - chunk.start)
        for piece in part.evidence
        if piece.start is not None and piece.end is not None and inside.match(piece.path)
    )
    if not places:
        return False
    taken: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for line in re.finditer(r"[^\n]+", chunk.text):
        if line.end() <= places[0][0]:
            continue
        held = any(start < line.end() and end > line.start() for start, end in places)
        (taken if held else left)[_shape(line[0])] += 1
    like = {shape: number for shape, number in left.items() if shape in taken and "9" in shape}
    telling = sum(number for shape, number in like.items() if len(shape) >= _TELLING)
    plain = sum(like.values()) - telling
    return telling >= _LIKE_THEM or plain >= len(_at(part.extraction.values, path)) + _MANY_MORE


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

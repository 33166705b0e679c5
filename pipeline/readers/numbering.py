"""The marks of a Word document's lists, counted as Word counts them: `1.`, `2.1`, `(a)`, `-`.

The lists come from a docx's numbering part (here) or from a .doc (doc_lists.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from lxml import etree

from pipeline.readers.packages import attribute, child, local

_LEVELS = 9
_ROMAN = tuple(
    zip(
        (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
        ["m", "cm", "d", "cd", "c", "xc", "l", "xl", "x", "ix", "v", "iv", "i"],
        strict=True,
    )
)


@dataclass(frozen=True)
class Level:
    """How one depth of a list is marked. In `text`, `%1` stands for the number of the first level."""

    kind: str = "decimal"
    text: str = ""
    start: int = 1
    style: str = ""


@dataclass
class CountedList:
    """The levels of a list, and where each of them has counted to."""

    levels: dict[int, Level] = field(default_factory=dict)
    counters: dict[int, int] = field(default_factory=dict)


class Numbering:
    """The lists of one document. The paragraphs are asked in order, since each asking counts."""

    def __init__(self, lists: dict[str, CountedList]) -> None:
        self._lists = lists
        self.of_style: dict[str, tuple[str, int]] = {}
        for list_id, one in lists.items():
            for depth, level in one.levels.items():
                if level.style:
                    self.of_style.setdefault(level.style, (list_id, depth))

    def mark(self, list_id: str, depth: int) -> str:
        """The mark of the next paragraph at this depth of a list, with a blank behind it; "" for none."""
        found = self._lists.get(list_id)
        level = found.levels.get(depth) if found else None
        if found is None or level is None or level.kind == "none":
            return ""
        if level.kind == "bullet":
            return "  " * depth + "- "
        found.counters[depth] = found.counters.get(depth, level.start - 1) + 1
        for deeper in [other for other in found.counters if other > depth]:
            del found.counters[deeper]

        def number(place: re.Match[str]) -> str:
            other = int(place[1]) - 1
            shown = found.levels.get(other, Level())
            return written(found.counters.get(other, shown.start), shown.kind)

        text = re.sub(r"%([1-9])", number, level.text).strip()
        return f"{text} " if text else ""


def lists_of(root: etree._Element | None) -> dict[str, CountedList]:
    """The lists of a docx's numbering part, by the number that its paragraphs name."""
    lists: dict[str, CountedList] = {}
    definitions: dict[str, CountedList] = {}
    for element in () if root is None else root:
        if local(element) == "abstractNum":
            definitions[attribute(element, "abstractNumId")] = _definition(element)
        elif local(element) == "num":
            base = definitions.get(attribute(child(element, "abstractNumId"), "val"))
            if base is not None:
                lists[attribute(element, "numId")] = _changed(base, element)
    return lists


def _changed(base: CountedList, element: etree._Element) -> CountedList:
    changes = [one for one in element if local(one) == "lvlOverride"]
    if not changes:
        return base  # lists of one definition go on counting where another stopped
    found = CountedList(dict(base.levels))
    for change in changes:
        depth = whole(attribute(change, "ilvl"))
        level = child(change, "lvl")
        if level is not None:
            found.levels[depth] = _level(level)
        restart = child(change, "startOverride")
        if restart is not None:
            old = found.levels.get(depth, Level())
            found.levels[depth] = replace(old, start=whole(attribute(restart, "val"), 1))
    return found


def whole(text: str, default: int = 0) -> int:
    """A number of a document's XML, or the default."""
    try:
        return int(text) if len(text) < 10 else default
    except ValueError:
        return default


def _definition(element: etree._Element) -> CountedList:
    found = CountedList()
    for level in element:
        depth = whole(attribute(level, "ilvl"))
        if local(level) == "lvl" and 0 <= depth < _LEVELS:
            found.levels[depth] = _level(level)
    return found


def _level(element: etree._Element) -> Level:
    return Level(
        attribute(child(element, "numFmt"), "val", "decimal"),
        attribute(child(element, "lvlText"), "val"),
        whole(attribute(child(element, "start"), "val"), 1),
        attribute(child(element, "pStyle"), "val"),
    )


def written(number: int, kind: str) -> str:
    """A number as a list of this kind shows it."""
    if kind in {"lowerLetter", "upperLetter"} and 0 < number <= 780:
        letter = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return letter.upper() if kind == "upperLetter" else letter
    if kind in {"lowerRoman", "upperRoman"} and 0 < number < 4000:
        out = ""
        for value, letters in _ROMAN:
            out += letters * (number // value)
            number %= value
        return out.upper() if kind == "upperRoman" else out
    return f"{number:02}" if kind == "decimalZero" else str(number)

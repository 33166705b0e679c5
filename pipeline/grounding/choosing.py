"""Which of several places is a value's: a scalar's first, or the first beside a word that its field is `near`, and for
the parts of a list item those near each other.

It chooses among the places that were found, by where they stand; it looks for no others.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Sequence

from pipeline.grounding.folding import Place
from pipeline.grounding.leaves import Leaf, nodes_of
from pipeline.schema import List, Object, Text, as_label, label_pattern

_LINE_COSTS = 80  # a line break between two parts of an item counts like this many characters


def choose(leaves: Sequence[Leaf], schema: Object, text: str) -> None:
    """Give each leaf its place: a scalar its first, or the first beside a word that its field is near; the parts of a
    list item near each other, no place twice."""
    in_order = {path for path, node in nodes_of(schema, "") if isinstance(node, List) and node.in_order}
    used: dict[str, set[Place]] = {}
    reached: dict[str, tuple[int, int]] = {}  # by list: where the last item's anchor began, where the item ended
    items: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        if leaf.item:
            items.setdefault(leaf.item, []).append(leaf)
        elif leaf.places:
            leaf.place = _beside(leaf, text) or leaf.places[0]
    for item, members in items.items():
        parts = [part for part in members if part.places]
        if not parts:
            continue
        which = item[: item.rindex("[")]
        taken = used.setdefault(which, set())
        anchor_began, ended = reached.get(which, (0, 0))
        floor = ended if _unnumbered(which) in in_order else anchor_began
        anchor = min(parts, key=lambda part: part.count)
        anchor.place = _first_free(anchor.places, taken, floor)
        for part in parts:
            if part is not anchor:
                part.place = _nearest(part.places, anchor.place, taken, text)
        taken.update(part.place for part in parts if part.place)
        reached[which] = (anchor.place[0], max(part.place[1] for part in parts if part.place))


def _beside(leaf: Leaf, text: str) -> Place | None:
    """The first place on a line with the first of the words that the field is near which has one there or, failing
    that, on the line behind."""
    if not isinstance(leaf.node, Text) or leaf.node.extractive is None or not leaf.node.extractive.near:
        return None
    starts: list[int] = []
    lines: list[str] = []
    before: list[str] = []  # the last line before each that holds something
    at, last = 0, ""
    for line in text.split("\n"):
        starts.append(at)
        lines.append(as_label(line))
        before.append(last)
        at += len(line) + 1
        last = lines[-1] if line.strip() else last
    on = [(bisect_right(starts, start) - 1, bisect_right(starts, end)) for start, end in leaf.places]
    for word in map(label_pattern, leaf.node.extractive.near):
        there = [any(map(word.search, lines[first:last])) for first, last in on]
        below = [word.search(before[first]) is not None for first, _ in on]
        for places in (there, below):
            if any(places):
                return leaf.places[places.index(True)]
    return None


def _unnumbered(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path)


def _first_free(places: Sequence[Place], taken: Collection[Place], floor: int) -> Place:
    for place in places:
        if place[0] >= floor and place not in taken:
            return place
    return next((place for place in places if place not in taken), places[0])


def _nearest(places: Sequence[Place], anchor: Place, taken: Collection[Place], text: str) -> Place:
    def distance(place: Place) -> tuple[bool, int]:
        gap = (anchor[1], place[0]) if place[0] >= anchor[1] else (place[1], anchor[0])
        width = max(gap[1] - gap[0], 0)
        lines = text.count("\n", gap[0], gap[1]) if width < 10_000 else width // 40
        return (place in taken, width + lines * _LINE_COSTS)

    return min(places, key=distance)

"""Where in a chunk the objects of a schema and the items of its lists may stand.

Says for which windows there is a value for every field that needs one, and where the next item of a list with
`in_order` may stand behind those before. Reads places and schema; writes no grammar and asks no model.
"""

from __future__ import annotations

from bisect import bisect_left

from pipeline.grammars.places import MAX_CHARS, Places, Window
from pipeline.schema import List, Node, Object, Text, Within

# Objects and items of any list.


def pieces(places: Places, within: Within | None, window: Window) -> list[Window]:
    """The lines, blocks or rows in the window; the window itself where it is not cut, or for rows without a table."""
    if within is None or (within == "row" and not places.tables):
        return [window]
    rows = [row for table in places.tables for row in table] if within == "row" else []
    stretches = {"line": places.lines, "block": places.blocks, "row": rows}[within]
    cut = [(max(start, window[0]), min(end, window[1])) for start, end in stretches]
    return [(start, end) for start, end in cut if start < end]


def possible(places: Places, node: Node, window: Window) -> bool:
    """Whether the window holds a value for each field that needs one."""
    match node:
        case Object():
            return any(holds(places, node, one) for one in pieces(places, node.within, window))
        case Text(extractive=e) if e is not None:
            limit = node.max_length or MAX_CHARS
            if e.one_of or places.values_in(node, places.all, limit):
                return bool(places.values_in(node, window, limit))
            return any(word != " " and len(word) <= limit for word in places.words_in(window))
    return True


def holds(places: Places, node: Object, window: Window) -> bool:
    """Whether the object can stand in the window, which must hold a word even where all may be null."""
    return any(word != " " for word in places.words_in(window)) and all(
        member.nullable or possible(places, member.node, window) for member in node.fields
    )


# The next item of an ordered list.


def next_windows(places: Places, node: List, count: int, start: int) -> dict[tuple[bool, bool], list[Window]]:
    """Where the next item may stand, by whether another may follow it and whether the list may end behind it."""
    if node.max_items is not None and count >= node.max_items:
        return {}
    found: dict[tuple[bool, bool], list[Window]] = {}
    full = node.max_items is not None and count + 1 >= node.max_items
    cut = 0 if full else _last_start(places, node, start)
    for window in _offered(places, node, start)[0]:
        if node.within == "row" and places.tables:
            following, must = _offered(places, node, window[1])
            goes_on = not full and any(possible(places, node.items, one) for one in following)
            found.setdefault((goes_on, not (goes_on and must)), []).append(window)
        elif window[1] <= cut:
            found.setdefault((True, True), []).append(window)
        else:
            found.setdefault((False, True), []).append(window)
            if window[0] < cut:
                found.setdefault((True, False), []).append((window[0], cut))
    return found


def item_end(places: Places, node: List, value: object, start: int) -> int:
    """The least place behind all words that an item uses. One that uses none has used up its row of a table, or
    all places but the last one: it would be said again and again."""
    rows = node.within == "row" and bool(places.tables)
    for window in _offered(places, node, start)[0]:
        ends = [places.end_of(text, said, window) for text, said in _extractive(node.items, value)]
        if not ends and rows:
            return window[1]
        if ends and None not in ends:
            return max(end for end in ends if end is not None)
    return _last_start(places, node, start)


def _offered(places: Places, node: List, start: int) -> tuple[list[Window], bool]:
    """Where the next item of an ordered list may stand, and whether there must be one: a list that has begun
    with a table goes on to its last row."""
    if node.within != "row" or not places.tables:
        return pieces(places, node.within, (start, places.all[1])), False
    for table in places.tables:
        if table[0][0] < start <= table[-1][1]:
            rest = [row for row in table if row[0] >= start and possible(places, node.items, row)]
            if rest:
                return rest[:1], True
    return [table[0] for table in places.tables if table[0][0] >= start], False


def _last_start(places: Places, node: List, start: int) -> int:
    """The last place from which an item may still stand: another follows one that ends here or before."""
    ends = [start, *(end for _, end in places.words if end > start)]
    return ends[max(bisect_left(ends, True, key=lambda end: not _leaves_room(places, node, end)) - 1, 0)]


def _leaves_room(places: Places, node: List, end: int) -> bool:
    return any(possible(places, node.items, one) for one in _offered(places, node, end)[0])


def _extractive(node: Node, value: object) -> list[tuple[Text, str]]:
    """The values of a finished item that point into the document."""
    match node, value:
        case Text(), str() if node.extractive is not None and value:
            return [(node, value)]
        case Object(), dict():
            return [pair for member in node.fields for pair in _extractive(member.node, value[member.name])]
        case List(), list():
            return [pair for item in value for pair in _extractive(node.items, item)]
    return []

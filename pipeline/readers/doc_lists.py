"""What marks the paragraphs of a .doc as items of a list: the lists themselves, and those that styles bring.

[MS-DOC] 2.9.131 LSTF, 2.9.150 LVLF, 2.9.133 LFO (the lists), 2.9.271 STSH, 2.9.260 STD (the styles).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace

from pipeline.readers.doc_properties import properties
from pipeline.readers.numbering import CountedList, Level

_STYLES, _LISTS, _USES = 0x00A2, 0x02E2, 0x02EA  # where the FIB says where these lie: offset and length
_KINDS = {
    0: "decimal",
    1: "upperRoman",
    2: "lowerRoman",
    3: "upperLetter",
    4: "lowerLetter",
    22: "decimalZero",
    23: "bullet",
    255: "none",
}
_LEVELS = 9
_MOST_STYLES = 4096  # a style's number has 12 bits


def lists(stream: bytes, table: bytes) -> dict[str, CountedList]:
    """The lists, by the number that paragraphs name."""
    at, length = struct.unpack_from("<II", stream, _LISTS)
    if not length:
        return {}
    known: dict[int, CountedList] = {}
    (count,) = struct.unpack_from("<h", table, at)
    heads = [struct.unpack_from("<i22xBx", table, at + 2 + 28 * number) for number in range(count)]
    at += length  # the levels stand behind what this length counts
    for name, kind in heads:
        known[name] = CountedList()
        for depth in range(1 if kind & 1 else _LEVELS):
            known[name].levels[depth], at = _level(table, at)
    return _uses(stream, table, known)


def _uses(stream: bytes, table: bytes, known: Mapping[int, CountedList]) -> dict[str, CountedList]:
    at, length = struct.unpack_from("<II", stream, _USES)
    if not length:
        return {}
    (count,) = struct.unpack_from("<i", table, at)
    heads = [struct.unpack_from("<i8xB3x", table, at + 4 + 16 * number) for number in range(count)]
    at += 4 + 16 * count
    found = {}
    for number, (name, changes) in enumerate(heads, start=1):
        at += 4
        one = known.get(name, CountedList())
        if changes:
            one = CountedList(dict(one.levels))  # it counts for itself
        for _ in range(changes):
            start, flags = struct.unpack_from("<iI", table, at)
            at += 8
            depth = flags & 0xF
            if flags & 0x20:
                one.levels[depth], at = _level(table, at)
            elif flags & 0x10:
                one.levels[depth] = replace(one.levels.get(depth, Level()), start=start)
        found[str(number)] = one
    return found


def _level(table: bytes, at: int) -> tuple[Level, int]:
    start, kind, places, of_characters, of_paragraphs = struct.unpack_from("<iBx9s9xBB2x", table, at)
    at += 28 + of_characters + of_paragraphs
    (length,) = struct.unpack_from("<H", table, at)
    letters = table[at + 2 : at + 2 + 2 * length].decode("utf-16-le", "replace")
    shown = (
        f"%{ord(one) + 1}" if place in places and one < "\t" else one for place, one in enumerate(letters[:255], 1)
    )
    return Level(_KINDS.get(kind, "decimal"), "".join(shown), start), at + 2 + 2 * length


def style_properties(stream: bytes, table: bytes) -> dict[int, Mapping[int, int]]:
    """The properties of paragraphs of each style, with those of the styles that it is based on."""
    at, length = struct.unpack_from("<II", stream, _STYLES)
    if not length:
        return {}
    head, count, base_size = struct.unpack_from("<HHH", table, at)
    end, at = at + length, at + 2 + head
    bases: dict[int, int] = {}
    own: dict[int, Mapping[int, int]] = {}
    for number in range(min(count, _MOST_STYLES)):
        if at + 2 > end:
            break
        (size,) = struct.unpack_from("<H", table, at)
        if size > base_size:
            style = table[at + 2 : at + 2 + size]
            kind, parts = struct.unpack_from("<HH", style, 2)
            if kind & 0xF == 1 and parts & 0xF:  # of paragraphs
                (name,) = struct.unpack_from("<H", style, base_size)
                place = base_size + 2 + 2 * name + 2
                (written,) = struct.unpack_from("<H", style, place)
                own[number] = properties(style[place + 4 : place + 2 + written])
                bases[number] = kind >> 4
        at += 2 + size + size % 2
    return {number: _inherited(number, own, bases) for number in own}


def _inherited(number: int, own: Mapping[int, Mapping[int, int]], bases: Mapping[int, int]) -> Mapping[int, int]:
    chain: list[int] = []
    while number in own and number not in chain:
        chain.append(number)
        number = bases[number]
    found: dict[int, int] = {}
    for one in reversed(chain):
        found |= own[one]
    return found

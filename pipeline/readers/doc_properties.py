"""What a .doc's FIB points at, and the properties of its characters and paragraphs.

[MS-DOC] 2.9.33 ChpxFkp and 2.9.175 PapxFkp (pages of properties), 2.9.180 PlcBteChpx, 2.9.218 Prl.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

CHPX, PAPX = 0x00FA, 0x0102  # where the FIB says where these lie: offset and length
STYLE = 0  # stands among the properties of a paragraph for its style
_PAGE = 512
_OPERAND = {0: 1, 1: 1, 2: 2, 3: 4, 4: 2, 5: 2, 7: 3}

Run = tuple[int, int, Mapping[int, int]]


def of_fib(stream: bytes, table: bytes, where: int) -> bytes:
    """The part of the table stream whose offset and length stand there in the FIB."""
    at, length = struct.unpack_from("<II", stream, where)
    return table[at : at + length]


def strings(written: bytes) -> Iterator[str]:
    """Strings of wide characters, each behind its length (Xst), white space squeezed."""
    at = 0
    while at + 2 <= len(written):
        (count,) = struct.unpack_from("<H", written, at)
        yield " ".join(written[at + 2 : at + 2 + 2 * count].decode("utf-16-le", "replace").split())
        at += 2 + 2 * count


def all_runs(stream: bytes, table: bytes, where: int) -> Iterator[Run]:
    """Stretches of the stream, in bytes, with their properties."""
    plc = of_fib(stream, table, where)
    count = max(0, (len(plc) - 4) // 8)
    pages = dict.fromkeys(struct.unpack_from(f"<{count}I", plc, 4 * (count + 1)) if count else ())
    for page in pages:
        yield from _runs(stream, page & 0x3FFFFF, where)


def _runs(stream: bytes, number_of_page: int, where: int) -> Iterator[Run]:
    page = stream[number_of_page * _PAGE : (number_of_page + 1) * _PAGE]
    if len(page) < _PAGE:
        return
    count = page[-1]
    ends = struct.unpack_from(f"<{count + 1}I", page)
    step = 1 if where == CHPX else 13
    for number in range(count):
        offset = 2 * page[4 * (count + 1) + step * number]
        if not offset:
            continue
        if where == CHPX:
            yield ends[number], ends[number + 1], properties(page[offset + 1 : offset + 1 + page[offset]])
            continue
        first, last = (
            (offset + 1, offset + 2 * page[offset]) if page[offset] else (offset + 2, offset + 2 + 2 * page[offset + 1])
        )
        (style,) = struct.unpack_from("<H", page, first)
        yield ends[number], ends[number + 1], {STYLE: style, **properties(page[first + 2 : last])}


def properties(written: bytes) -> Mapping[int, int]:
    """Each property with its operand, of long ones the first two bytes."""
    found = {}
    at = 0
    while at + 3 <= len(written):
        (kind,) = struct.unpack_from("<H", written, at)
        size = _OPERAND.get(kind >> 13, 1 + written[at + 2])
        found[kind] = int.from_bytes(written[at + 2 : at + 2 + min(2, size)], "little")
        at += 2 + (size + 1 if kind == 0xD608 else size)  # the one whose length takes two bytes
    return found

"""Word documents from before 2007 (.doc, .dot), with olefile for the container and own code for the text in it.

Kept: the main text, with table rows as `cell | cell`, then footnotes, comments, endnotes and text boxes; headers
before it and footers among them, each text once. Tracked changes are read as if accepted, as if refused, or all with
marks. Hidden text is not read. Lost: lists' marks (Word counts them while it draws), pictures, embedded files, which
note belongs where. Documents older than Word 97 are refused.

[MS-DOC]: the FIB, the piece table (Clx, PlcPcd), the names of authors (SttbfRMark), and of the properties (Chpx, Papx)
those that hide, insert or delete text or end rows. Nothing well kept reads it: antiword (2005) and catdoc (2016) are
programs, textract is a wrapper of those.
"""

from __future__ import annotations

import io
import itertools
import re
import struct
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

import olefile

from pipeline.data import Changes
from pipeline.errors import ReadError
from pipeline.readers import PageText, Reading, ReadOptions, packages
from pipeline.readers.changes import Change, marked

SUFFIXES = (".doc", ".dot")
VERSION = f"2 (olefile {olefile.__version__})"

_MOST_BYTES = 256 << 20
_WORD_97 = 0x00C1
_ENCRYPTED, _TABLE_1 = 0x0100, 0x0200
_CLX, _CHPX, _PAPX, _AUTHORS = 0x01A2, 0x00FA, 0x0102, 0x0232  # where the FIB says where these lie: offset and length
_LENGTHS = (0x4C, 0x50, 0x54, 0x58, 0x5C, 0x60, 0x64, 0x68)  # characters of each part, in the order of the text
_MAIN, _HEADERS, _MACROS = 0, 2, 3
_HIDDEN, _DELETED, _INSERTED, _ROW_END = 0x083C, 0x0800, 0x0801, 0x2417
_DELETED_BY, _INSERTED_BY = 0x4863, 0x4804
_PAGE = 512
_OPERAND = {0: 1, 1: 1, 2: 2, 3: 4, 4: 2, 5: 2, 7: 3}
_FIELD = re.compile(r"\x13[^\x13\x14\x15]*(?:\x14([^\x13\x14\x15]*))?\x15")
_DEEPEST_FIELD = 10
_CHARACTERS = {0x0B: "\n", 0x0C: "\n\n", 0x0D: "\n", 0x1E: "-", 0x1F: ""} | dict.fromkeys((1, 2, 3, 4, 5, 8), "")
_ROW = "\x1c"  # stands for the end of a row, which Word marks as it marks the end of a cell

Ranges = list[tuple[int, int]]
Run = tuple[int, int, Mapping[int, int]]
Revised = list[tuple[int, int, Change]]


def recognises(content: bytes) -> bool:
    """An OLE file; which one is seen when it is opened."""
    return content.startswith(olefile.MAGIC)


def read(content: bytes, name: str, options: ReadOptions) -> Reading:
    """The document as one page."""
    try:
        with warnings.catch_warnings(), olefile.OleFileIO(io.BytesIO(content)) as file:
            warnings.simplefilter("ignore")
            if not file.exists("WordDocument"):
                raise packages.another(name, "Word document")
            stream = _stream(file, "WordDocument", name)
            flags, version = struct.unpack_from("<H", stream, 0x0A)[0], struct.unpack_from("<H", stream, 2)[0]
            if flags & _ENCRYPTED:
                return read(packages.decrypt(content, name, options), name, ReadOptions(changes=options.changes))
            if version < _WORD_97:
                raise ReadError(
                    f"{name} is older than Word 97",
                    code="unknown_format",
                    hint="Convert it first: `soffice --headless --convert-to docx FILE`.",
                )
            table = _stream(file, "1Table" if flags & _TABLE_1 else "0Table", name)
        runs = [*_all_runs(stream, table, _CHPX)]
        text = _text(stream, table, runs, options.changes)
        changed = bool(_ranges(runs, (_INSERTED, _DELETED)))
    except (MemoryError, ReadError):
        raise
    except Exception as error:  # olefile and struct raise whatever a broken file leads them into
        raise packages.broken(name, type(error).__name__) from None
    return Reading((PageText(text),), changed=changed)


def _stream(file: olefile.OleFileIO, stream: str, name: str) -> bytes:
    if file.get_size(stream) > _MOST_BYTES:
        raise packages.too_much(name, f"more than {_MOST_BYTES >> 20} MB in it")
    content: bytes = file.openstream(stream).read()
    return content


def _text(stream: bytes, table: bytes, runs: Sequence[Run], changes: Changes) -> str:
    not_read = {"final": (_HIDDEN, _DELETED), "original": (_HIDDEN, _INSERTED), "all": (_HIDDEN,)}[changes]
    gone = _ranges(runs, not_read)
    rows = _ranges(_all_runs(stream, table, _PAPX), (_ROW_END,))
    revised = _revised(stream, table, runs) if changes == "all" else []
    whole = list(_pieces(stream, table, gone, rows, revised))
    lengths = [max(0, length) for (length,) in (struct.unpack_from("<i", stream, at) for at in _LENGTHS)]
    parts = []
    at = 0
    for length in lengths:
        parts.append(_readable("".join(whole[at : at + length])))
        at += length
    headers = list(dict.fromkeys(line for line in parts[_HEADERS].split("\n") if line.strip()))
    others = [part for number, part in enumerate(parts) if number not in {_MAIN, _HEADERS, _MACROS}]
    return "\n\n".join(piece for piece in ("\n".join(headers), parts[_MAIN], *others) if piece.strip())


def _pieces(stream: bytes, table: bytes, gone: Ranges, rows: Ranges, revised: Revised) -> Iterator[str]:
    """The text in its order, one for each character that is counted: NUL for what is not to be read; a change with its
    mark stands as a whole in place of its first character."""
    at, length = struct.unpack_from("<II", stream, _CLX)
    clx = table[at : at + length]
    place = 0
    while clx[place] == 1:  # properties of pieces
        place += 3 + struct.unpack_from("<H", clx, place + 1)[0]
    (size,) = struct.unpack_from("<I", clx, place + 1)
    plc = clx[place + 5 : place + 5 + size]
    count = (len(plc) - 4) // 12
    ends = struct.unpack_from(f"<{count + 1}I", plc)
    left = len(stream)
    for number in range(count):
        (where,) = struct.unpack_from("<I", plc, 4 * (count + 1) + 8 * number + 2)
        width = 1 if where & 0x40000000 else 2
        start = (where & 0x3FFFFFFF) // (2 if width == 1 else 1)
        characters = max(0, ends[number + 1] - ends[number])
        left -= characters * width
        if left < 0:  # pieces that overlap could repeat one stretch without end
            raise ValueError("more text than bytes")
        content = stream[start : start + characters * width]
        text = content.decode("cp1252" if width == 1 else "utf-16-le", "replace") if content else ""
        if len(text) != characters:  # a pair of surrogates counts twice
            text = "".join(chr(code) for code in struct.unpack_from(f"<{len(content) // 2}H", content))
        yield from _characters(text, start, width, gone, rows, revised)


def _characters(text: str, start: int, width: int, gone: Ranges, rows: Ranges, revised: Revised) -> list[str]:
    characters = list(text)
    end = start + len(text) * width
    for ranges, mark in ((rows, _ROW), (gone, "\0")):
        first = max(0, bisect_right(ranges, (start, 0)) - 1)
        for low, high in ranges[first:]:
            if low >= end:
                break
            for index in range(max(0, (low - start) // width), min(len(text), (high - start) // width)):
                if mark == "\0" or text[index] == "\a":
                    characters[index] = mark
    for low, high, change in revised:
        stretch = range(max(0, (low - start) // width), min(len(text), (high - start) // width))
        for control, group in itertools.groupby(stretch, key=lambda index: characters[index] < " "):
            indices = list(group)
            if not control:
                whole = marked("".join(characters[index] for index in indices), change)
                characters[indices[0] : indices[-1] + 1] = [whole, *[""] * (len(indices) - 1)]
    return characters


def _revised(stream: bytes, table: bytes, runs: Iterable[Run]) -> Revised:
    """The stretches that were inserted or deleted, in order; where both, deleted."""
    at, length = struct.unpack_from("<II", stream, _AUTHORS)
    authors = _strings(table[at : at + length])
    found: Revised = []
    for low, high, switches in sorted(runs, key=lambda run: run[:2]):
        if switches.get(_DELETED) or switches.get(_INSERTED):
            by = switches.get(_DELETED_BY if switches.get(_DELETED) else _INSERTED_BY, 0)
            author = authors[by] if 0 < by < len(authors) else ""  # the first one is for unknown
            change = Change(not switches.get(_DELETED), author)
            if found and found[-1][1:] == (low, change):
                found[-1] = found[-1][0], high, change
            else:
                found.append((low, high, change))
    return found


def _strings(sttb: bytes) -> list[str]:
    """An STTB of wide strings without extra data."""
    found, at = [], 6
    while at + 2 <= len(sttb):
        (count,) = struct.unpack_from("<H", sttb, at)
        found.append(" ".join(sttb[at + 2 : at + 2 + 2 * count].decode("utf-16-le", "replace").split()))
        at += 2 + 2 * count
    return found


def _readable(text: str) -> str:
    """Fields by what they show, cells and rows as lines, Word's own characters as everybody's."""
    text = text.replace("\0", "")
    for _ in range(_DEEPEST_FIELD):
        text, found = _FIELD.subn(lambda field: field[1] or "", text)
        if not found:
            break
    text = re.sub("[\x13\x14\x15]", "", text)
    lines = []
    for row in text.split(_ROW):
        *cells, rest = row.split("\a")
        if cells:
            before, _, cells[0] = cells[0].rpartition("\r")
            lines.append(before + "\r" if before else "")
            lines.append(" | ".join(" ".join(cell.split()) for cell in cells).rstrip(" |") + "\r")
        lines.append(rest)
    pairs = "".join(lines).translate(_CHARACTERS)
    return pairs.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _ranges(runs: Iterable[Run], wanted: tuple[int, ...]) -> Ranges:
    """Stretches of the stream, in bytes, whose properties have one of the wanted ones switched on."""
    merged: Ranges = []
    for low, high in sorted(run[:2] for run in runs if any(run[2].get(one) for one in wanted)):
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return merged


def _all_runs(stream: bytes, table: bytes, where: int) -> Iterator[Run]:
    """Stretches of the stream, in bytes, with their properties."""
    at, length = struct.unpack_from("<II", stream, where)
    plc = table[at : at + length]
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
    step = 1 if where == _CHPX else 13
    for number in range(count):
        offset = 2 * page[4 * (count + 1) + step * number]
        if not offset:
            continue
        if where == _CHPX:
            properties = page[offset + 1 : offset + 1 + page[offset]]
        elif page[offset]:
            properties = page[offset + 3 : offset + 2 * page[offset]]
        else:
            properties = page[offset + 4 : offset + 2 + 2 * page[offset + 1]]
        yield ends[number], ends[number + 1], _switches(properties)


def _switches(properties: bytes) -> Mapping[int, int]:
    """The first byte of each property's operand."""
    found = {}
    at = 0
    while at + 3 <= len(properties):
        (kind,) = struct.unpack_from("<H", properties, at)
        found[kind] = properties[at + 2]
        size = _OPERAND.get(kind >> 13, 1 + properties[at + 2])
        at += 2 + (size + 1 if kind == 0xD608 else size)  # the one whose length takes two bytes
    return found

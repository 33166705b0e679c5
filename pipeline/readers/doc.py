"""Word documents from before 2007 (.doc, .dot), with olefile for the container and own code for the text in it.

Kept: the main text, with the marks of lists as Word counts them, table rows as `cell | cell`, notes as `[1] text` and
comments as `[Comment by Ana: text]` behind the paragraph that they are of; then text boxes; headers before it and
footers among them, each text once. Tracked changes are read as if accepted, as if refused, or all with marks. Hidden
text is not read. Lost: pictures, embedded files, the marks of lists whose tables are damaged. Documents older than
Word 97 are refused.

[MS-DOC]: the FIB, the piece table (Clx, PlcPcd), the names of authors (SttbfRMark, GrpXstAtnOwners), the places of
notes (PlcffndRef, PlcfandRef and those of their texts), and of the properties (Chpx, Papx) those that hide, insert or
delete text, end rows or name lists. Nothing well kept reads it: antiword (2005) and catdoc (2016) are programs,
textract is a wrapper of those.
"""

from __future__ import annotations

import io
import itertools
import re
import struct
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

import olefile

from pipeline.data import Changes
from pipeline.errors import ReadError
from pipeline.readers import PageText, Reading, ReadOptions, doc_lists, doc_notes, packages
from pipeline.readers.changes import Change, marked
from pipeline.readers.doc_properties import CHPX, PAPX, STYLE, Run, all_runs, of_fib, strings
from pipeline.readers.numbering import Numbering

SUFFIXES = (".doc", ".dot")
VERSION = f"3 (olefile {olefile.__version__})"

_MOST_BYTES = 256 << 20
_WORD_97 = 0x00C1
_ENCRYPTED, _TABLE_1 = 0x0100, 0x0200
_CLX, _AUTHORS = 0x01A2, 0x0232  # where the FIB says where these lie: offset and length
_LENGTHS = (0x4C, 0x50, 0x54, 0x58, 0x5C, 0x60, 0x64, 0x68)  # characters of each part, in the order of the text
_MAIN, _HEADERS, _MACROS = 0, 2, 3
_HIDDEN, _DELETED, _INSERTED = 0x083C, 0x0800, 0x0801
_ROW_END, _IN_TABLE, _LIST, _DEPTH = 0x2417, 0x2416, 0x460B, 0x260A
_NO_LIST = 0x07FF  # numbers of lists end below
_STTB_HEAD = 6  # bytes before the first string; no extra data is expected between them
_DELETED_BY, _INSERTED_BY = 0x4863, 0x4804
_FIELD = re.compile(r"\x13[^\x13\x14\x15]*(?:\x14([^\x13\x14\x15]*))?\x15")
_DEEPEST_FIELD = 10
_ROW = "\x1c"  # stands for the end of a row, which Word marks as it marks the end of a cell
_LINE = "\ufdd0"  # stands for the end of a paragraph in a cell, if it is not the last one
_ITEM = "\ufdd1"  # stands with a list's number and a depth before the end of a paragraph that is an item
_ENDS = ("\r", "\a", "\f", _ROW, _LINE)
_ITEMS = re.compile(f"([^\r\a\f{_ROW}{_LINE}]*){_ITEM}(\\d+),(\\d+){_ITEM}")

_CHARACTERS = {0x0B: "\n", 0x0C: "\n\n", 0x0D: "\n", 0x1E: "-", 0x1F: "", ord(_LINE): "\n"}
_CHARACTERS |= dict.fromkeys((1, 2, 3, 4, 5, 8), "")

Stretch = TypeVar("Stretch")
_Key = TypeVar("_Key")
_Found = TypeVar("_Found")
Stretches = list[tuple[int, int, Stretch]]  # of the stream, in bytes


@dataclass(frozen=True, slots=True)
class _Marks:
    """What stands for characters of the text, by the stretches where it does."""

    gone: Stretches[str]
    rows: Stretches[str]
    cells: Stretches[str]
    items: Stretches[str]
    revised: Stretches[Change]


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
        runs = [*all_runs(stream, table, CHPX)]
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
    paragraphs = [*all_runs(stream, table, PAPX)]
    marks = _Marks(
        _ranges(runs, not_read, "\0"),
        _ranges(paragraphs, (_ROW_END,), _ROW),
        _ranges(paragraphs, (_IN_TABLE,), _LINE),
        _items(stream, table, paragraphs),
        _revised(stream, table, runs) if changes == "all" else [],
    )
    whole = list(_pieces(stream, table, marks))
    lengths = [max(0, length) for (length,) in (struct.unpack_from("<i", stream, at) for at in _LENGTHS)]
    starts = list(itertools.accumulate(lengths, initial=0))
    numbering = Numbering(_or_nothing(doc_lists.lists, stream, table))
    notes = doc_notes.notes(stream, table, lengths) if len(whole) >= starts[-1] else []
    _place(notes, whole, starts, numbering)
    parts = [_readable("".join(whole[start:end]), numbering) for start, end in itertools.pairwise(starts)]
    headers = list(dict.fromkeys(line for line in parts[_HEADERS].split("\n") if line.strip()))
    others = [part for number, part in enumerate(parts) if number not in {_MAIN, _HEADERS, _MACROS}]
    return "\n\n".join(piece for piece in ("\n".join(headers), parts[_MAIN], *others) if piece.strip())


def _place(notes: Iterable[doc_notes.Note], whole: list[str], starts: Sequence[int], numbering: Numbering) -> None:
    """Move every note behind the paragraph that names it, or into its cell; one whose mark is not read goes."""
    behind: dict[int, list[str]] = {}
    count = 0
    for note in notes:
        start, end = (starts[note.part] + one for one in note.text)
        text, whole[start:end] = "".join(whole[start:end]), [""] * (end - start)
        if whole[note.place] == "\0":
            continue
        said = " ".join(_readable(text, numbering).split())
        if note.is_comment:
            said = f"[Comment{note.author and f' by {note.author}'}: {said}]"
        else:
            count += 1
            said = f"[{count}] {said}"
            whole[note.place] = f"[{count}]{whole[note.place]}"
        paragraph_ends = (at for at in range(note.place, starts[1]) if whole[at].endswith(_ENDS))
        behind.setdefault(next(paragraph_ends, note.place), []).append(said)
    for at, said_there in behind.items():
        if whole[at].endswith(("\r", "\f")):
            whole[at] += "".join(f"{said}\r" for said in said_there)
        else:
            whole[at] = f" {' '.join(said_there)}{whole[at]}"


def _pieces(stream: bytes, table: bytes, marks: _Marks) -> Iterator[str]:
    """The text in its order, one for each character that is counted: NUL for what is not to be read; a change with its
    mark stands as a whole in place of its first character."""
    clx = of_fib(stream, table, _CLX)
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
        yield from _characters(text, start, width, marks)


def _characters(text: str, start: int, width: int, marks: _Marks) -> list[str]:
    characters = list(text)

    def within(stretches: Stretches[Stretch]) -> Iterator[tuple[range, Stretch]]:
        first = max(0, bisect_right(stretches, start, key=itemgetter(0)) - 1)
        for low, high, stands in itertools.islice(stretches, first, None):
            if low >= start + len(text) * width:
                break
            indices = range(max(0, (low - start) // width), min(len(text), (high - start) // width))
            if indices:
                yield indices, stands

    for place, stretches in (("\a", marks.rows), ("\r", marks.cells)):
        for indices, stands in within(stretches):
            for index in indices:
                if text[index] == place:
                    characters[index] = stands
    for indices, item in within(marks.items):
        for index in indices:
            if characters[index].endswith(_ENDS):
                characters[index] = item + characters[index]
    for indices, stands in within(marks.gone):
        characters[indices.start : indices.stop] = [stands] * len(indices)
    for indices, change in within(marks.revised):
        for control, group in itertools.groupby(indices, lambda at: text[at] < " " or characters[at] == "\0"):
            run = list(group)
            if not control:
                whole = marked("".join(characters[index] for index in run), change)
                characters[run[0] : run[-1] + 1] = [whole, *[""] * (len(run) - 1)]
    return characters


def _or_nothing(
    read_from: Callable[[bytes, bytes], dict[_Key, _Found]], stream: bytes, table: bytes
) -> dict[_Key, _Found]:
    try:
        return read_from(stream, table)
    except (struct.error, IndexError):  # the words without the marks of lists are better than no words
        return {}


def _items(stream: bytes, table: bytes, paragraphs: Iterable[Run]) -> Stretches[str]:
    """The paragraphs that are items of lists, by their own properties or those of their style."""
    styles = _or_nothing(doc_lists.style_properties, stream, table)
    found = []
    for low, high, own in paragraphs:
        properties = {**styles.get(own.get(STYLE, 0), {}), **own}
        if 0 < properties.get(_LIST, 0) < _NO_LIST:
            found.append((low, high, f"{_ITEM}{properties[_LIST]},{properties.get(_DEPTH, 0)}{_ITEM}"))
    return sorted(found)


def _revised(stream: bytes, table: bytes, runs: Iterable[Run]) -> Stretches[Change]:
    """The stretches that were inserted or deleted, in order; where both, deleted."""
    authors = [*strings(of_fib(stream, table, _AUTHORS)[_STTB_HEAD:])]
    found: Stretches[Change] = []
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


def _readable(text: str, numbering: Numbering) -> str:
    """Fields by what they show, items with their marks, cells and rows as lines, Word's own characters."""

    def item(found: re.Match[str]) -> str:
        return numbering.mark(found[2], int(found[3])) + found[1] if found[1].strip() else found[1]

    text = text.replace("\0", "")
    for _ in range(_DEEPEST_FIELD):
        text, found = _FIELD.subn(lambda field: field[1] or "", text)
        if not found:
            break
    text = _ITEMS.sub(item, re.sub("[\x13\x14\x15]", "", text))
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


def _ranges(runs: Iterable[Run], wanted: tuple[int, ...], stands: str = "") -> Stretches[str]:
    """Stretches whose properties have one of the wanted ones switched on, with what stands for their characters."""
    merged: Stretches[str] = []
    for low, high in sorted(run[:2] for run in runs if any(run[2].get(one) for one in wanted)):
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(high, merged[-1][1]), stands
        else:
            merged.append((low, high, stands))
    return merged

"""Rich Text (.rtf), with own code: a tokenizer and one walk, linear in the file.

Kept: paragraphs, the marks of lists, table rows as `cell | cell`, text boxes, footnotes as `[1] text` and comments as
`[Comment by Ana: text]` behind their paragraph, headers before the text and footers behind it, each once. Tracked
changes are read as if accepted, as if refused, or all with marks. Hidden text is not read. Lost: pictures, embedded
objects, positions.

Not striprtf 0.0.35: it reads deleted and hidden text, and knows no footnotes, comments or headers.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field, replace

from pipeline.data import Changes
from pipeline.readers import PageText, Reading, ReadOptions
from pipeline.readers.changes import Change, shown
from pipeline.readers.outline import Outline

SUFFIXES = (".rtf",)
VERSION = "4"

_TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})? ?|\\'(?P<hex>[0-9a-fA-F]{2})|\\(?P<symbol>[^a-zA-Z'])"
    rb"|(?P<open>\{)|(?P<close>\})|(?P<text>[^\\{}\r\n]+)|[\r\n]+|\\",
    re.S,
)
_SKIPPED = frozenset(
    (  # noqa: SIM905 - one word a line would fill the page
        "aftncn aftnsep aftnsepc atnid author bkmkend bkmkstart blipuid buptim colortbl comment company creatim "
        "datafield datastore doccomm docvar falt file filetbl fldinst footnotesep footnotesepc ftncn ftnsep ftnsepc "
        "generator info keywords listoverridetable listtable nonesttables objclass objdata objname operator panose "
        "pict pnseclvl printim private rsidtbl rxe shprslt sn sp stylesheet subject sv tc themedata title txe "
        "xe xmlnstbl"
    ).split()
)
_KNOWN = frozenset(("annotation", "atnauthor", "shpinst", "shptxt", "fonttbl", "pntext", "footnote", "revtbl", "ud"))
_AROUND = re.compile("(header|footer)[lrf]?$")
_CHARACTERS = {
    "tab": "\t",
    "emdash": "—",
    "endash": "–",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "bullet": "•",
    "emspace": " ",
    "enspace": " ",
    "qmspace": " ",
    "~": "\xa0",
    "_": "-",
}
_CHARSETS = {
    77: "mac-roman",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "gbk",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
    255: "cp437",
}
_CODE_PAGES = {"mac": "mac-roman", "pc": "cp437", "pca": "cp850", "ansi": "cp1252"}
_SYMBOLS = "symbols"  # a font whose codes are no characters
_GAP = 100  # twentieths of a point between two paragraphs that a reader sees as a blank line


def recognises(content: bytes) -> bool:
    """The beginning that every reader of RTF asks for."""
    return content[:64].lstrip().startswith(b"{\\rtf")


def read(content: bytes, name: str, options: ReadOptions) -> Reading:  # noqa: ARG001 - the contract's signature
    """Read the document as one page."""
    walk = _Walk(content, options.changes)
    return Reading((walk.page(),), changed=walk.changed)


def text_of(content: bytes) -> str:
    """The text of an RTF document, changes accepted."""
    return _Walk(content, "final").page().text


@dataclass
class _Flow:
    """A stream of lines: the body, a header, a note."""

    changes: Changes
    kind: str = "body"
    lines: list[str] = field(default_factory=list)
    line: list[tuple[Change | None, str]] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)  # notes and comments, due behind the paragraph
    gap: int = 0  # below the last paragraph
    author: str = ""
    outline: Outline = field(default_factory=Outline)
    in_table: bool = False  # the last line was a row

    def end_line(self, before: int = 0, after: int = 0, *, is_heading: bool = False, is_row: bool = False) -> None:
        """End a paragraph."""
        if self.lines and max(self.gap, before) >= _GAP:
            self.lines.append("")
        text = self._take()
        if is_row:
            if not self.in_table:
                self.outline.table()
            self.outline.row(len(self.lines))
        elif is_heading and text.strip():
            self.outline.heading(len(self.lines), text)
        else:
            self.outline.paragraph(len(self.lines), text)
        self.in_table = is_row
        self.lines.append(text)
        self.gap = after
        if not self.cells:
            self.lines.extend(self.behind)
            self.behind.clear()

    def end_cell(self) -> None:
        """End a cell of a row."""
        self.cells.append(" ".join(self._take().split()))

    def end_row(self) -> None:
        """End a row: a line. What stands behind the last cell is one more."""
        self.end_cell()
        self.line = [(None, " | ".join(self.cells).rstrip(" |"))]
        self.cells.clear()
        self.end_line(is_row=True)

    def _take(self) -> str:
        text = shown(self.line, self.changes)
        self.line.clear()
        return text

    def text(self) -> str:
        """All lines, also what was not ended."""
        self.end()
        return "\n".join(self.lines)

    def end(self) -> None:
        """End what was not ended."""
        if self.cells:
            self.end_row()
        if self.line or self.behind:
            self.end_line()


@dataclass(frozen=True, slots=True)
class _State:
    """What the end of a group takes back."""

    flow: _Flow
    skip: bool = False
    fonts: bool = False  # in the table of fonts
    font: int = -1
    unicode_skip: int = 1
    hidden: bool = False
    inserted: int | None = None  # the number of who inserted it
    deleted: int | None = None
    in_table: bool = False
    before: int = 0
    after: int = 0
    is_heading: bool = False
    mark: bool = False  # in the mark of a list's item


class _Walk:
    def __init__(self, content: bytes, changes: Changes) -> None:
        self._changes: Changes = changes
        self.changed = False  # a tracked change was met
        self._authors: list[str] = []
        self._body = _Flow(changes)
        self._around: dict[str, list[str]] = {"header": [], "footer": []}
        self._state = _State(self._body)
        self._stack: list[_State] = []
        self._bytes = bytearray()  # characters that wait for their encoding
        self._page = "cp1252"
        self._fonts: dict[int, str] = {}
        self._starred = False  # the next word may be skipped with its group
        self._left = 0  # characters to skip behind \u
        self._count = 0  # of notes
        self._author = ""
        self._run(content)

    def page(self) -> PageText:
        """Headers, body, footers."""
        self._body.end()
        lines, headers, footers = (
            [line.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for line in found]
            for found in (self._body.lines, self._around["header"], self._around["footer"])
        )  # \u gives halves of characters
        return self._body.outline.page(lines, headers=headers, footers=footers)

    def _run(self, content: bytes) -> None:
        self._tokens(content)
        while self._stack:  # it was cut
            self._close()
        self._flush()

    def _tokens(self, content: bytes) -> None:
        at, end = 0, len(content)
        while at < end:
            match = _TOKEN.match(content, at)
            if match is None:
                return
            at = match.end()
            kind = match.lastgroup
            if kind == "text":
                self._characters(match["text"])
            elif kind == "hex":
                self._characters(bytes([int(match["hex"], 16)]))
            elif kind == "open":
                self._flush()
                self._stack.append(self._state)
                self._left = 0
            elif kind == "close":
                if not self._stack:
                    return
                self._close()
                if not self._stack:  # what follows the document is not part of it
                    return
            elif kind == "symbol":
                self._symbol(match["symbol"].decode("latin-1"))
            elif kind is not None:
                number = int(match["number"]) if match["number"] else None
                word = match["word"].decode("ascii")
                if word == "bin":
                    at += max(0, number or 0)
                else:
                    self._word(word, number)

    def _characters(self, found: bytes) -> None:
        if self._left:
            skipped = min(self._left, len(found))
            self._left -= skipped
            found = found[skipped:]
        self._starred = False
        if found and not self._state.skip and not self._state.fonts:
            self._bytes += found

    def _flush(self) -> None:
        """The characters that were collected, in the encoding of their font."""
        if not self._bytes:
            return
        encoding = self._fonts.get(self._state.font, self._page)
        if encoding == _SYMBOLS:
            text = "•" if self._state.mark else self._bytes.decode("ascii", "ignore")
        else:
            text = self._bytes.decode(encoding, "replace")
        self._bytes.clear()
        self._write(text)

    def _write(self, text: str) -> None:
        state = self._state
        if state.mark:
            text = re.sub("[•·\\ue000-\\uf8ff]", "-", text).replace("\t", " ")
        if not (state.skip or state.fonts or state.hidden) and self._is_read():
            state.flow.line.append((self._change(), text))

    def _is_read(self) -> bool:
        if self._changes == "all":
            return True
        return (self._state.deleted if self._changes == "final" else self._state.inserted) is None

    def _change(self) -> Change | None:
        """The last change of what is written now."""
        by = self._state.inserted if self._state.deleted is None else self._state.deleted
        if by is None:
            return None
        author = self._authors[by] if 0 < by < len(self._authors) else ""  # the first one is for unknown
        return Change(self._state.deleted is None, author)

    def _close(self) -> None:
        self._flush()
        old, self._state = self._state, self._stack.pop()
        self._left = 0
        if old.flow is self._state.flow:
            return
        flow, text = old.flow, old.flow.text()
        if flow.kind in self._around:
            if text.strip() and text not in self._around[flow.kind]:
                self._around[flow.kind].append(text)
        elif flow.kind == "atnauthor":
            self._author = " ".join(text.split())
        elif flow.kind == "revtbl":
            self._authors = [" ".join(author.split()) for author in text.split(";")]
        elif text.strip():
            words = " ".join(text.split())
            who = f" by {self._author}" if self._author else ""
            note = {"annotation": f"[Comment{who}: {words}]", "shptxt": text}.get(flow.kind, words)
            self._state.flow.behind.append(note)

    def _symbol(self, symbol: str) -> None:
        if symbol == "*":
            self._starred = True
        elif self._left:
            self._left -= 1
        elif symbol in "\\{}":
            self._characters(symbol.encode())
        elif symbol in "\r\n":
            self._word("par", None)
        elif symbol in _CHARACTERS:
            self._flush()
            self._write(_CHARACTERS[symbol])

    def _word(self, word: str, number: int | None) -> None:
        self._flush()
        starred, self._starred = self._starred, False
        if self._left and word != "u":
            self._left -= 1  # a word stands for one character behind \u
            return
        around = _AROUND.match(word)
        if word in _SKIPPED or (starred and word not in _KNOWN and around is None):
            self._state = replace(self._state, skip=True)
        elif around is not None or word in {"footnote", "annotation", "atnauthor", "revtbl", "shptxt"}:
            self._open_flow(around[1] if around else word)
        elif word in _CHARACTERS:
            self._write(_CHARACTERS[word])
        elif word == "u":
            self._write(chr((number or 0) % 0x10000))
            self._left = self._state.unicode_skip
        elif word in {"chftn", "chatn"}:
            if word == "chftn" and self._state.flow.kind == "body" and not self._state.skip:
                self._write(f"[{self._count + 1}]")
            elif self._state.flow.kind == "footnote":
                self._write(f"[{self._count}] ")
        elif not self._end(word):
            self._set(word, number)

    def _open_flow(self, kind: str) -> None:
        if kind == "footnote":
            self._count += 1
        self._state = replace(
            self._state, flow=_Flow(self._changes, kind), in_table=False, before=0, after=0, hidden=False
        )

    def _end(self, word: str) -> bool:
        """Whether the word ends a line, a cell or a row."""
        state = self._state
        if word not in {"par", "line", "sect", "page", "cell", "row", "nestcell", "nestrow", "softline"}:
            return False
        if state.skip or state.fonts or not self._is_read():
            return True
        if word == "cell":
            state.flow.end_cell()
        elif word == "row":
            state.flow.end_row()
        elif state.in_table or word.startswith("nest"):
            state.flow.line.append((None, " "))
        elif word == "line":
            state.flow.line.append((None, "\n"))
        elif word == "par" or state.flow.line:
            state.flow.end_line(state.before, state.after, is_heading=state.is_heading)
        return True

    def _set(self, word: str, number: int | None) -> None:
        state = self._state
        if word == "f":
            self._state = replace(state, font=number or 0)
        elif word == "fonttbl":
            self._state = replace(state, fonts=True)
        elif word == "fcharset" and state.fonts:
            if number == 2:
                self._fonts[state.font] = _SYMBOLS
            elif number in _CHARSETS:
                self._fonts[state.font] = _CHARSETS[number]
        elif word == "deff":
            self._state = replace(state, font=number or 0)
        elif word == "ansicpg" and number is not None:
            self._page = _code_page(number, self._page)
        elif word in _CODE_PAGES:
            self._page = _CODE_PAGES[word]
        elif word == "uc":
            self._state = replace(state, unicode_skip=min(max(0, 1 if number is None else number), 100))
        elif word == "v":
            self._state = replace(state, hidden=number != 0)
        elif word in {"revised", "deleted"}:
            self.changed = self.changed or number != 0
            by = None if number == 0 else 0
            self._state = replace(state, inserted=by) if word == "revised" else replace(state, deleted=by)
        elif word == "revauth" and state.inserted is not None:
            self._state = replace(state, inserted=number or 0)
        elif word == "revauthdel" and state.deleted is not None:
            self._state = replace(state, deleted=number or 0)
        elif word == "plain":
            self._state = replace(state, hidden=False, inserted=None, deleted=None)
        elif word == "pard":
            self._state = replace(state, in_table=False, is_heading=False, before=0, after=0)
        elif word == "outlinelevel":
            self._state = replace(state, is_heading=number is not None and 0 <= number < 9)
        elif word == "intbl":
            self._state = replace(state, in_table=True)
        elif word in {"sb", "sa"}:
            space = number or 0
            self._state = replace(state, before=space) if word == "sb" else replace(state, after=space)
        elif word in {"listtext", "pntext"}:
            self._state = replace(state, mark=True)


def _code_page(number: int, default: str) -> str:
    name = "utf-8" if number == 65001 else f"cp{number}"
    try:
        return codecs.lookup(name).name
    except LookupError:
        return default

"""HTML, with lxml: the text that a person would read, in the order of the page.

Kept: the title where the page does not repeat it, blocks on lines of their own with a blank line between paragraphs,
list marks and numbers, preformatted text, values of forms, texts that stand for pictures, table rows as
`cell | cell`. Lost: links' targets, pictures, styles, scripts, frames, and what the page hides. Tables that only make
a layout (one cell a row, or tables within) are read as blocks. Nothing is fetched, no entity is expanded that HTML
does not define.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from pipeline.errors import ReadError
from pipeline.readers import PageText, Reading, ReadOptions, decoding
from pipeline.readers.outline import Outline

SUFFIXES = (".htm", ".html", ".xhtml")
VERSION = f"3 (lxml {etree.__version__}, {decoding.VERSION})"

_DECLARED = re.compile(rb"""<(?:meta|\?xml)[^>]{0,500}?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.I)
_UNSEEN = frozenset(
    [
        "applet",
        "audio",
        "canvas",
        "embed",
        "frame",
        "frameset",
        "head",
        "iframe",
        "map",
        "object",
        "script",
        "style",
        "svg",
        "template",
        "video",
    ]
)
_PARAGRAPHS = frozenset(
    ["blockquote", "dl", "fieldset", "form", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "table", "ul"]
)
_LINES = frozenset(
    [
        "address",
        "article",
        "aside",
        "body",
        "br",
        "caption",
        "center",
        "dd",
        "details",
        "dialog",
        "div",
        "dt",
        "figcaption",
        "figure",
        "footer",
        "header",
        "legend",
        "li",
        "main",
        "nav",
        "optgroup",
        "option",
        "section",
        "summary",
        "tbody",
        "tfoot",
        "thead",
        "tr",
    ]
)
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_CELLS = frozenset(("td", "th"))
_HIDDEN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.I)
_FILLED_IN = frozenset(("", "text", "number", "date", "datetime-local", "email", "month", "tel", "time", "url", "week"))
_WIDEST_SPAN = 100
_DEEPEST_INDENT = 10
_SPACES = re.compile(r"[ \t\n\r\f]{2,}|[\t\n\r\f]")


def recognises(content: bytes) -> bool:
    """Any text: HTML has no beginning that it must have."""
    return decoding.is_text(content)


def read(content: bytes, name: str, options: ReadOptions) -> Reading:  # noqa: ARG001 - the contract's signature
    """Read the page as one page."""
    return Reading((_page(content, name, None, mark_quotes=False),))


def text_of(content: bytes, name: str, declared: str | None = None, *, mark_quotes: bool = False) -> str:
    """The text of an HTML page or fragment. `declared` is what its carrier says of the encoding.

    `mark_quotes` puts `> ` before the lines of what the page quotes, as plain mails do.
    """
    return _page(content, name, declared, mark_quotes=mark_quotes).text


def _page(content: bytes, name: str, declared: str | None, *, mark_quotes: bool) -> PageText:
    found = _DECLARED.search(content, 0, 4096)
    markup = decoding.decode(content, found[1].decode("ascii", "replace") if found else declared)
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=True)
    root = etree.fromstring(markup.encode("utf-8", "replace"), parser) if markup.strip() else None
    if any(entry.level_name == "FATAL" for entry in parser.error_log):  # the rest of the page is lost
        raise ReadError(
            f"{name} is HTML nested too deep to be read",
            code="limits",
            hint="No program writes such a page: leave it out, or save it as text.",
        )
    if root is None:
        return PageText("")
    page = _Page(root, mark_quotes=mark_quotes).page()
    title = " ".join((root.findtext("head/title") or "").split())
    if not title or title in page.text:
        return page
    shift = len(title) + 2
    places = ((0, "title"), *((at + shift, label) for at, label in page.places))
    return PageText(f"{title}\n\n{page.text}", places=places)


class _Page:
    """One walk over the tree; `lines` grow, a row's cells are collected until the row ends."""

    def __init__(self, root: etree._Element, *, mark_quotes: bool) -> None:
        self._mark_quotes = mark_quotes
        self._quotes = 0  # that are open
        self._lines: list[str] = []
        self._line: list[str] = []
        self._outline = Outline()
        self._heading = False  # the line is one
        self._row = False  # the line is one of a table
        self._new_table = False  # no row of which was met yet
        self._blank = False  # a blank line is due before the next line
        self._mark = ""  # of a list's item, due before the next line
        self._preformatted = 0
        self._counters: list[int | None] = []  # of the lists that are open; None for one without numbers
        self._rows: list[list[str] | None] = []  # of the rows that are open; None for one that is layout
        self._spans: list[dict[int, int]] = [{}]  # of the tables that are open: column -> rows still covered
        self._layout = set(_around_tables(root))
        self._walk(root)
        self._end_line()

    def page(self) -> PageText:
        """All lines."""
        return self._outline.page(self._lines)

    def _walk(self, root: etree._Element) -> None:
        walk = etree.iterwalk(root, events=("start", "end"))
        skipped = None
        for event, element in walk:
            if event == "start":
                if _unseen(element):
                    walk.skip_subtree()  # its end comes next
                    skipped = element
                else:
                    self._start(element, element.tag)
                    self._write(element.text)
                continue
            if element is not skipped:
                self._end(element, element.tag)
            if element is not root:
                self._write(element.tail)

    def _start(self, element: etree._Element, tag: str) -> None:
        if tag == "img":
            self._write(element.get("alt"))
        elif tag == "input":
            self._write(f" {element.get('value', '')} ")
        elif tag == "table":
            self._spans.append({})
            self._new_table = True
        elif tag == "tr":
            self._break(tag)
            cells = [child for child in element if child.tag in _CELLS]
            data = len(cells) > 1 or self._spans[-1] or any("rowspan" in cell.attrib for cell in cells)
            data = data and element not in self._layout
            self._rows.append([] if data else None)
        elif tag in _CELLS:
            self._break(tag)
        if tag in _PARAGRAPHS or tag in _LINES:
            self._break(tag)
        if tag == "blockquote":
            self._quotes += 1
        self._heading = tag in _HEADINGS or (self._heading and tag not in _PARAGRAPHS)
        if tag in {"ol", "ul"}:
            self._counters.append(_number(element.get("start"), 1) if tag == "ol" else None)
        elif tag in {"pre", "textarea"}:
            self._preformatted += 1
        elif tag == "li" and not self._in_row():
            self._mark = self._item_mark()

    def _end(self, element: etree._Element, tag: str) -> None:
        if tag in {"pre", "textarea"}:
            self._preformatted -= 1
        elif tag in {"ol", "ul"}:
            self._counters.pop()
        elif tag in _CELLS:
            row = self._rows[-1] if self._rows else None
            if row is None:
                self._break(tag)
            else:
                self._end_cell(row, element)
        elif tag == "tr":
            row = self._rows.pop()
            if row is not None:
                self._end_row(row)
        elif tag == "table":
            self._spans.pop()
        if tag in _PARAGRAPHS or tag in _LINES:
            self._break(tag)
            self._heading = self._row = False
        if tag == "blockquote":
            self._quotes -= 1
        if tag == "li":
            self._mark = ""

    def _end_row(self, row: list[str]) -> None:
        """What stands behind the last cell is one more."""
        self._skip_covered(row)
        if rest := " ".join("".join(self._line).split()):
            row.append(rest)
            self._skip_covered(row)
        self._line[:] = [" | ".join(row).rstrip(" |")]
        self._row = True

    def _end_cell(self, row: list[str], cell: etree._Element) -> None:
        """A cell stands once; the other places that it covers stay empty, so that columns stay columns."""
        self._skip_covered(row)
        width = min(_number(cell.get("colspan"), 1), _WIDEST_SPAN)
        height = min(_number(cell.get("rowspan"), 1), _WIDEST_SPAN)
        if height > 1:
            self._spans[-1].update(dict.fromkeys(range(len(row), len(row) + max(1, width)), height - 1))
        row.append(" ".join("".join(self._line).split()))
        row.extend([""] * (width - 1))
        self._line.clear()

    def _skip_covered(self, row: list[str]) -> None:
        spans = self._spans[-1]
        while len(row) in spans:
            spans[len(row)] -= 1
            if not spans[len(row)]:
                del spans[len(row)]
            row.append("")

    def _in_row(self) -> bool:
        return bool(self._rows) and self._rows[-1] is not None

    def _write(self, text: str | None) -> None:
        if not text:
            return
        if self._preformatted and not self._in_row():
            *whole, rest = text.replace("\r\n", "\n").split("\n")
            for line in whole:
                self._line.append(line)
                self._end_line(keep_blank=True)
            self._line.append(rest)
            return
        text = _SPACES.sub(" ", text)
        if not self._line or self._line[-1].endswith(" "):
            text = text.removeprefix(" ")
        if text:
            self._line.append(text)

    def _break(self, tag: str) -> None:
        if self._in_row():
            self._write(" ")
            return
        self._end_line()
        nested_list = tag in {"ol", "ul"} and self._counters
        if tag in _PARAGRAPHS and not nested_list:
            self._blank = True

    def _end_line(self, *, keep_blank: bool = False) -> None:
        line = "".join(self._line).rstrip()
        self._line.clear()
        if not line.strip():
            self._blank = self._blank or keep_blank
            return
        if self._blank and self._lines:
            self._lines.append("")
        self._blank = False
        if self._row:
            if self._new_table:
                self._outline.table()
            self._new_table = False
            self._outline.row(len(self._lines))
        elif self._heading:
            self._outline.heading(len(self._lines), line)
        else:
            self._outline.paragraph(len(self._lines), line)
        quotes = "> " * min(self._quotes, _DEEPEST_INDENT) if self._mark_quotes else ""
        self._lines.append(quotes + self._mark + line)
        self._mark = ""

    def _item_mark(self) -> str:
        indent = "  " * min(len(self._counters) - 1, _DEEPEST_INDENT)
        if not self._counters or self._counters[-1] is None:
            return indent + "- "
        number = self._counters[-1]
        self._counters[-1] = number + 1
        return f"{indent}{number}. "


def _unseen(element: etree._Element) -> bool:
    tag = element.tag
    if tag in _UNSEEN or element.get("hidden") is not None or _HIDDEN.search(element.get("style", "")):
        return True
    if tag == "input":
        return (element.get("type") or "").lower() not in _FILLED_IN
    if tag == "option":  # the one that is chosen; browsers choose the first where none is
        chosen = "selected" in element.attrib
        return not chosen and (element.getprevious() is not None or _some_chosen(element))
    return False


def _some_chosen(first: etree._Element) -> bool:
    return any("selected" in option.attrib for option in first.itersiblings("option"))


def _around_tables(root: etree._Element) -> Iterator[etree._Element]:
    """Everything that has a table inside."""
    seen: set[etree._Element] = set()
    for table in root.iter("table"):
        for around in table.iterancestors():
            if around in seen:
                break
            seen.add(around)
            yield around


def _number(text: str | None, default: int) -> int:
    try:
        return int(text) if text and len(text) < 10 else default
    except ValueError:
        return default

"""OpenDocument texts, spreadsheets and presentations, packed or flat (.odt, .ods, .odp, .fodt ...), with lxml.

Kept: for texts what `docx` keeps, in the same forms (notes, comments and boxes behind their paragraph, headers and
footers once, lists with their marks, tracked changes as they are asked for); for spreadsheets each visible sheet as a
page, cells as they are shown; for presentations each slide as a page with its title first, then its boxes from top to
bottom, then its notes. Lost: pictures, charts, formulas of mathematics, hidden text and hidden sheets, what changed in
a spreadsheet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lxml import etree

from pipeline.data import Changes
from pipeline.errors import ReadError
from pipeline.readers import PageText, Reading, ReadOptions, decoding, packages
from pipeline.readers.changes import Change, is_read, marked, shown
from pipeline.readers.numbering import whole, written
from pipeline.readers.outline import Outline
from pipeline.readers.packages import Package, child, local
from pipeline.readers.sheets import Sheets

SUFFIXES = (".fodp", ".fods", ".fodt", ".odp", ".ods", ".odt", ".otp", ".ots", ".ott")
VERSION = f"7 ({packages.VERSION})"

_ROOT = re.compile(rb"<(?:\w+:)?document[\s>]")
_GONE = frozenset(
    (
        "tracked-changes",
        "forms",
        "sequence-decls",
        "variable-decls",
        "user-field-decls",
        "ruby-text",
        "script",
        "hidden-text",
        "title",
        "desc",
        "object",
        "notes",
        "annotation-end",
        "creator",
        "date",
        "change-info",
        "index-title-template",
    )
)
_TEXT = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
_FIELDS = frozenset((f"{{{_TEXT}}}creator", f"{{{_TEXT}}}date", f"{{{_TEXT}}}title"))
_KINDS = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_LENGTH = re.compile(r"(-?[\d.]{1,10})(cm|mm|in|pt|pc|px)")
_POINTS = {"cm": 28.35, "mm": 2.835, "in": 72.0, "pt": 1.0, "pc": 12.0, "px": 0.75}
_GAP = 5.0  # points between two paragraphs that a reader sees as a blank line
_DEEPEST_STYLE = 20
_MOST_SPACES = 100
_BESIDE = frozenset(("note", "annotation", "frame", "custom-shape", "rect", "g", "text-box"))
_FURNITURE = frozenset(("header", "footer", "date-time", "page-number", "page"))


def recognises(content: bytes) -> bool:
    """A package, or the one XML file of the flat form."""
    head = content[:4096]
    return packages.is_package(content) or (decoding.is_text(content) and _ROOT.search(head) is not None)


def read(content: bytes, name: str, options: ReadOptions) -> Reading:
    """A text is one page, a spreadsheet a page for each sheet, a presentation a page for each slide."""
    if content.startswith(b"PK"):
        package = Package(content, name)
        if b"encryption-data" in (package.read("META-INF/manifest.xml") or b"") or "encrypted-package" in package:
            raise ReadError(
                f"{name} is encrypted, and OpenDocument files are not opened even with a password",
                code="encrypted",
                hint="Save it without a password in its own program.",
            )
        roots = [root for part in ("content.xml", "styles.xml") if (root := package.xml(part)) is not None]
    else:
        roots = [packages.parse(content, name)]
    bodies = [found for root in roots if (found := child(root, "body")) is not None]
    if not bodies or len(bodies[0]) == 0:
        raise packages.another(name, "OpenDocument file")
    document = _Document(name, roots, options.changes)
    main = next((one for one in bodies[0] if local(one) in {"text", "spreadsheet", "presentation", "drawing"}), None)
    if main is None:
        raise packages.another(name, "text, spreadsheet or presentation")
    if local(main) == "spreadsheet":
        pages = list(document.sheets(main))
    elif local(main) == "text":
        pages = [document.text(main)]
    else:
        slides = [page for page in main if local(page) == "page"]
        pages = [
            PageText(document.slide(slide), places=((0, f"slide {number}"),))
            for number, slide in enumerate(slides, start=1)
        ]
    return Reading(tuple(pages), changed=document.changed)


class _Document:
    """The walks over one document; `_lines` grow."""

    def __init__(self, name: str, roots: list[etree._Element], changes: Changes) -> None:
        self._name = name
        self._roots = roots
        self._styles: dict[str, etree._Element] = {}
        self._lists: dict[str, etree._Element] = {}
        for root in roots:
            for kind in ("styles", "automatic-styles"):
                listed = child(root, kind)
                for one in () if listed is None else listed:
                    if local(one) in {"style", "default-style"}:
                        self._styles[_get(one, "name") or f"default {_get(one, 'family')}"] = one
                    elif local(one) in {"list-style", "outline-style"}:
                        self._lists[_get(one, "name") if local(one) == "list-style" else "outline"] = one
        self._lines: list[str] = []
        self._all_lines: list[str] | None = None  # of a text's body, wherever the walk is
        self._outline = Outline()
        self._behind: list[str] = []
        self._counters: dict[str, dict[int, int]] = {}  # of the numbered lists, by style
        self._mark = ""
        self._gap = 0.0
        self._count = 0
        self._inside = 0
        self._changes: Changes = changes
        self._deleted: dict[str, tuple[Change, etree._Element]] = {}  # taken out where they are read: once
        self._inserted: dict[str, Change] = {}
        for region in (one for root in roots for one in root.iter("{*}changed-region")):
            for one in region:
                change = Change(local(one) == "insertion", " ".join((one.findtext("*/{*}creator") or "").split()))
                if change.inserted:
                    self._inserted[_get(region, "id")] = change
                elif local(one) == "deletion":
                    self._deleted[_get(region, "id")] = (change, one)
        self.changed = bool(self._inserted or self._deleted)
        self._open: dict[str, Change] = {}  # insertions that have begun and not ended
        self._joined = ""  # text of a paragraph whose end is a change that is not read

    def text(self, body: etree._Element) -> PageText:
        """Headers, body, footers."""
        headers, footers = ([*self._around(kind)] for kind in ("header", "footer"))
        self._open.clear()
        self._all_lines = self._lines
        self._blocks(body)
        self._end_joined()
        return self._outline.page(self._lines, headers=headers, footers=footers)

    def sheets(self, body: etree._Element) -> Iterator[PageText]:
        """The visible sheets, or all where none is visible."""
        tables = [one for one in body if local(one) == "table"]
        shown = [one for one in tables if self._property(_get(one, "style-name"), "display") != "false"]
        sheets = Sheets(self._name)
        for table in shown or tables:
            below = list(self._cells(table, sheets))
            for shapes in (one for one in table if local(one) == "shapes"):
                below.extend(self._flat(shapes))
            yield sheets.page(" ".join(_get(table, "name").split()), below)

    def slide(self, page: etree._Element) -> str:
        """The title, the boxes from top to bottom, the notes."""
        shapes = [one for one in page if not _is_gone(one)]
        shapes.sort(key=lambda one: (_get(one, "class") != "title", *_place(one)))
        pieces = ["\n".join(self._flat([shape])) for shape in shapes if _get(shape, "class") not in _FURNITURE]
        notes = [line for one in page if local(one) == "notes" for line in self._notes(one)]
        return "\n\n".join(piece for piece in (*pieces, "\n".join(notes)) if piece.strip())

    def _notes(self, notes: etree._Element) -> Iterator[str]:
        for shape in notes:
            if _get(shape, "class") not in _FURNITURE:
                yield from self._flat([shape])

    def _cells(self, table: etree._Element, sheets: Sheets) -> Iterator[str]:
        """Fill the sheet; gives its comments."""
        row = 1
        for element in _within(table, "table-row"):
            rows = max(1, whole(_get(element, "number-rows-repeated"), 1))
            column = 1
            for cell in _within(element, "table-cell", "covered-table-cell"):
                columns = max(1, whole(_get(cell, "number-columns-repeated"), 1))
                for note in (one for one in cell if local(one) == "annotation"):
                    yield f"[Comment: {' '.join(self._flat(note))}]"
                text = " ".join(self._flat(one for one in cell if local(one) != "annotation")) or _value(cell)
                if local(cell) == "table-cell":  # else a merged cell hides it
                    sheets.put(row, column, text, rows=rows, columns=columns)
                column += columns
            row += rows

    def _around(self, kind: str) -> Iterator[str]:
        """The headers or footers of all kinds of pages, each text once."""
        seen: set[str] = set()
        for root in self._roots:
            masters = child(root, "master-styles")
            for one in () if masters is None else masters.iter("{*}" + kind, f"{{*}}{kind}-left", f"{{*}}{kind}-first"):
                text = "" if _get(one, "display") == "false" else "\n".join(self._flat(one))
                if text.strip() and text not in seen:
                    seen.add(text)
                    yield text

    def _flat(self, parent: Iterable[etree._Element], *, also_blank: bool = False, notes: bool = False) -> list[str]:
        """The lines of what stands apart: a header, a cell, a note, a box. With `notes`, also those in it."""
        kept = self._lines, self._behind, self._gap, self._mark, self._joined
        self._lines, self._behind, self._gap, self._mark, self._joined = [], [], 0.0, "", ""
        self._inside += not notes
        self._blocks(parent)
        self._end_joined()
        self._inside -= not notes
        lines = [line for line in self._lines if line.strip() or also_blank]
        self._lines, self._behind, self._gap, self._mark, self._joined = kept
        return lines

    def _end_joined(self) -> None:
        """A paragraph that no other one went on with."""
        if self._joined.strip():
            self._lines.append(self._joined)
        self._joined = ""

    def _blocks(self, parent: Iterable[etree._Element], list_style: str = "", depth: int = 0) -> None:
        for element in parent:
            name = local(element)
            if name in {"p", "h"}:
                self._paragraph(element)
            elif name == "list":
                style = _get(element, "style-name") or list_style
                if (
                    not depth
                    and _get(element, "continue-numbering") != "true"
                    and "continue-list" not in str(element.attrib)
                ):
                    self._counters.pop(style, None)
                for item in element:
                    if local(item) == "list-item":
                        start = _get(item, "start-value")
                        if start:
                            self._counters.setdefault(style, {})[depth] = whole(start, 1) - 1
                        self._mark = self._item(style, depth) if self._is_read() else ""
                    self._blocks(item, style, depth + 1)
                self._mark = ""
            elif name == "table":
                self._table(element)
            elif name == "change":  # of whole paragraphs or tables
                text = self._deletion(_get(element, "change-id"))
                self._lines.extend([text] if text else ())
            elif not self._begins_or_ends(element) and not _is_gone(element):
                self._blocks(element, list_style, depth)

    def _paragraph(self, element: etree._Element) -> None:
        style = _get(element, "style-name")
        pieces = self._inline(element) if self._property(style, "display", "text") != "none" else ()
        text = shown(pieces, self._changes)
        mark, self._mark = self._mark, "" if text.strip() else self._mark
        if local(element) == "h" and not mark and text.strip():
            mark = self._item("outline", max(0, whole(_get(element, "outline-level"), 1) - 1))
        if not self._is_read():  # its end was inserted
            self._joined += mark + text
            return
        text, self._joined = self._joined + (mark + text if text.strip() else text), ""
        above, below = (_points(self._property(style, f"margin-{side}")) for side in ("top", "bottom"))
        if self._lines and max(self._gap, above) >= _GAP:
            self._lines.append("")
        self._gap = below
        if self._lines is self._all_lines:
            if local(element) == "h" and text.strip():
                self._outline.heading(len(self._lines), text)
            else:
                self._outline.paragraph(len(self._lines), text)
        self._lines.append(text)
        self._lines.extend(self._behind)
        self._behind.clear()

    def _change(self) -> Change | None:
        """The insertion in which the walk stands."""
        return next(reversed(self._open.values()), None)

    def _is_read(self) -> bool:
        return is_read(self._change(), self._changes)

    def _begins_or_ends(self, element: etree._Element) -> bool:
        """Whether the element is where a change begins or ends."""
        identity = _get(element, "change-id")
        if local(element) == "change-start" and identity in self._inserted:
            self._open[identity] = self._inserted[identity]
        elif local(element) == "change-end":
            self._open.pop(identity, None)
        return local(element) in {"change-start", "change-end"}

    def _deletion(self, identity: str) -> str:
        """What was deleted here, as far as it is read."""
        if self._changes == "final" or not self._is_read() or identity not in self._deleted:
            return ""
        change, content = self._deleted.pop(identity)
        paragraphs = [one for one in content if local(one) != "change-info"]
        if len(paragraphs) == 1 and local(paragraphs[0]) in {"p", "h"}:
            text = shown(self._inline(paragraphs[0]), self._changes)
        elif self._changes == "original":
            return "\n".join(self._flat(paragraphs, also_blank=True))
        else:
            text = " ".join(self._flat(paragraphs))
        return marked(text, change) if self._changes == "all" else text

    def _inline(self, element: etree._Element) -> Iterator[tuple[Change | None, str]]:
        """Pieces of text with the insertion that each belongs to."""
        yield self._change(), " ".join((element.text or "").split("\n"))
        for one in element:
            name = local(one)
            if name == "s":
                yield self._change(), " " * min(max(1, whole(_get(one, "c"), 1)), _MOST_SPACES)
            elif name == "tab":
                yield self._change(), "\t"
            elif name == "line-break":
                yield self._change(), "\n"
            elif name == "change":
                yield None, self._deletion(_get(one, "change-id"))
            elif name in _BESIDE:
                yield self._change(), self._beside(one) if self._is_read() else ""
            elif (
                not self._begins_or_ends(one)
                and not _is_gone(one)
                and self._property(_get(one, "style-name"), "display", "text") != "none"
            ):
                yield from self._inline(one)
            yield self._change(), " ".join((one.tail or "").split("\n"))

    def _beside(self, element: etree._Element) -> str:
        """A note's mark; what notes, comments and boxes say is due behind the paragraph."""
        name = local(element)
        if name == "note":
            return self._note(element)
        if name != "annotation":
            self._behind.extend(self._flat([element]))
        elif not self._inside:
            author = " ".join((element.findtext("{*}creator") or "").split())
            who = f" by {author}" if author else ""
            self._behind.append(f"[Comment{who}: {' '.join(self._flat(element))}]")
        return ""

    def _note(self, note: etree._Element) -> str:
        body = child(note, "note-body")
        if body is None or self._inside:
            return ""
        self._count += 1
        self._behind.append(f"[{self._count}] {' '.join(self._flat(body))}")
        return f"[{self._count}]"

    def _table(self, table: etree._Element) -> None:
        if not self._is_read() and not any(True for _ in table.iter("{*}change-end")):
            return
        rows = [list(_within(row, "table-cell", "covered-table-cell")) for row in _within(table, "table-row")]
        nested = any(True for _ in table.iterdescendants("{*}table"))
        if self._lines:
            self._lines.append("")
        frame = nested or all(len(row) < 2 for row in rows)  # for a layout, not a table
        is_place = not frame and self._lines is self._all_lines
        if is_place:
            self._outline.table()
        for cells in rows:
            if frame:
                for cell in cells:
                    self._blocks(cell)
            else:
                if is_place:
                    self._outline.row(len(self._lines))
                self._lines.append(" | ".join(" ".join(self._flat(cell, notes=True)) for cell in cells).rstrip(" |"))
        self._lines.append("")
        self._gap = 0.0

    def _item(self, style: str, depth: int) -> str:
        """The mark of the next item of a list at this depth, or of a heading."""
        levels = {} if style not in self._lists else {_get(one, "level"): one for one in self._lists[style]}
        level = levels.get(str(depth + 1))
        kind = _KINDS.get(_get(level, "num-format"))
        if level is None or local(level).endswith(("bullet", "image")):
            return "" if style == "outline" else "  " * depth + "- "
        if kind is None:
            return ""
        counters = self._counters.setdefault(style, {})
        counters[depth] = counters.get(depth, whole(_get(level, "start-value"), 1) - 1) + 1
        for deeper in [other for other in counters if other > depth]:
            del counters[deeper]
        first = depth + 1 - min(max(1, whole(_get(level, "display-levels"), 1)), depth + 1)
        shown = (
            written(counters.get(one, 1), _KINDS.get(_get(levels.get(str(one + 1)), "num-format"), kind))
            for one in range(first, depth + 1)
        )
        return _get(level, "num-prefix") + ".".join(shown) + _get(level, "num-suffix").rstrip() + " "

    def _property(self, style: str, name: str, kind: str = "") -> str:
        """What a style, or one that it follows, says: `kind` is the set of properties, any if not given."""
        for _ in range(_DEEPEST_STYLE):
            element = self._styles.get(style)
            if element is None:
                return ""
            for properties in element:
                if local(properties).endswith("-properties") and local(properties).startswith(kind):
                    found = _get(properties, name)
                    if found:
                        return found
            style = _get(element, "parent-style-name")
        return ""


def _is_gone(element: etree._Element) -> bool:
    """Whether nothing in the element is read: a comment's `dc:date` is not, a field `text:date` is."""
    return local(element) in _GONE and element.tag not in _FIELDS


def _within(parent: etree._Element, *names: str) -> Iterator[etree._Element]:
    """The rows of a table or the cells of a row, also within groups and headers of rows."""
    for element in parent:
        if local(element) in names:
            yield element
        elif local(element) in {"table-rows", "table-header-rows", "table-row-group", "table-cells"}:
            yield from _within(element, *names)


def _get(element: etree._Element | None, name: str) -> str:
    """An attribute by its local name: no element here has two of one name."""
    if element is None:
        return ""
    return next((str(value) for key, value in element.attrib.items() if str(key).rpartition("}")[2] == name), "")


def _value(cell: etree._Element) -> str:
    """A value that no program has yet written out as it is shown."""
    names = ("string-value", "date-value", "time-value", "boolean-value", "value")
    return next((found for name in names if (found := _get(cell, name))), "")


def _place(shape: etree._Element) -> tuple[float, float]:
    """Where a shape begins; a group begins where its first shape does."""
    for one in shape.iter():
        if _get(one, "y"):
            return _points(_get(one, "y")), _points(_get(one, "x"))
    return 0.0, 0.0


def _points(length: str) -> float:
    match = _LENGTH.fullmatch(length)
    try:
        return float(match[1]) * _POINTS[match[2]] if match else 0.0
    except ValueError:
        return 0.0

"""Word documents (.docx, .dotx and their kin with macros, which are never run), with zipfile and lxml.

Kept: paragraphs and headings in order, the marks of lists as Word counts them, table rows as `cell | cell`, text
boxes behind the paragraph that holds them, footnotes as `[1] text` and comments as `[Comment by Ana: text]` behind
their paragraph, headers before the text and footers behind it, each once. Tracked changes of text are read as if
accepted, as if refused, or all with marks; those of form are not looked at. A blank line stands where the page shows a
gap. Embedded documents are attachments, also those that Word is to put in when it opens the file (`altChunk`). Lost:
pictures, charts, positions, page numbers (Word makes them while it draws), hidden text.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lxml import etree

from pipeline.data import Changes
from pipeline.readers import PageText, Reading, ReadOptions, packages
from pipeline.readers.changes import Change, is_read, marked
from pipeline.readers.numbering import Numbering, lists_of, whole
from pipeline.readers.outline import Outline
from pipeline.readers.packages import Package, attribute, child, local

SUFFIXES = (".docm", ".docx", ".dotm", ".dotx")
VERSION = f"4 ({packages.VERSION})"

_GONE = frozenset(("instrText", "delInstrText", "pPr", "rPr", "tblPr", "trPr", "tcPr", "rt", "sectPr"))
_INSERTED = {"ins": True, "moveTo": True, "cellIns": True, "del": False, "moveFrom": False, "cellDel": False}
_OFF = frozenset(("0", "false", "off", "none"))
_BREAKS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_FORMULAS = {"f": "/", "sSup": "^", "sSub": "_"}  # else a fraction would read as a product
_OPERANDS = frozenset(("num", "den", "e", "sup", "sub"))
_GAP = 100  # twentieths of a point between two paragraphs that a reader sees as a blank line
_DEEPEST_STYLE = 20
_WIDEST_SPAN = 100
_NO_HEADING = 9  # the level of a text in an outline


def recognises(content: bytes) -> bool:
    """Any package; which one is seen when it is opened."""
    return packages.is_package(content)


def read(content: bytes, name: str, options: ReadOptions) -> Reading:
    """Read the document as one page."""
    package = packages.open_office(content, name, options)
    main = package.main("wordprocessingml")
    document = _Document(package, main, options.changes)
    page = document.page()
    return Reading((page,), package.embedded(main), document.changed)


@dataclass(frozen=True, slots=True)
class _Style:
    """What a paragraph takes from its style."""

    list_id: str = ""
    depth: int = 0
    before: int = 0
    after: int = 0
    is_heading: bool = False
    close: bool = False  # no gap to a neighbour of the same style


class _Document:
    """One walk over the main part; `_lines` grow."""

    def __init__(self, package: Package, main: str, changes: Changes) -> None:
        self._package = package
        self._main = main
        self._body = package.xml(main)
        self._numbering = Numbering(lists_of(self._part("numbering")))
        self._default, self._styles = _styles(self._part("styles"), self._numbering)
        self._notes = {
            kind: {attribute(one, "id"): one for one in self._children(f"{kind}s")} for kind in ("footnote", "endnote")
        }
        self._comments = {attribute(one, "id"): one for one in self._children("comments")}
        self._lines: list[str] = []
        self._all_lines = self._lines  # of the body, wherever the walk is
        self._outline = Outline()
        self._behind: list[str] = []  # notes, comments and text boxes that are due behind the paragraph or table
        self._joined = ""  # text of a paragraph whose end is a change that is not read
        self._changes: Changes = changes
        self.changed = False  # a tracked change was met
        self._in_change = False  # that is marked as a whole
        self._count = 0  # of notes
        self._inside = 0  # of a note, comment or box, where no other is followed
        self._last = (_Style(), "")  # the paragraph before, with its style's name

    def page(self) -> PageText:
        """Headers, body, footers."""
        sections = [one for one in (self._body.iter() if self._body is not None else ()) if local(one) == "sectPr"]
        headers = list(self._around(sections, "header"))
        footers = list(self._around(sections, "footer"))
        self._blocks(() if self._body is None else self._body)
        self._paragraph_line("", _Style(), "")
        return self._outline.page(self._lines, headers=headers, footers=footers)

    def _part(self, kind: str) -> etree._Element | None:
        names = self._package.related(self._main, kind)
        return self._package.xml(names[0]) if names else None

    def _children(self, kind: str) -> Iterable[etree._Element]:
        part = self._part(kind)
        return () if part is None else part

    def _around(self, sections: list[etree._Element], kind: str) -> Iterator[str]:
        """The headers or footers that are shown, each text once."""
        settings = self._part("settings")
        shown = {"default"} | ({"even"} if _on(child(settings, "evenAndOddHeaders")) else set())
        relations = self._package.relations(self._main)
        seen: set[str] = set()
        for section in sections:
            kinds = shown | ({"first"} if _on(child(section, "titlePg")) else set())
            for one in section:
                key = next((one.attrib[key] for key in one.attrib if str(key).endswith("}id")), "")
                if local(one) != f"{kind}Reference" or attribute(one, "type") not in kinds or key not in relations:
                    continue
                root = self._package.xml(relations[str(key)].target)
                text = "" if root is None else "\n".join(self._flat(root))
                if text.strip() and text not in seen:
                    seen.add(text)
                    yield text

    def _flat(self, root: etree._Element) -> list[str]:
        """The lines of a header, a note or a box, apart from the body's."""
        kept, self._lines, self._inside = self._lines, [], self._inside + 1
        joined, self._joined, last = self._joined, "", self._last
        behind, self._behind = self._behind, []
        self._blocks(root)
        lines = [line for line in self._lines if line.strip()]
        self._lines, self._joined, self._last, self._behind = kept, joined, last, behind
        self._inside -= 1
        return lines

    def _blocks(self, parent: Iterable[etree._Element]) -> None:
        for element in parent:
            name = local(element)
            if name == "p":
                self._paragraph(element)
            elif name == "tbl":
                self._table(element)
            elif name == "AlternateContent":
                self._blocks(() if len(element) == 0 else element[0])
            elif name not in _GONE and self._is_read(self._change(element)):
                self._blocks(element)

    def _paragraph(self, element: etree._Element) -> None:
        properties = child(element, "pPr")
        name = attribute(child(properties, "pStyle"), "val")
        style = _with(self._styles.get(name, self._default), properties)
        text = self._joined + "".join(self._inline(element))
        if not self._is_read(*self._changes_in(child(properties, "rPr"))):  # the paragraph's end
            self._joined = text
            return
        self._joined = ""
        if text.strip() and style.list_id:
            text = self._numbering.mark(style.list_id, style.depth) + text
        self._paragraph_line(text, style, name)

    def _paragraph_line(self, text: str, style: _Style, name: str) -> None:
        last, last_name = self._last
        close = name == last_name and (style.close or last.close)
        if self._lines and not close and max(last.after, style.before) >= _GAP:
            self._lines.append("")
        if self._lines is self._all_lines:
            if style.is_heading and text.strip():
                self._outline.heading(len(self._lines), text)
            else:
                self._outline.paragraph(len(self._lines), text)
        self._lines.append(text)
        self._last = (style, name)
        self._flush()

    def _flush(self) -> None:
        self._lines.extend(self._behind)
        self._behind.clear()

    def _change(self, element: etree._Element) -> Change | None:
        """What stands in the element was inserted or deleted."""
        inserted = _INSERTED.get(local(element))
        if inserted is None:
            return None
        self.changed = True
        return Change(inserted, " ".join(attribute(element, "author").split()))

    def _changes_in(self, properties: etree._Element | None) -> list[Change]:
        """What has these properties was inserted, deleted, or the one and then the other."""
        return [change for one in (() if properties is None else properties) if (change := self._change(one))]

    def _is_read(self, *changes: Change | None) -> bool:
        return all(is_read(change, self._changes) for change in changes)

    def _inline(self, parent: Iterable[etree._Element]) -> Iterator[str]:
        for change, group in itertools.groupby(parent, self._change):
            if change is None:
                yield from self._unchanged(group)
            elif self._is_read(change):
                text = "".join(self._inline(itertools.chain.from_iterable(group)))
                yield text if self._in_change or self._changes != "all" else marked(text, change)

    def _unchanged(self, parent: Iterable[etree._Element]) -> Iterator[str]:
        for element in parent:
            name = local(element)
            if name in {"t", "delText"}:
                yield element.text or ""
            elif name in _BREAKS:
                yield _BREAKS[name]
            elif name == "sym":
                yield _symbol(attribute(element, "char"))
            elif name in {"footnoteReference", "endnoteReference"}:
                yield self._note(self._notes[name.removesuffix("Reference")].get(attribute(element, "id")))
            elif name == "commentReference":
                self._comment(self._comments.get(attribute(element, "id")))
            elif name == "txbxContent":
                self._behind.extend(self._flat(element))
            elif name == "AlternateContent":
                yield from self._inline(() if len(element) == 0 else element[0])
            elif name in _FORMULAS:
                yield _FORMULAS[name].join("".join(self._inline([one])) for one in element if local(one) in _OPERANDS)
            elif name not in _GONE and not (name == "r" and _on(child(element, "rPr", "vanish"))):
                yield from self._inline(element)

    def _note(self, note: etree._Element | None) -> str:
        if note is None or self._inside:
            return ""
        self._count += 1
        mark = f"[{self._count}]"
        self._behind.append(f"{mark} {' '.join(self._flat(note)).strip()}")
        return mark

    def _comment(self, comment: etree._Element | None) -> None:
        if comment is not None and not self._inside:
            author = " ".join(attribute(comment, "author").split())
            who = f" by {author}" if author else ""
            self._behind.append(f"[Comment{who}: {' '.join(self._flat(comment)).strip()}]")

    def _table(self, table: etree._Element) -> None:
        rows = [row for row in _rows(table, "tr") if self._is_read(*self._changes_in(child(row, "trPr")))]
        cells = [
            [cell for cell in _rows(row, "tc") if self._is_read(*self._changes_in(child(cell, "tcPr")))] for row in rows
        ]
        nested = any(local(one) == "tbl" for one in table.iterdescendants())
        if self._lines:
            self._lines.append("")
        if nested or all(len(row) < 2 for row in cells):  # a frame for a layout, not a table
            for found in cells:
                for cell in found:
                    self._blocks(cell)
        else:
            if self._lines is self._all_lines:
                self._outline.table()
            for row, found in zip(rows, cells, strict=True):
                if self._lines is self._all_lines:
                    self._outline.row(len(self._lines))
                self._lines.append(self._changed_row(row, found))
        self._flush()
        self._lines.append("")
        self._last = (_Style(), "")

    def _changed_row(self, row: etree._Element, cells: list[etree._Element]) -> str:
        """A row that was inserted or deleted gets one mark."""
        changes = self._changes_in(child(row, "trPr"))
        if not changes or self._changes != "all":
            return self._row(row, cells)
        self._in_change = True
        text = self._row(row, cells)
        self._in_change = False
        return marked(text, changes[-1])

    def _row(self, row: etree._Element, cells: list[etree._Element]) -> str:
        texts = [""] * min(whole(attribute(child(row, "trPr", "gridBefore"), "val")), _WIDEST_SPAN)
        for cell in cells:
            kept, self._lines, last = self._lines, [], self._last
            behind, self._behind = self._behind, []
            self._blocks(cell)
            texts.append(" ".join(" ".join(self._lines).split()))
            self._lines, self._last = kept, last
            self._behind = behind + self._behind
            span = min(whole(attribute(child(cell, "tcPr", "gridSpan"), "val"), 1), _WIDEST_SPAN)
            texts.extend([""] * (span - 1))
        return " | ".join(texts).rstrip(" |")


def _rows(parent: etree._Element, name: str) -> Iterator[etree._Element]:
    """The rows of a table or the cells of a row, also within content controls."""
    for element in parent:
        if local(element) == name:
            yield element
        elif local(element) not in _GONE and local(element) not in {"tr", "tc"}:
            yield from _rows(element, name)


def _on(element: etree._Element | None) -> bool:
    return element is not None and attribute(element, "val", "true") not in _OFF


def _symbol(code: str) -> str:
    """A character of a font of symbols: Word keeps those in the private area, where they mean nothing to others."""
    number = int(code, 16) if code.isalnum() and len(code) <= 5 and set(code) <= set("0123456789abcdefABCDEF") else 0
    return "" if 0xE000 <= number <= 0xF8FF or number < 32 else chr(number)


def _styles(root: etree._Element | None, numbering: Numbering) -> tuple[_Style, dict[str, _Style]]:
    """The style of a paragraph that names none, and all that have a name."""
    plain = _with(_Style(), child(root, "docDefaults", "pPrDefault", "pPr"))
    elements: dict[str, etree._Element] = {}
    default = ""
    for one in () if root is None else root:
        if local(one) == "style" and attribute(one, "type") == "paragraph":
            elements[attribute(one, "styleId")] = one
            if attribute(one, "default") in {"1", "true", "on"}:
                default = attribute(one, "styleId")

    def resolve(style_id: str) -> _Style:
        chain: list[tuple[str, etree._Element]] = []
        while style_id in elements and len(chain) < _DEEPEST_STYLE:
            chain.append((style_id, elements[style_id]))
            style_id = attribute(child(elements[style_id], "basedOn"), "val")
        style = plain
        for name, element in reversed(chain):
            style = _with(style, child(element, "pPr"))
            if name in numbering.of_style and child(element, "pPr", "numPr") is not None:
                list_id, depth = numbering.of_style[name]
                style = replace(style, list_id=list_id, depth=depth)
        return style

    return resolve(default), {style_id: resolve(style_id) for style_id in elements}


def _with(style: _Style, properties: etree._Element | None) -> _Style:
    """The style with what stands in `properties`."""
    if properties is None:
        return style
    number, spacing, close = (child(properties, name) for name in ("numPr", "spacing", "contextualSpacing"))
    level = attribute(child(properties, "outlineLvl"), "val")
    return _Style(
        attribute(child(number, "numId"), "val", style.list_id),
        whole(attribute(child(number, "ilvl"), "val"), style.depth),
        whole(attribute(spacing, "before"), style.before),
        whole(attribute(spacing, "after"), style.after),
        0 <= whole(level, _NO_HEADING) < _NO_HEADING if level else style.is_heading,
        style.close if close is None else _on(close),
    )

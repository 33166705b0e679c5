"""Excel workbooks (.xlsx, .xltx and their kin with macros, which are never run), with zipfile and lxml.

Kept: each visible sheet as a page with its name as heading, each filled cell as it is shown (dates, currencies,
percents: `number_formats`), rows as `cell | cell`, text boxes and comments below. Formulas are not run: what they
gave when the file was last saved is read. A merged cell stands once, and what it covers is not read. Hidden rows and
columns are read, since filters hide what still counts; hidden sheets are not, unless there is no other. Embedded
documents are attachments. Lost: charts, pictures, colours.

Not openpyxl: its last release is of June 2024, it drops text boxes, and it does not turn a number and its format
into what is shown, which is most of the work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from pipeline.data import Attachment
from pipeline.readers import PageText, Reading, ReadOptions, number_formats, packages
from pipeline.readers.packages import Package, attribute, child, local
from pipeline.readers.sheets import Sheets

SUFFIXES = (".xlsm", ".xlsx", ".xltm", ".xltx")
VERSION = f"4 ({packages.VERSION})"

_REFERENCE = re.compile(r"([A-Z]{1,3})(\d{1,7})")
_TRUE = frozenset(("1", "true", "on"))


def recognises(content: bytes) -> bool:
    """Any package; which one is seen when it is opened."""
    return packages.is_package(content)


def read(content: bytes, name: str, options: ReadOptions) -> Reading:
    """Each visible sheet as a page."""
    package = packages.open_office(content, name, options)
    main = package.main("sheet")
    workbook = _Workbook(package, main)
    return Reading(tuple(workbook.pages()), tuple(workbook.attachments))


class _Workbook:
    def __init__(self, package: Package, main: str) -> None:
        self._package = package
        self._main = main
        self._book = package.xml(main)
        self._from_1904 = attribute(child(self._book, "workbookPr"), "date1904") in _TRUE
        self._sheets = Sheets(package.name)
        self.attachments: dict[Attachment, None] = {}
        self._codes = self._formats()
        self._strings = [_text(item) for part in package.related(main, "sharedStrings") for item in self._items(part)]

    def pages(self) -> Iterator[PageText]:
        """The visible sheets, or all where none is visible."""
        relations = self._package.relations(self._main)
        found: list[tuple[str, str, bool]] = []
        listed = child(self._book, "sheets")
        for one in () if listed is None else listed:
            key = next((str(one.attrib[key]) for key in one.attrib if str(key).endswith("}id")), "")
            if key in relations and relations[key].kind == "worksheet":
                found.append((one.get("name", ""), relations[key].target, one.get("state", "visible") == "visible"))
        some = any(visible for _, _, visible in found)
        for title, part, visible in found:
            if visible or not some:
                self._read(part)
                self.attachments |= dict.fromkeys(self._package.embedded(part))
                yield self._sheets.page(" ".join(title.split()), list(self._below(part)))

    def _items(self, part: str) -> Iterator[etree._Element]:
        return self._package.iterate(part, "si")

    def _formats(self) -> list[str]:
        """The format code of each cell style; "" for none."""
        parts = self._package.related(self._main, "styles")
        root = self._package.xml(parts[0]) if parts else None
        codes = dict(number_formats.BUILT_IN)
        own = child(root, "numFmts")
        for one in () if own is None else own:
            codes[_number(one.get("numFmtId"))] = one.get("formatCode", "")
        styles = child(root, "cellXfs")
        return [codes.get(_number(one.get("numFmtId")), "") for one in (() if styles is None else styles)]

    def _read(self, part: str) -> None:
        row, column = 1, 0
        for element in self._package.iterate(part, "c", "row", "mergeCell"):
            if local(element) == "row":
                row, column = (_row(element) or row) + 1, 0
                continue
            if local(element) == "mergeCell":  # these come behind all cells
                first, _, last = element.get("ref", "").partition(":")
                if (corner := _place(first)) and (opposite := _place(last)):
                    self._sheets.merge(*corner, *opposite)
                continue
            row, column = _place(element.get("r", "")) or (_row(element.getparent()) or row, column + 1)
            self._sheets.put(row, column, self._shown(element))

    def _shown(self, cell: etree._Element) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            inline = child(cell, "is")
            return "" if inline is None else _text(inline)
        found = child(cell, "v")
        value = (found.text or "") if found is not None else ""
        if kind == "s":
            index = _number(value)
            return self._strings[index] if 0 <= index < len(self._strings) else ""
        if kind == "b":
            return "TRUE" if value in _TRUE else "FALSE"
        if kind != "n" or not value:
            return value
        style = _number(cell.get("s", "0"))
        code = self._codes[style] if 0 <= style < len(self._codes) else ""
        try:
            number = float(value)
        except ValueError:
            return value
        return number_formats.shown(number, code, from_1904=self._from_1904) if code else number_formats.general(number)

    def _below(self, part: str) -> Iterator[str]:
        """Text boxes, and comments."""
        for drawing in self._package.related(part, "drawing"):
            root = self._package.xml(drawing)
            for paragraph in () if root is None else root.iter("{*}p"):
                text = "".join(one.text or "" for one in paragraph.iter("{*}t"))
                if text.strip():
                    yield text
        for comments in self._package.related(part, "comments"):
            root = self._package.xml(comments)
            listed = child(root, "commentList")
            for one in () if listed is None else listed:
                yield f"[Comment on {one.get('ref', '')}: {' '.join(_text(one).split())}]"


def _text(element: etree._Element) -> str:
    """All runs, without the readings that stand above East Asian characters."""
    return "".join(
        one.text or "" for one in element.iter("{*}t") if (above := one.getparent()) is None or local(above) != "rPh"
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else -1


def _row(element: etree._Element | None) -> int:
    """The number of a row; 0 where it has none."""
    return max(0, _number(attribute(element, "r")))


def _place(reference: str) -> tuple[int, int] | None:
    """Row and column of a cell such as `B5`."""
    match = _REFERENCE.fullmatch(reference)
    return (int(match[2]), _column(match[1])) if match else None


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number

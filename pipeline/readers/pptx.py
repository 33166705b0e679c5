"""PowerPoint presentations (.pptx, .ppsx, .potx and their kin with macros, which are never run), with lxml.

Kept: each slide as a page: its title, then its boxes from top to bottom and left to right, the marks of lists, table
rows as `cell | cell`, the text of SmartArt, then its notes and comments. Hidden slides are read. Embedded documents
are attachments. The date and the footer of slides are read once. Lost: pictures, charts, slide numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from pipeline.data import Attachment
from pipeline.readers import PageText, Reading, ReadOptions, packages
from pipeline.readers.numbering import whole, written
from pipeline.readers.packages import Package, attribute, child, local

SUFFIXES = (".potm", ".potx", ".ppsm", ".ppsx", ".pptm", ".pptx")
VERSION = f"3 ({packages.VERSION})"

_TITLES = frozenset(("title", "ctrTitle"))
_FURNITURE = frozenset(("dt", "ftr", "hdr"))
_ROW = 200_000  # boxes whose tops are less than this apart (EMU; 5 mm) stand side by side
_DEEPEST_INDENT = 8


def recognises(content: bytes) -> bool:
    """Any package; which one is seen when it is opened."""
    return packages.is_package(content)


def read(content: bytes, name: str, options: ReadOptions) -> Reading:
    """Each slide as a page."""
    package = packages.open_office(content, name, options)
    main = package.main("presentationml")
    relations = package.relations(main)
    listed = child(package.xml(main), "sldIdLst")
    pages: list[PageText] = []
    attachments: dict[Attachment, None] = {}
    furniture: set[str] = set()
    for number, one in enumerate(() if listed is None else listed, start=1):
        key = next((str(value) for key, value in one.attrib.items() if str(key).endswith("}id")), "")
        if key in relations and relations[key].target in package:
            part = relations[key].target
            text = "\n\n".join(piece for piece in _slide(package, part, furniture) if piece.strip())
            pages.append(PageText(text, places=((0, f"slide {number}"),)))
            attachments |= dict.fromkeys(package.embedded(part))
    return Reading(tuple(pages) or (PageText(""),), tuple(attachments))


def _slide(package: Package, part: str, furniture: set[str]) -> Iterator[str]:
    root = package.xml(part)
    layouts = package.related(part, "slideLayout")
    places = _places(package.xml(layouts[0])) if layouts else {}
    found = [(_order(shape, places), shape) for shape in _shapes(child(root, "cSld", "spTree"))]
    for _, shape in sorted(found, key=lambda one: one[0]):
        kind, text = _holder(shape)[0], "\n".join(_lines(shape))
        if kind == "sldNum" or text in furniture:
            continue
        if kind in _FURNITURE:
            furniture.add(text)
        yield text
    for diagram in package.related(part, "diagramData"):
        points = child(package.xml(diagram), "ptLst")
        yield "\n".join(line for point in (() if points is None else points) for line in _lines(point))
    for notes in package.related(part, "notesSlide"):
        for shape in _shapes(child(package.xml(notes), "cSld", "spTree")):
            if _holder(shape)[0] == "body":
                yield "\n".join(_lines(shape))
    for comments in package.related(part, "comments"):
        listed = package.xml(comments)
        for one in () if listed is None else listed:
            text = " ".join(" ".join(piece.text or "" for piece in one.iter("{*}text", "{*}t")).split())
            if text:
                yield f"[Comment: {text}]"


def _shapes(tree: etree._Element | None) -> Iterator[etree._Element]:
    """The boxes and tables, also those in groups: a group is drawn where its boxes are."""
    for element in () if tree is None else tree:
        name = local(element)
        if name == "grpSp":
            yield from _shapes(element)
        elif name == "AlternateContent":
            yield from _shapes(element[0] if len(element) else None)
        elif name in {"sp", "graphicFrame", "cxnSp"}:
            yield element


def _holder(shape: etree._Element) -> tuple[str, str]:
    """The kind and the number of the placeholder that a shape fills; ("", "") for none."""
    for properties in shape:
        if local(properties).startswith("nv"):
            holder = child(properties, "nvPr", "ph")
            if holder is not None:
                return holder.get("type", "body"), holder.get("idx", "")
    return "", ""


def _place(shape: etree._Element) -> tuple[int, int] | None:
    frame = child(shape, "spPr", "xfrm")
    offset = child(child(shape, "xfrm") if frame is None else frame, "off")
    return None if offset is None else (whole(offset.get("y", "")), whole(offset.get("x", "")))


def _places(layout: etree._Element | None) -> dict[tuple[str, str], tuple[int, int]]:
    """Where a layout puts its placeholders, by kind and by number."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for shape in _shapes(child(layout, "cSld", "spTree")):
        kind, number = _holder(shape)
        place = _place(shape)
        if place is not None and kind:
            found.setdefault((kind, ""), place)
            found[("", number)] = place
    return found


def _order(shape: etree._Element, places: dict[tuple[str, str], tuple[int, int]]) -> tuple[int, int, int]:
    kind, number = _holder(shape)
    y, x = _place(shape) or places.get(("", number)) or places.get((kind, "")) or (0, 0)
    return (0 if kind in _TITLES else 1, y // _ROW, x)


def _lines(shape: etree._Element) -> Iterator[str]:
    """The paragraphs of a box, or the rows of a table."""
    counters: dict[int, int] = {}  # of the numbered lists in this box, by depth
    for element in shape:
        name = local(element)
        if name == "tbl":
            for row in element:
                if local(row) == "tr":
                    cells = (" ".join(" ".join(_lines(cell)).split()) for cell in row if local(cell) == "tc")
                    yield " | ".join(cells).rstrip(" |")
        elif name == "p":
            yield from _paragraph(element, counters)
        elif name == "AlternateContent":
            yield from _lines(element[0]) if len(element) else ()
        else:
            yield from _lines(element)


def _paragraph(element: etree._Element, counters: dict[int, int]) -> Iterator[str]:
    pieces = []
    for one in element.iter("{*}t", "{*}br", "{*}tab"):
        pieces.append("\n" if local(one) == "br" else "\t" if local(one) == "tab" else one.text or "")
    text = "".join(pieces)
    if not text.strip():
        return
    properties = child(element, "pPr")
    depth = min(max(0, whole(attribute(properties, "lvl"))), _DEEPEST_INDENT)
    numbered = child(properties, "buAutoNum")
    for deeper in [other for other in counters if other > depth or (other == depth and numbered is None)]:
        del counters[deeper]
    if numbered is not None:
        counters[depth] = counters.get(depth, whole(numbered.get("startAt", ""), 1) - 1) + 1
        yield f"{'  ' * depth}{_number(counters[depth], numbered.get('type', ''))} {text}"
    else:
        yield ("  " * depth + "- " if child(properties, "buChar") is not None else "") + text


def _number(number: int, kind: str) -> str:
    """As a list of this kind shows it: `alphaLcParenR` is `a)`."""
    kinds = {"alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman", "romanUc": "upperRoman"}
    text = written(number, next((name for start, name in kinds.items() if kind.startswith(start)), "decimal"))
    if kind.endswith("ParenBoth"):
        return f"({text})"
    return text + (")" if kind.endswith("ParenR") else "" if kind.endswith("Plain") else ".")

"""Electronic books (.epub): a package of HTML pages.

Kept: each chapter of the reading order as a page, read as HTML. Lost: what HTML loses, and chapters outside the
reading order. A book with digital rights management is refused.
"""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

from pipeline.errors import ReadError
from pipeline.readers import PageText, Reading, ReadOptions, html, packages
from pipeline.readers.packages import Package, child

SUFFIXES = (".epub",)
VERSION = f"2 (html {html.VERSION})"

_PAGES = frozenset(("application/xhtml+xml", "text/html", "application/x-dtbook+xml"))


def recognises(content: bytes) -> bool:
    """A ZIP archive; that it is a book is seen when it is opened."""
    return content.startswith(b"PK\x03\x04")


def read(content: bytes, name: str, options: ReadOptions) -> Reading:  # noqa: ARG001 - the contract's signature
    """Each chapter as a page."""
    package = Package(content, name)
    container = package.xml("META-INF/container.xml")
    roots = () if container is None else container.iter("{*}rootfile")
    main = next((one.get("full-path", "") for one in roots), "")
    book = package.xml(main) if main else None
    if book is None:
        raise packages.another(name, "book")
    manifest, spine = child(book, "manifest"), child(book, "spine")
    items = {
        one.get("id", ""): one.get("href", "")
        for one in (() if manifest is None else manifest)
        if one.get("media-type", "application/xhtml+xml") in _PAGES
    }
    locks = package.xml("META-INF/encryption.xml")
    protected = {unquote(one.get("URI", "")) for one in (() if locks is None else locks.iter("{*}CipherReference"))}
    pages: list[PageText] = []
    for one in () if spine is None else spine:
        path = posixpath.normpath(
            posixpath.join("/", posixpath.dirname(main), unquote(items.get(one.get("idref", ""), "")))
        )
        chapter = package.read(path.lstrip("/")) if one.get("idref", "") in items else None
        if chapter:
            if path.lstrip("/") in protected:
                raise ReadError(
                    f"{name} is protected by digital rights management",
                    code="encrypted",
                    hint="Ask its seller for a copy without it.",
                )
            pages.append(PageText(html.text_of(chapter, name), places=((0, f"chapter {len(pages) + 1}"),)))
    return Reading(tuple(pages) or (PageText(""),))

"""Where quotes stand on the pages of a PDF, found by searching them with PDFium.

It does not matter which library made the document's text. Both texts are folded before they are compared, so spaces,
line breaks and hyphenation may differ. What a page does not draw as text (form values, notes, scans) is not found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.data import Rectangle
from pipeline.errors import ReadError
from pipeline.schema import fold

TIMEOUT = 60.0  # seconds that one file may take
MEMORY = 1 << 30  # bytes
_FINE = 1000  # PDFium's device coordinates are whole numbers: parts of a point


@dataclass(frozen=True, slots=True)
class Quote:
    """Words to look for on a page (from 1). `number` tells equal ones on a page apart, as `occurrences` counts them."""

    page: int
    words: str = field(repr=False)
    number: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A PDF and what to look for in it."""

    file: Path
    quotes: tuple[Quote, ...]


def occurrences(words: str, text: str) -> Iterator[int]:
    """Where folded words stand in a folded text, also inside of longer words and over each other."""
    at = text.find(words) if words else -1
    while at >= 0:
        yield at
        at = text.find(words, at + 1)


def answer(request: Request) -> list[tuple[Rectangle, ...]]:
    """For each quote a rectangle a line it stands on; none where it is not found. Raises ReadError."""
    import pypdfium2  # in the child that reads the file

    try:
        document = pypdfium2.PdfDocument(request.file.read_bytes())
    except (OSError, pypdfium2.PdfiumError) as error:
        raise ReadError(
            f"{request.file.name} cannot be opened by PDFium",
            code="broken",
            hint="It may be encrypted: remove its password first.",
        ) from error
    found: dict[Quote, tuple[Rectangle, ...]] = {}
    try:
        for number in sorted({quote.page for quote in request.quotes}):
            if number <= len(document):
                page = _Page(pypdfium2.raw, document, number)
                found.update((quote, page.find(quote)) for quote in request.quotes if quote.page == number)
    finally:
        document.close()
    return [found.get(quote, ()) for quote in request.quotes]


class _Page:
    """The text of a page with its places."""

    def __init__(self, raw: Any, document: Any, number: int) -> None:  # noqa: ANN401 - untyped
        self._raw = raw
        self._number = number
        self._page = document[number - 1]
        self._text = self._page.get_textpage()
        # One character an index, as PDFium counts them for rectangles; its own text skips some.
        codes = (self._raw.FPDFText_GetUnicode(self._text, at) for at in range(self._text.count_chars()))
        self._folded = fold("".join(_character(code) for code in codes))

    def find(self, quote: Quote) -> tuple[Rectangle, ...]:
        """The rectangles of the quote; of the last of its equals where there are fewer than its number."""
        words = fold(quote.words).text
        found = [*islice(occurrences(words, self._folded.text), quote.number + 1)]
        if not found:
            return ()
        first, end = self._folded.starts[found[-1]], self._folded.ends[found[-1] + len(words) - 1]
        return tuple(self._rectangles(first, end - first))

    def _rectangles(self, first: int, number: int) -> Iterator[Rectangle]:
        for at in range(self._text.count_rects(first, number)):
            left, bottom, right, top = self._text.get_rect(at)
            (x0, y0), (x1, y1) = self._shown(left, top), self._shown(right, bottom)
            yield Rectangle(self._number, min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))

    def _shown(self, x: float, y: float) -> tuple[float, float]:
        """A place of the PDF's own coordinates on the page as it is shown: cropped, turned, from the top left."""
        from ctypes import byref, c_int

        width, height = (round(size * _FINE) for size in self._page.get_size())
        across, down = c_int(), c_int()
        self._raw.FPDF_PageToDevice(self._page, 0, 0, width, height, 0, x, y, byref(across), byref(down))
        return across.value / _FINE, down.value / _FINE


def _character(code: int) -> str:
    """PDFium gives UTF-16 units one by one; half a character is none, and a hyphen at a line end is U+0002."""
    if code == 2:
        return "-"
    return " " if code == 0 or 0xD800 <= code < 0xE000 else chr(code)

"""OCR: a page without text, of a PDF or a picture -> its text and its words, with Tesseract.

    tesseract.py      the program          rendering.py      a page of a PDF -> a picture
    words.py          its answer           straightening.py  a picture -> upright and straight
    coverage.py       how much of what a page shows was read

One page is one request to a supervised worker process, with limits of its own: a page that hangs or eats memory costs
itself only. Knows nothing of the database; who asks keeps what was read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.errors import ReadError
from pipeline.readers import pictures
from pipeline.readers.ocr import rendering, tesseract
from pipeline.readers.ocr.coverage import covered
from pipeline.readers.ocr.straightening import Box, is_blank, levelled, turned
from pipeline.readers.ocr.tesseract import Tesseract, find, missing
from pipeline.readers.ocr.words import PageRead, parse
from pipeline.readers.request import changed

__all__ = [
    "MEMORY",
    "TIMEOUT",
    "OcrRequest",
    "PageRead",
    "PageWord",
    "Tesseract",
    "answer",
    "find",
    "missing",
    "settings",
]

VERSION = "2"  # goes up when the text of any page may change
TIMEOUT = 4 * tesseract.SECONDS + 60  # seconds that a page may take: a look at it, and three readings at most
MEMORY = 1 << 30  # bytes, for this process and for Tesseract each

_DOUBTFUL = 0.7  # a reading below is tried again without what was guessed for it
_ENOUGH = 0.9  # of the ink, see coverage.py; where less is covered the page is read as one block as well
_MORE = 0.03  # must the block cover, or
_MORE_AMOUNTS = 3  # must it show: it reads across columns of text, so it is not taken for next to nothing
_SMALL = 1_500_000  # pixels; letters in smaller pictures are too small
_LARGE = 20_000_000  # pixels; more cost time and show nothing new


@dataclass(frozen=True, slots=True)
class OcrRequest:
    """One page (from 1) of a file, or of an attachment, whose bytes are given. No languages: detected.

    `sha256`: what the file's bytes must have, if given.
    """

    name: str
    page: int
    tesseract: Tesseract
    languages: tuple[str, ...] = ()
    passwords: tuple[str, ...] = field(default=(), repr=False)
    content: bytes | None = field(default=None, repr=False)
    sha256: str = ""


def settings(found: Tesseract, languages: tuple[str, ...]) -> str:
    """What the reading of a page depends on, beside the page: equal settings read the same."""
    known = "+".join(languages) if languages else f"detected of {'+'.join(found.languages)}"
    return f"ocr {VERSION}, tesseract {found.version}, {known}, {rendering.DPI} dpi"


def answer(request: OcrRequest) -> PageRead:
    """Read a page. Boxes are in points of a PDF's page and in pixels of a picture, from the page's top left corner.

    Raises ReadError: broken, changed, limits, missing_extra, ocr_failed, unreadable.
    """
    if any(language not in request.tesseract.languages for language in request.languages):
        raise tesseract.missing_language(request.name, request.tesseract, request.languages)
    picture, scale = _picture(request)
    if is_blank(picture):
        return PageRead("", blank=True)
    picture = levelled(picture)
    seen = tesseract.orientation(request.tesseract, _file(picture))
    languages = request.languages or tesseract.languages_of(seen.script, request.tesseract)
    best = _read(picture, _Way(seen.turn, languages), request)
    every = request.languages or request.tesseract.languages
    if best.page.confidence < _DOUBTFUL and (seen.turn or languages != every):
        best = max(best, _read(picture, _Way(0, every), request), key=lambda reading: reading.page.worth)
    if best.covered < _ENOUGH:
        block = _read(picture, dataclasses.replace(best.way, block=True), request)
        best = block if block.shows_more_than(best) else best
    words = tuple(dataclasses.replace(word, box=_scaled(word.box, 1 / scale)) for word in best.page.words)
    return dataclasses.replace(best.page, words=words)


@dataclass(frozen=True, slots=True)
class _Way:
    """How a picture is read: turned clockwise by `turn` degrees; as one block of lines, or as Tesseract divides it."""

    turn: int
    languages: tuple[str, ...]
    block: bool = False


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was read in one way, and how much of the page's ink it covers."""

    page: PageRead
    way: _Way
    covered: float

    def shows_more_than(self, other: _Reading) -> bool:
        """Whether it covers clearly more, or shows several more amounts and covers not clearly less."""
        if self.covered > other.covered + _MORE:
            return True
        return self.covered > other.covered - _MORE and self.page.amounts >= other.page.amounts + _MORE_AMOUNTS


def _scaled(box: Box, by: float) -> Box:
    left, top, right, bottom = (round(side * by, 1) for side in box)
    return left, top, right, bottom


def _picture(request: OcrRequest) -> tuple[Any, float]:
    """The page's picture in a fitting size, and its pixels for each unit of the page."""
    content = request.content
    if content is None:
        try:
            content = Path(request.name).read_bytes()
        except OSError as error:
            hint = "Check that the file is there and that you may read it."
            raise ReadError(
                f"{request.name} cannot be opened: {error.strerror}", code="unreadable", hint=hint
            ) from None
        if request.sha256 not in ("", hashlib.sha256(content).hexdigest()):
            raise changed(request.name)
    if PurePosixPath(request.name).suffix.lower() not in pictures.SUFFIXES:
        return rendering.page(content, request.name, request.page, request.passwords)
    picture = pictures.page(content, request.name, request.page)
    width, height = picture.size
    scale = 2.0 if width * height < _SMALL else min(1.0, (_LARGE / (width * height)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return (picture if scale == 1.0 else picture.resize(size, resample=3)), scale


def _read(picture: Any, way: _Way, request: OcrRequest) -> _Reading:  # noqa: ANN401 - PIL's
    """What stands in the picture when it is turned so and straightened; boxes are those before the turn."""
    straight = turned(picture, way.turn)
    file = _file(straight.picture)
    page = parse(tesseract.table(request.tesseract, file, way.languages, request.name, block=way.block))
    words = tuple(dataclasses.replace(word, box=straight.back(word.box)) for word in page.words)
    return _Reading(dataclasses.replace(page, words=words), way, covered(straight.picture, page.words))


def _file(picture: Any) -> bytes:  # noqa: ANN401 - PIL's
    """The picture as the bytes of a file. PGM: nothing is packed only to be unpacked."""
    file = io.BytesIO()
    picture.save(file, "PPM")
    return file.getvalue()

"""Pictures (.png, .jpg, .tif, .webp, .heic), with Pillow and pillow-heif (the extra `ocr`).

A picture has no text of its own: each page (a TIFF may have many) is given as one without a text layer, and OCR reads
it (`pipeline/readers/ocr`). Bounded: the pixels of a page, which are known before it is unpacked, and the pages.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

from pipeline.errors import ReadError
from pipeline.readers import NO_TEXT, PageText, Reading, ReadOptions, extras

SUFFIXES = (".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
VERSION = f"1 ({extras.installed('pillow')}, {extras.installed('pillow-heif')})"

MOST_PIXELS = 120_000_000
_MOST_PAGES = 2000
_BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*")
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"))
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP")


def recognises(content: bytes) -> bool:
    """By the first bytes."""
    webp = content.startswith(b"RIFF") and content[8:12] == b"WEBP"
    heif = content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS
    return webp or heif or content.startswith(_BEGINNINGS)


def read(content: bytes, name: str, options: ReadOptions) -> Reading:
    """One page without text for each picture in the file. Raises ReadError: broken, limits, missing_extra, no_text."""
    if not options.scans:
        raise ReadError(
            f"{name} is a picture, and OCR is off", code="no_text", hint="Run it without `--ocr off`, or leave it out."
        )
    picture = _open(content, name)
    count = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)  # MPO: previews of one photo
    if count > _MOST_PAGES:
        raise ReadError(f"{name} has more than {_MOST_PAGES} pages", code="limits", hint="Split it.")
    return Reading((PageText("", NO_TEXT),) * count)


def page(content: bytes, name: str, number: int) -> Any:  # noqa: ANN401 - PIL.Image.Image, which may not be installed
    """The picture of a page (from 1), upright as its camera says, grey, on white.

    Raises ReadError: broken, limits, missing_extra.
    """
    operations = extras.load("PIL.ImageOps", "ocr", name)
    picture = _open(content, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if number > 1:
                picture.seek(number - 1)
                _bound(picture, name)
            picture = operations.exif_transpose(picture)
            if picture.mode in {"I", "I;16", "I;16B", "F"}:
                picture = operations.autocontrast(picture.convert("F").point(lambda value: value / 256).convert("L"))
            if picture.has_transparency_data:
                picture = picture.convert("RGBA")
                white = picture.copy()
                white.paste((255, 255, 255, 255), (0, 0, *white.size))
                white.alpha_composite(picture)
                picture = white
            return picture.convert("L")
    except (MemoryError, ReadError):
        raise
    except Exception as error:  # Pillow raises whatever a broken file leads it into
        raise _broken(name, type(error).__name__) from None


def _open(content: bytes, name: str) -> Any:  # noqa: ANN401 - as above
    library = extras.load("PIL.Image", "ocr", name)
    library.MAX_IMAGE_PIXELS = None  # _bound() says it better
    formats: tuple[str, ...] = _FORMATS
    if content[4:8] == b"ftyp":
        extras.load("pillow_heif", "ocr", name).register_heif_opener()
        formats = ("HEIF",)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = library.open(io.BytesIO(content), formats=formats)
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise _broken(name, type(error).__name__) from None
    _bound(picture, name)
    return picture


def _bound(picture: Any, name: str) -> None:  # noqa: ANN401 - as above
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise ReadError(
            f"{name} is a picture of {width} x {height} pixels; {MOST_PIXELS // 1_000_000} million are the most",
            code="limits",
            hint="Save it smaller: 300 dots an inch are enough.",
        )


def _broken(name: str, why: str) -> ReadError:
    return ReadError(f"{name} is a broken picture ({why})", code="broken", hint="Get it again from where it came from.")

"""PDF, with pypdf: the text layer, page by page.

Kept: the text of each page in the order in which the page draws it (two columns too: most producers draw
column by column), pages with their numbers. Lost: pictures, drawings, positions. A page that cannot be read
costs that page only, and so does one whose text layer is missing or garbage; `Page.note` says so. No OCR.
"""

from __future__ import annotations

import io
import logging
import re
import warnings

import pypdf

from pipeline.errors import ReadError
from pipeline.readers import PageText, Reading, ReadOptions
from pipeline.readers.signatures import is_pdf

SUFFIXES = (".pdf",)
VERSION = f"1 (pypdf {pypdf.__version__})"

UNREADABLE = "unreadable"
NO_TEXT = "no text layer"
GARBAGE = "garbage text layer"

_GARBAGE_SHARE = 0.25
_GARBAGE = re.compile(
    r"\(cid:\d+\)"
    r"|(?:/[A-Za-z]{1,8}[\d.]+){3,}"  # names of glyphs that stand for no character: /g12/g7/g33
    "|[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff]+"
)
_CHARACTER_CODES = re.compile("-UCS2-|-UTF16-|^/GB|^/ETen|^/90ms")  # the encodings that pypdf turns into characters

# pypdf reports what it repairs through logging, with pieces of the file in the messages.
logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)


def recognises(content: bytes) -> bool:
    """The beginning, or the end: pypdf repairs files that lost one of them."""
    return is_pdf(content) or b"startxref" in content[-2048:]


def read(content: bytes, name: str, options: ReadOptions) -> Reading:
    """Read all pages. Raises ReadError: broken, encrypted, no_text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        document, count = _open(content, name, options)
        pages = tuple(_page(document, index) for index in range(count))
    if not any(page.text.strip() for page in pages):
        notes = {page.note for page in pages}
        if notes == {UNREADABLE}:
            raise _broken(name, "none of its pages can be read")
        what = "a text layer that is garbage" if GARBAGE in notes else "no text layer"
        raise ReadError(
            f"{name} has {what} on all of its {count} pages",
            code="no_text",
            hint="It is a scan or hides its text. OCR is not there yet: run another OCR program on it first.",
        )
    return Reading(pages)


def _open(content: bytes, name: str, options: ReadOptions) -> tuple[pypdf.PdfReader, int]:
    try:
        document = pypdf.PdfReader(io.BytesIO(content))
        opened = not document.is_encrypted or any(map(document.decrypt, ("", *options.passwords)))
        count = len(document.pages) if opened else -1
    except MemoryError:
        raise
    except NotImplementedError:
        raise ReadError(
            f"{name} is encrypted in a way that pypdf does not know",
            code="encrypted",
            hint="Remove the encryption with another program: `qpdf --decrypt locked.pdf open.pdf`.",
        ) from None
    except Exception as error:  # pypdf raises whatever a broken file leads it into
        raise _broken(name, type(error).__name__) from None
    if not opened:
        raise _encrypted(name, tried=len(options.passwords))
    if count == 0:
        raise _broken(name, "it has no pages")
    return document, count


def _page(document: pypdf.PdfReader, index: int) -> PageText:
    unmapped = 0

    def tally(text: str, _matrix: object, _text_matrix: object, font: object, _size: object) -> None:
        nonlocal unmapped
        if isinstance(font, dict) and _has_no_map(font):
            unmapped += _visible(text)

    try:
        text = document.pages[index].extract_text(visitor_text=tally)
    except MemoryError:
        raise
    except Exception:  # as above; this page is lost, the others are not
        return PageText("", UNREADABLE)
    if not text.strip():
        return PageText("", NO_TEXT)
    garbage = unmapped + sum(map(_visible, _GARBAGE.findall(text)))
    return PageText("", GARBAGE) if garbage > _GARBAGE_SHARE * _visible(text) else PageText(text)


def _has_no_map(font: dict[str, object]) -> bool:
    """A composite font whose codes are glyph numbers, with nothing that says which characters they are."""
    if "/ToUnicode" in font or "/Subtype" not in font or font["/Subtype"] != "/Type0":
        return False
    if "/Encoding" not in font:
        return True
    encoding = font["/Encoding"]  # follows references; get() does not
    return not (isinstance(encoding, str) and _CHARACTER_CODES.search(encoding))


def _visible(text: str) -> int:
    return len("".join(text.split()))


def _encrypted(name: str, tried: int) -> ReadError:
    what = "and none of the passwords given opens it" if tried else "and asks for a password"
    return ReadError(f"{name} is encrypted {what}", code="encrypted", hint="Give its password with --password.")


def _broken(name: str, why: str) -> ReadError:
    return ReadError(
        f"{name} is a broken PDF ({why})",
        code="broken",
        hint="Get it again, or repair it: `qpdf broken.pdf repaired.pdf` often helps.",
    )

"""PDF, with pypdf: the text layer, page by page.

Kept: the text of each page in the order in which the page draws it (two columns too: most producers draw column by
column), but for the pages that `pdf_order` finds to be drawn otherwise; pages with their numbers; behind it what was
filled into the page's forms as `name: value` and notes as `[Comment: text]`; embedded files as attachments, empty ones
where they cannot be decoded. Lost: pictures, drawings, positions. A page that cannot be read costs that page only, and
so does one whose text layer is missing or garbage; `Page.note` says so, and OCR (`pipeline/readers/ocr`) reads the
latter.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import closing

import pypdf
from pypdf.generic import BooleanObject, DictionaryObject, EmbeddedFile

from pipeline.data import Attachment
from pipeline.errors import ReadError
from pipeline.readers import (
    GARBAGE,
    NO_TEXT,
    SCANNED,
    PageText,
    Reading,
    ReadOptions,
    check_pages,
    extras,
    pdf_order,
)
from pipeline.readers.cleaning import clean
from pipeline.readers.signatures import is_pdf

SUFFIXES = (".pdf",)
VERSION = f"6 (pypdf {pypdf.__version__}, {extras.installed('pypdfium2')})"

UNREADABLE = "unreadable"

_MOST_EMBEDDED = 1000
_MOST_EMBEDDED_BYTES = 256 << 20
_DEEPEST_FIELD = 20
_FIELD_INDEX = re.compile(r"\[\d+\]$")  # of forms made with XFA
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
    """Read all pages. Raises ReadError: broken, encrypted, limits, no_text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        document, count = _open(content, name, options)
        check_pages(count, name)
        if _only_xfa(document):
            raise ReadError(
                f"{name} is an XFA form, whose pages only Adobe's programs draw",
                code="unknown_format",
                hint="Open it in Adobe Reader, and print it into a new PDF.",
            )
        with closing(pdf_order.Pages(content, options.passwords)) as drawn:
            pages = tuple(_page(document, drawn, index) for index in range(count))
        attachments = tuple(_embedded(document, name))
    if not attachments and not any(page.text.strip() for page in pages):
        notes = {page.note for page in pages}
        if notes == {UNREADABLE}:
            raise _broken(name, "none of its pages can be read")
        if options.scans and not notes.isdisjoint(SCANNED):
            return Reading(pages)
        what = "a text layer that is garbage" if GARBAGE in notes else "no text layer"
        raise ReadError(
            f"{name} has {what} on all of its {count} pages",
            code="no_text",
            hint="It is a scan or hides its text, and OCR is off: run it without `--ocr off`.",
        )
    return Reading(pages, attachments)


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


def _only_xfa(document: pypdf.PdfReader) -> bool:
    """Whether the pages are a stand-in ("Please wait ...") for a form that is drawn from XML (ISO 32000-1, 12.7.8)."""
    try:
        form = document.root_object["/AcroForm"].get_object()
        stand_in = document.root_object.get("/NeedsRendering") == BooleanObject(value=True)
        return stand_in and isinstance(form, DictionaryObject) and "/XFA" in form
    except MemoryError:
        raise
    except Exception:  # pypdf raises whatever a broken file leads it into; the pages say more
        return False


def _page(document: pypdf.PdfReader, drawn: pdf_order.Pages, index: int) -> PageText:
    page = _layer(document, index)
    ordered = drawn.ordered(index, page.text) if page.text else None
    filled = "\n".join(_filled_in(document, index)) if page.note != UNREADABLE else ""
    text = "\n\n".join(piece for piece in (ordered or page.text, filled) if piece)
    return PageText(text, page.note, places=((0, f"page {index + 1}"),))


def _layer(document: pypdf.PdfReader, index: int) -> PageText:
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


def _filled_in(document: pypdf.PdfReader, index: int) -> list[str]:
    """What was filled into the forms of a page, and its notes."""
    lines: list[str] = []
    try:
        for one in document.pages[index].get("/Annots") or ():
            annotation = one.get_object()
            kind = annotation.get("/Subtype")
            if kind == "/Widget":
                name, value = _field(annotation, "/TU") or _field(annotation, "/T"), _field(annotation, "/V")
                if value and not _field(annotation, "/FT").endswith("Sig"):
                    lines.append(f"{_FIELD_INDEX.sub('', name)}: {value}")
            elif kind not in {"/Link", "/Popup"} and annotation.get("/Contents"):
                text = " ".join(str(annotation["/Contents"]).split())
                lines.append(text if kind == "/FreeText" else f"[Comment: {text}]")
    except MemoryError:
        raise
    except Exception:  # pypdf raises whatever a broken file leads it into; the text of the page stands
        return lines
    return list(dict.fromkeys(lines))  # a field may be drawn several times


def _field(widget: DictionaryObject, key: str) -> str:
    """An entry of a field, which a field above it may have."""
    for _ in range(_DEEPEST_FIELD):
        value = widget.get(key)
        value = value.get_object() if value is not None else None
        if isinstance(value, list):
            return ", ".join(str(one.get_object()) for one in value)
        if value is not None and not isinstance(value, dict):
            text = " ".join(str(value).split())
            return {"/Off": "", "/Yes": "yes", "/On": "yes"}.get(text, text.removeprefix("/"))
        parent = widget.get("/Parent")
        if parent is None:
            break
        widget = parent.get_object()
    return ""


def _embedded(document: pypdf.PdfReader, name: str) -> Iterator[Attachment]:
    """The files that the document holds. Raises ReadError limits."""
    left = _MOST_EMBEDDED_BYTES
    for number, file in enumerate(_files(document)):
        attachment = _attachment(file)
        left -= len(attachment.content)
        if number >= _MOST_EMBEDDED or left < 0:
            raise ReadError(
                f"{name} holds more than {_MOST_EMBEDDED} files or {_MOST_EMBEDDED_BYTES >> 20} MB in files",
                code="limits",
                hint="Save the files that matter, and leave it out.",
            )
        yield attachment


def _files(document: pypdf.PdfReader) -> Iterator[EmbeddedFile]:
    """What the document lists, without files that lie outside of it."""
    try:
        yield from (file for file in document.attachment_list if "/EF" in file.pdf_object)
    except MemoryError:
        raise
    except Exception:  # as above; what cannot be reached is lost
        return


def _attachment(file: EmbeddedFile) -> Attachment:
    """A file that cannot be decoded is empty: so it becomes a failure under its own name."""
    given = ""
    try:
        given = str(file.alternative_name or file.name)
        content = file.content
    except MemoryError:
        raise
    except Exception:  # as above
        content = b""
    shown = clean(given.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]).replace("\n", " ").strip()
    return Attachment(shown or "attachment", content)


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

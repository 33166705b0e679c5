"""Readers: a file's bytes -> a Document. Knows nothing of models; prints nothing; opens nothing but the file.

A member of this room is a module that has all that `Format` asks for. It is found by looking into this
folder, so a new format needs no edit elsewhere. A format module returns a `Reading`: pages as text, and
attachments. Everything that holds for every format is done once, here: the empty file, the check that suffix
and content agree, cleaning, offsets.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol, cast

from pipeline.data import Attachment, Changes, Document, Page, Place, fingerprint
from pipeline.errors import ReadError
from pipeline.readers.cleaning import clean
from pipeline.readers.decoding import is_text
from pipeline.readers.folders import is_maildir, walk
from pipeline.readers.signatures import looks_like

__all__ = [
    "Format",
    "PageText",
    "ReadOptions",
    "Reading",
    "check_pages",
    "current",
    "read",
    "read_file",
    "suffixes",
    "version",
    "versions",
    "walk",
]

_MAILDIR = re.compile(r"\d{9,11}\.[^./][^/]*\.[^/]+?(?:[:;!]2,[A-Za-z]*)?")
_CONVERT_TO = {
    **dict.fromkeys((".wpd", ".wps", ".pages"), "docx"),
    **dict.fromkeys((".ppt", ".pps", ".key"), "pptx"),
    **dict.fromkeys((".xlsb", ".numbers", ".wk1"), "xlsx"),
}
_UNPACK = frozenset((".rar", ".lz", ".zst", ".cab"))
_TNEF = frozenset(("winmail.dat", "win.dat"))  # how Outlook packs a mail and its attachments for Outlook

PAGE_BREAK = "\n\f"
"""Stands between two pages and belongs to neither."""

NO_TEXT = "no text layer"
GARBAGE = "garbage text layer"
SCANNED = (NO_TEXT, GARBAGE)
"""Notes of pages that OCR can read."""

MOST_PAGES = 10_000
"""Pages of one file, slides and sheets too. A format that can count them first asks `check_pages` before it reads."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a reader may be told. `passwords` are tried in order on files that ask for one.

    `scans`: a file all of whose pages lack a text is given back like that, for OCR, and is no error.
    `changes`: which text of a file with tracked changes is read.
    """

    passwords: tuple[str, ...] = field(default=(), repr=False)
    scans: bool = False
    changes: Changes = "final"


@dataclass(frozen=True, slots=True)
class PageText:
    """One page as its format module gives it: not cleaned yet. `note` is that of `data.Page`.

    `places` name stretches of the text: (offset of the line with which one begins, its name), in order. A stretch goes
    on to where the next one begins, the last one to the end of the page; one without a name ("") is no place.
    """

    text: str = field(repr=False)
    note: str = ""
    places: tuple[tuple[int, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a format module found in a file."""

    pages: tuple[PageText, ...]
    attachments: tuple[Attachment, ...] = ()
    changed: bool = False  # it has tracked changes, so that another choice of `changes` may give another text


class Format(Protocol):
    """A module of this room that reads one format. Its name is the reader's name."""

    SUFFIXES: tuple[str, ...]  # lower case, with the dot; one suffix belongs to one format
    VERSION: str  # goes up when the text of any file may change; names the library's version

    def recognises(self, content: bytes) -> bool:
        """Whether the bytes can be this format. Permissive where the format is."""
        ...

    def read(self, content: bytes, name: str, options: ReadOptions) -> Reading:
        """Read bytes that are not empty and that `recognises` took. Raises ReadError and nothing else."""
        ...


def read(content: bytes, name: str, options: ReadOptions = ReadOptions()) -> Document:
    """Read a file from its bytes. `name` gives the suffix and stands in messages; nothing is opened.

    Raises ReadError; the codes are unknown_format, wrong_suffix, binary, empty, encrypted, broken, no_text,
    limits, missing_extra, and missing or unreadable for `read_file`.
    """
    reader, module = _format_of(name)
    if not content:
        raise ReadError(f"{name} is empty", code="empty", hint="Remove it, or put the real file in its place.")
    if not module.recognises(content):
        raise _disagreement(content, name)
    reading = module.read(content, name, options)
    check_pages(len(reading.pages), name)
    text, pages, places = _join(reading.pages)
    scan = options.scans and any(page.note in SCANNED for page in pages)
    if not text.strip() and not reading.attachments and not scan:
        code = "no_text" if content.strip() else "empty"
        hint = "There is nothing in it to extract."
        if reading.changed and options.changes != "all":
            hint = "All of it is a tracked change: run it with `--changes all`."
        raise ReadError(f"{name} has no text", code=code, hint=hint)
    return Document(
        sha256=hashlib.sha256(content).hexdigest(),
        text=text,
        pages=pages,
        reader=reader,
        reader_version=f"{reader} {module.VERSION}",
        attachments=reading.attachments,
        places=places,
        changes=options.changes if reading.changed else "",
    )


def check_pages(count: int, name: str) -> None:
    """Raises ReadError limits where a file has more than MOST_PAGES."""
    if count > MOST_PAGES:
        raise ReadError(
            f"{name} has {count:,} pages; {MOST_PAGES:,} are the most",
            code="limits",
            hint="Split it: `qpdf --split-pages=1000 FILE part.pdf` does it for a PDF.",
        )


def read_file(path: Path, options: ReadOptions = ReadOptions()) -> Document:
    """Read the file at `path`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReadError(
            f"{path} cannot be opened: {error.strerror}",
            code="missing" if isinstance(error, FileNotFoundError) else "unreadable",
            hint="Check that the file is there and that you may read it.",
        ) from None
    return read(content, str(path), options)


def suffixes() -> tuple[str, ...]:
    """All suffixes that are read, sorted."""
    return tuple(sorted(_by_suffix()))


def version(name: str) -> str:
    """Which reader, in which version, reads a file of this name: `pdf 1 (pypdf 6.1.0)`.

    A mail in a maildir whose name says nothing is known by its absolute path only.
    """
    reader, module = _format_of(name)
    return f"{reader} {module.VERSION}"


def current() -> frozenset[str]:
    """All readers in their versions, each as `version` gives it."""
    return frozenset(f"{reader} {module.VERSION}" for reader, module in _by_suffix().values())


def versions() -> str:
    """All readers in their versions, as a hash: it changes with the library of any, and when an extra, Tesseract or a
    language of it is installed."""
    from pipeline.readers.ocr import tesseract  # which is made of this room

    return fingerprint(*tesseract.installed(), *(version(f"a{suffix}") for suffix in suffixes()))[:16]


@functools.cache
def _by_suffix() -> Mapping[str, tuple[str, Format]]:
    found: dict[str, tuple[str, Format]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for suffix in getattr(module, "SUFFIXES", ()):
            found[suffix] = (info.name, cast(Format, module))
    return found


def _format_of(name: str) -> tuple[str, Format]:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _by_suffix():
        return _by_suffix()[suffix]
    if _is_in_maildir(name):  # such a file has no suffix: 1204680122.M27.host:2,S
        return _by_suffix()[".eml"]
    hint = f"These are read: {', '.join(suffixes())}."
    if suffix in _CONVERT_TO:
        hint = f"Convert it first: `soffice --headless --convert-to {_CONVERT_TO[suffix]} FILE`."
    elif suffix in _UNPACK:
        hint = "Unpack it first, or pack it as .zip or .tar.gz."
    elif suffix == ".tnef" or PurePosixPath(name).name.lower() in _TNEF:
        hint = "Outlook packed attachments into it (TNEF): unpack it with the program tnef, or get the mail as .msg."
    what = f"files ending in {suffix} are not read" if suffix else "its name has no suffix"
    raise ReadError(f"{name}: {what}", code="unknown_format", hint=hint)


def _is_in_maildir(name: str) -> bool:
    """By the usual name, also where the file was taken out of its maildir, or by the folders around it."""
    path = Path(name)
    if _MAILDIR.fullmatch(path.name):
        return True
    return path.is_absolute() and path.parent.name in {"cur", "new"} and is_maildir(path.parent.parent)


def _disagreement(content: bytes, name: str) -> ReadError:
    suffix = PurePosixPath(name).suffix.lower()
    kind = looks_like(content) or ("plain text" if is_text(content) else None)
    if kind is not None:
        return ReadError(
            f"{name} ends in {suffix} but looks like {kind}",
            code="wrong_suffix",
            hint="Give the file the suffix that fits its content.",
        )
    return ReadError(
        f"{name} ends in {suffix} but is binary data of no kind that is known here",
        code="binary",
        hint="Get the file again from where it came from, or leave it out.",
    )


def _join(given: tuple[PageText, ...]) -> tuple[str, tuple[Page, ...], tuple[Place, ...]]:
    """Clean the pages and put them one after the other; the offsets are right because they are made here."""
    parts: list[str] = []
    pages: list[Page] = []
    places: list[Place] = []
    at = 0
    for number, page in enumerate(given, start=1):
        if parts:
            parts.append(PAGE_BREAK)
            at += len(PAGE_BREAK)
        text = clean(page.text)
        parts.append(text)
        pages.append(Page(number, at, at + len(text), page.note))
        if page.places:
            places.extend(_places(page, text, at))
        at += len(text)
    return "".join(parts), tuple(pages), tuple(places)


def _places(page: PageText, text: str, at: int) -> Iterator[Place]:
    """The stretches of a page in its cleaned text, which begins at `at`.

    Cleaning works line by line but for the empty ones, and a stretch begins with a line: so the stretches, each
    cleaned by itself, stand in the page one after the other with nothing but empty lines between them.
    """
    begins = [start for start, _ in page.places] + [len(page.text)]
    here = _skip(text, len(clean(page.text[: begins[0]])))
    for (start, label), end in zip(page.places, begins[1:], strict=True):
        length = len(clean(page.text[start:end]))
        if length and label:
            yield Place(at + here, at + here + length, label)
        here = _skip(text, here + length)


def _skip(text: str, at: int) -> int:
    while text.startswith("\n", at):
        at += 1
    return at

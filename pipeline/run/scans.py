"""Documents with pages that have no text -> the same, read by OCR, page by page, in worker processes with limits.

Pages of several documents are read side by side. Each is kept as soon as it is read, and none is read twice under the
same settings, but where the database keeps no texts. A page that cannot be read costs itself only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pipeline.data import Document, Page, Place, Word
from pipeline.errors import ChildError, NightdeskError, ReadError
from pipeline.readers import PAGE_BREAK, SCANNED
from pipeline.readers.ocr import MEMORY, TIMEOUT, OcrRequest, PageRead, Tesseract, answer, find, missing, settings
from pipeline.readers.request import Request
from pipeline.run.events import Event, PageDone
from pipeline.store import OcrPage, Store
from pipeline.supervise import map_ordered

_MOST_PAGES = 2000  # of a document; the others stay without text, and its row is incomplete


@dataclass(frozen=True, slots=True)
class Scan:
    """A document that waits for OCR, and how its file was asked for."""

    document: Document
    request: Request

    @property
    def pages(self) -> tuple[int, ...]:
        """The numbers of the pages that OCR is to read."""
        return tuple(page.number for page in self.document.pages if page.note in SCANNED)[:_MOST_PAGES]


class Scans:
    """OCR for one run. `wanted` is as in `config.Job.ocr`."""

    def __init__(self, store: Store, run_id: int, *, wanted: str, workers: int) -> None:
        self._store = store
        self._run_id = run_id
        self._off = wanted == "off"
        self._languages = () if wanted in ("off", "auto") else tuple(wanted.split("+"))
        self._workers = workers

    def wants(self, document: Document) -> bool:
        """Whether OCR is to read some of its pages."""
        return not self._off and any(page.note in SCANNED for page in document.pages)

    def is_current(self, sha256: str) -> bool:
        """Whether reading the document again would treat its scanned pages as they were treated.

        Where Tesseract was taken away since, what it read stays.
        """
        used, notes = self._store.ocr_of(sha256)
        if self._off:
            return not used
        if (not used and notes.isdisjoint(SCANNED)) or self._tesseract is None:
            return True
        return used == self._settings

    def read(self, scans: Sequence[Scan]) -> Iterator[Event | tuple[Scan, Document | NightdeskError]]:
        """Each scan with its document as it is now, or why it has no text; before that an event for each page."""
        requests = {number: list(self._requests(scan)) for number, scan in enumerate(scans)}
        asked = (request for number in requests for request in requests[number])
        outcomes = map_ordered(answer, asked, name="OCR", timeout=TIMEOUT, memory=MEMORY, workers=self._workers)
        for number, scan in enumerate(scans):
            errors: dict[int, NightdeskError] = {}
            read = self._known(scan)
            for request in requests[number]:
                _, outcome = next(outcomes)
                if isinstance(outcome, PageRead):
                    page = read[request.page] = _kept(outcome)
                    self._store.save_ocr_page(self._run_id, scan.document.sha256, request.page, self._settings, page)
                elif isinstance(outcome, ReadError | ChildError):
                    errors[request.page] = outcome
                else:
                    raise outcome
                yield PageDone(scan.request.name, request.page, len(scan.document.pages))
            yield scan, self._complete(scan, read, errors)

    @cached_property
    def _tesseract(self) -> Tesseract | None:
        return find()

    @property
    def _settings(self) -> str:
        return "" if self._tesseract is None else settings(self._tesseract, self._languages)

    def _requests(self, scan: Scan) -> Iterator[OcrRequest]:
        if self._tesseract is None:
            return
        known = self._known(scan)
        asked = scan.request
        for number in scan.pages:
            if number not in known:
                yield OcrRequest(
                    asked.name,
                    number,
                    self._tesseract,
                    self._languages,
                    asked.options.passwords,
                    asked.content,
                    scan.document.sha256,
                )

    def _known(self, scan: Scan) -> dict[int, OcrPage]:
        """Its pages that were read before under these settings, and are to be read."""
        if self._tesseract is None:
            return {}
        pages = self._store.ocr_pages(scan.document.sha256, self._settings)
        return {number: page for number, page in pages.items() if number in scan.pages}

    def _complete(
        self, scan: Scan, read: Mapping[int, OcrPage], errors: Mapping[int, NightdeskError]
    ) -> Document | NightdeskError:
        """The document with what was read; or the error where it has no text at all, or its file was changed."""
        for error in errors.values():
            if isinstance(error, ReadError) and error.code == "changed":
                return error
        name = scan.request.name
        document = replace(joined(scan.document, read, errors), ocr=self._settings)
        if document.text.strip() or document.attachments:
            return document
        if self._tesseract is None:
            return missing(name)
        if errors:
            return errors[min(errors)]
        what = "is blank" if all(page.blank for page in read.values()) else "shows nothing that Tesseract can read"
        return ReadError(f"{name} {what}", code="no_text", hint="There is nothing in it to extract.")


def joined(document: Document, read: Mapping[int, OcrPage], errors: Mapping[int, NightdeskError]) -> Document:
    """The document with pages as they were read, and the words of these pages. Other pages stay as they are."""
    parts: list[str] = []
    pages: list[Page] = []
    places: list[Place] = []
    words: list[Word] = []
    at = 0
    for page in document.pages:
        if parts:
            parts.append(PAGE_BREAK)
            at += len(PAGE_BREAK)
        text, note = document.text[page.start : page.end], page.note
        if (ocr := read.get(page.number)) is not None:
            words += (Word(page.number, at + start, at + end, *rest) for start, end, *rest in ocr.words)
            text = "\n\n".join(piece for piece in (ocr.text, text) if piece)
            note = "" if ocr.words or ocr.blank else note
        elif (error := errors.get(page.number)) is not None:
            note = f"OCR failed: {getattr(error, 'code', type(error).__name__)}"
        parts.append(text)
        pages.append(Page(page.number, at, at + len(text), note))
        if text:
            places.append(Place(at, at + len(text), f"page {page.number}"))
        at += len(text)
    text = "".join(parts)
    return replace(document, text=text, pages=tuple(pages), places=tuple(places), words=tuple(words))


def _kept(page: PageRead) -> OcrPage:
    return OcrPage(page.text, [(w.start, w.end, *w.box, w.confidence) for w in page.words], page.blank)

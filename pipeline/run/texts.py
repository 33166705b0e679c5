"""Documents with their texts, also where the database keeps none (`--no-text`): then their files are read again.

The texts used last stay in memory. Nothing is written anywhere.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from pipeline.data import Document
from pipeline.errors import ChildError, NightdeskError, ReadError
from pipeline.readers import ReadOptions
from pipeline.readers.request import MEMORY, TIMEOUT, Request, answer
from pipeline.run.scans import Scan, Scans
from pipeline.store import Store, as_kept
from pipeline.supervise import Worker

MOST_CHARACTERS = 32_000_000
"""In memory at a time; one document may be longer."""


class Texts:
    """What was read, by its sha256. One worker process reads, when it is needed; `close` ends it."""

    def __init__(self, store: Store, scans: Scans, options: ReadOptions) -> None:
        self._store = store
        self._scans = scans
        self._options = options
        self._recent: OrderedDict[str, Document] = OrderedDict()
        self._characters = 0
        self._reader: Worker[Request, Document] | None = None

    def remember(self, document: Document) -> None:
        """This document was read just now."""
        if document.sha256 in self._recent:
            self._characters -= len(self._recent.pop(document.sha256).text)
        self._recent[document.sha256] = as_kept(document)
        self._characters += len(document.text)
        while self._characters > MOST_CHARACTERS and len(self._recent) > 1:
            _, oldest = self._recent.popitem(last=False)
            self._characters -= len(oldest.text)

    def document(self, sha256: str) -> Document:
        """The document of these bytes. KeyError where it was never read.

        Raises ReadError where its text is not kept and its file is gone, has changed or cannot be read.
        """
        if sha256 in self._recent:
            self._recent.move_to_end(sha256)
            return self._recent[sha256]
        document = self._store.document(sha256)
        if not self._store.has_text(sha256):
            document = self._again(document)
        self.remember(document)
        return document

    def close(self) -> None:
        """End the worker process."""
        if self._reader is not None:
            self._reader.close()

    def _again(self, known: Document) -> Document:
        path = self._store.path_of(known.sha256)
        options = replace(self._options, changes=known.changes or self._options.changes)
        request = self._request(path, options)
        document = self._ask(request)
        if document.sha256 != known.sha256:
            self._store.doubt_file(path)
            raise ReadError(
                f"{path} has changed since it was looked at, and the database keeps no text of it.",
                code="changed",
                hint="Run the same command again: it reads the file anew.",
            )
        if self._scans.wants(document):
            document = self._scanned(Scan(document, request))
        document = as_kept(document)
        if (document.reader_version, document.ocr, document.pages) != (known.reader_version, known.ocr, known.pages):
            raise ReadError(
                f"{path} does not read as it did before, and the database keeps no text of it.",
                code="changed",
                hint="`nightdesk purge` it, then run the same command again: it reads the file as a new one.",
            )
        return document

    def _request(self, path: str, options: ReadOptions) -> Request:
        """How to read a file, or an attachment out of the file that holds it."""
        row = self._store.file(path)
        if row is None or row.parent is None:
            return Request(path, options=options)
        number = int(path.rpartition("!/")[2])
        attachments = self._ask(self._request(row.parent, options)).attachments
        if number > len(attachments):
            raise ReadError(f"{path} is not there any more.", code="changed")
        attachment = attachments[number - 1]
        return Request(attachment.name, attachment.content, options)

    def _scanned(self, scan: Scan) -> Document:
        """The document with what OCR reads on its pages."""
        outcomes = (event[1] for event in self._scans.read([scan]) if isinstance(event, tuple))
        outcome = next(outcomes)
        if not isinstance(outcome, NightdeskError):
            return outcome
        if isinstance(outcome, ChildError):
            raise ReadError(outcome.message, code=outcome.code, hint=outcome.hint) from outcome
        raise outcome

    def _ask(self, request: Request) -> Document:
        if self._reader is None:
            self._reader = Worker(answer, name="second reader", timeout=TIMEOUT, memory=MEMORY)
        try:
            return self._reader.ask(request)
        except ChildError as error:
            raise ReadError(error.message, code=error.code, hint=error.hint) from error

"""Evidence -> rectangles on the pages of its PDF. They are computed when they are asked for and kept nowhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.data import Document, Evidence, Rectangle
from pipeline.errors import ChildError, ReadError
from pipeline.readers.rectangles import MEMORY, TIMEOUT, Quote, Request, answer
from pipeline.store import Store
from pipeline.supervise import Worker


class Places:
    """Looks quotes up in a database's PDFs, in a child process: PDFium is given files that nobody controls."""

    def __init__(self, store: Store, worker: Worker[Request, list[tuple[Rectangle, ...]]]) -> None:
        self.unknown = 0  # PDFs that could not be asked
        self._store = store
        self._worker = worker

    def of(self, sha256: str, evidence: Sequence[Evidence]) -> list[tuple[Rectangle, ...]] | None:
        """The rectangles of each piece, on the page where it stands. None where the document is no PDF, and where its
        file is gone, has changed, is inside another file, or cannot be opened; the latter are counted.

        Raises ReadError missing_extra.
        """
        document = self._store.document(sha256)
        if document.reader != "pdf":
            return None
        file = Path(self._store.path_of(sha256))
        parts = [[*_quotes(document, piece)] for piece in evidence]
        try:
            with file.open("rb") as stream:
                same = hashlib.file_digest(stream, "sha256").hexdigest() == sha256
            if not same:
                raise FileNotFoundError
            found = iter(self._worker.ask(Request(file, tuple(quote for quotes in parts for quote in quotes))))
        except (OSError, ChildError):
            self.unknown += 1
            return None
        except ReadError as error:
            if error.code == "missing_extra":
                raise
            self.unknown += 1
            return None
        return [tuple(one for _ in quotes for one in next(found)) for quotes in parts]


@contextmanager
def places(store: Store) -> Iterator[Places]:
    """Places in the documents of this database."""
    worker = Worker(answer, name="rectangles", timeout=TIMEOUT, memory=MEMORY)
    try:
        yield Places(store, worker)
    finally:
        worker.close()


def _quotes(document: Document, piece: Evidence) -> Iterator[Quote]:
    """What to look for: the words as they stand in the document, cut where a page ends."""
    if piece.start is None or piece.end is None:
        return
    for page in document.pages:
        start, end = max(piece.start, page.start), min(piece.end, page.end)
        if start < end:
            words = document.text[start:end]
            if not words:  # the database keeps no texts
                return
            yield Quote(page.number, words, document.text.count(words, page.start, start))

"""Evidence -> rectangles on the pages of its PDF or scan.

On pages that OCR read they are those of the words that it kept. Elsewhere they are looked up in the PDF when they are
asked for, and kept nowhere.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from pipeline.data import Document, Evidence, Rectangle, Word
from pipeline.errors import ChildError, ReadError
from pipeline.readers.rectangles import MEMORY, TIMEOUT, Quote, Request, answer, occurrences
from pipeline.schema import Folded, fold
from pipeline.store import Store
from pipeline.supervise import Worker


class Places:
    """Looks quotes up in a database's PDFs, in a child process: PDFium is given files that nobody controls."""

    def __init__(self, store: Store, worker: Worker[Request, list[tuple[Rectangle, ...]]]) -> None:
        self.unknown = 0  # PDFs that could not be asked
        self._store = store
        self._worker = worker

    def of(self, sha256: str, evidence: Sequence[Evidence]) -> list[tuple[Rectangle, ...]] | None:
        """The rectangles of each piece, on the pages where it stands. None where the document has no pages to show, and
        where one piece needs a file that is gone, has changed, is inside another file, or cannot be opened; the latter
        are counted.

        Raises ReadError missing_extra.
        """
        document, words = self._store.document(sha256), self._store.words(sha256)
        if document.reader != "pdf" and not words:
            return None
        parts = [[*_parts(document, words, piece)] for piece in evidence]
        found = self._looked_up(document, [part for piece in parts for part in piece if isinstance(part, Quote)])
        if found is None:
            return None
        drawn = iter(found)
        return [
            tuple(one for part in piece for one in (next(drawn) if isinstance(part, Quote) else part))
            for piece in parts
        ]

    def _looked_up(self, document: Document, quotes: Sequence[Quote]) -> list[tuple[Rectangle, ...]] | None:
        """The rectangles of each quote, from the PDF's file. None, and counted, where that cannot be asked."""
        if not quotes:
            return []
        if document.reader != "pdf":
            return [()] * len(quotes)
        file = Path(self._store.path_of(document.sha256))
        try:
            with file.open("rb") as stream:
                same = hashlib.file_digest(stream, "sha256").hexdigest() == document.sha256
            if not same:
                raise FileNotFoundError
            return self._worker.ask(Request(file, tuple(quotes)))
        except (OSError, ChildError):
            self.unknown += 1
            return None
        except ReadError as error:
            if error.code == "missing_extra":
                raise
            self.unknown += 1
            return None


@contextmanager
def places(store: Store) -> Iterator[Places]:
    """Places in the documents of this database."""
    worker = Worker(answer, name="rectangles", timeout=TIMEOUT, memory=MEMORY)
    try:
        yield Places(store, worker)
    finally:
        worker.close()


def _parts(document: Document, words: Sequence[Word], piece: Evidence) -> Iterator[tuple[Rectangle, ...] | Quote]:
    """The rectangles of a piece, page by page, or what to look for: the words as they stand there."""
    if piece.start is None or piece.end is None:
        return
    for page in document.pages:
        start, end = max(piece.start, page.start), min(piece.end, page.end)
        if start >= end:
            continue
        if read := [*_between(words, start, end)]:
            yield tuple(_lines(read))
        elif quote := document.text[start:end]:  # empty where the database keeps no texts
            yield Quote(page.number, quote, _number(document.text[page.start : page.end], quote, start - page.start))


def _number(text: str, quote: str, start: int) -> int:
    """How many equals of a page's quote stand before it: both folded, as the PDF's text is searched."""
    folded = _folded(text)
    begins = bisect_left(folded.starts, start)
    return sum(at < begins for at in occurrences(fold(quote).text, folded.text))


@lru_cache(maxsize=1)
def _folded(page: str) -> Folded:
    """Kept for a moment, since the quotes of a page come one after the other."""
    return fold(page)


def _between(words: Sequence[Word], start: int, end: int) -> Iterator[Word]:
    """Those of the words, which are in order, that the stretch touches."""
    for word in words[bisect_right(words, start, key=lambda word: word.end) :]:
        if word.start >= end:
            break
        yield word


def _lines(words: Sequence[Word]) -> Iterator[Rectangle]:
    """A rectangle a line. A word that stands to the right of the last, beside it, continues its line."""
    line: Rectangle | None = None
    for word in words:
        if line is not None and word.x0 >= line.x0 and min(word.y1, line.y1) > max(word.y0, line.y0):
            top, bottom = min(line.y0, word.y0), max(line.y1, word.y1)
            line = Rectangle(word.page, line.x0, top, max(line.x1, word.x1), bottom)
            continue
        if line is not None:
            yield line
        line = Rectangle(word.page, word.x0, word.y0, word.x1, word.y1)
    if line is not None:
        yield line

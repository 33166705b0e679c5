"""Documents, their pages, and the places they were cut at. A chunk's text is a slice; it is stored once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.data import Chunk, Document, Page, Place, Word, fingerprint
from pipeline.store.connection import PAGE, Part, as_json, clean, now

LIVE = """EXISTS (SELECT 1 FROM _files f CROSS JOIN _inputs i ON i.file = f.id
    WHERE f.sha256 = {document} AND f.gone = 0 AND i.task = :task AND (:only IS NULL OR i.run = :only))"""
"""A file of the task holds this document; with :only, a file that run :only reads.

CROSS keeps SQLite from walking all files of the task for each document.
"""

HAS_TEXT = "EXISTS (SELECT 1 FROM _pages p WHERE p.document = {document})"
"""The document has a text of its own. What only holds other files (a mail of attachments, an archive) has no pages."""

CURRENT = "r.document = {document} AND r.task = :task AND r.recipe = :recipe AND r.stale = 0"
"""The record `r` is of this recipe and of the document's text as it is now."""

MAX_TRIES = 2
"""A failure is tried so often on its own, then only after `retry`."""


def as_kept(document: Document) -> Document:
    """The document as the database gives it back, its text included: no lone surrogates, attachments or words."""
    return replace(document, text=clean(document.text), attachments=(), words=())


class Documents(Part):
    """The tables `_documents`, `_pages`, `_words` and `_chunks`."""

    def save_document(self, run_id: int, document: Document) -> None:
        """Keep a document that was read, and forget that reading it failed.

        Where its text or its pages have changed it loses its chunks, and its records are due again.
        Lone surrogates become U+FFFD: cut and hash what `as_kept` makes of the document.
        """
        text = clean(document.text) if self.keep_text else ""
        places = document.places if self.keep_text else ()  # their names are texts too: a heading, a sheet
        with self.atomic():
            if not self._reads_as_before(document):
                self._do("DELETE FROM _chunks WHERE document = ?", (document.sha256,))
                self._do("UPDATE _records SET stale = 1 WHERE document = ?", (document.sha256,))
            self._do(
                """INSERT INTO _documents (sha256, text, places, reader, reader_version, ocr, changes, run, saved)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sha256) DO UPDATE SET text = excluded.text,
                       places = excluded.places, reader = excluded.reader, reader_version = excluded.reader_version,
                       ocr = excluded.ocr, changes = excluded.changes, run = excluded.run, saved = excluded.saved""",
                (
                    document.sha256,
                    text,
                    as_json([[p.start, p.end, p.label] for p in places]) if places else None,
                    document.reader,
                    document.reader_version,
                    document.ocr,
                    document.changes,
                    run_id,
                    now(),
                ),
            )
            self._do("DELETE FROM _words WHERE document = ?", (document.sha256,))
            self._many(
                "INSERT INTO _words VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (document.sha256, w.start, w.end, w.page, w.x0, w.y0, w.x1, w.y1, w.confidence)
                    for w in document.words
                ],
            )
            self._do("DELETE FROM _pages WHERE document = ?", (document.sha256,))
            self._many(
                "INSERT INTO _pages (document, number, start_char, end_char, note) VALUES (?, ?, ?, ?, ?)",
                [(document.sha256, page.number, page.start, page.end, page.note or None) for page in document.pages],
            )
            self._do(
                """DELETE FROM _failures WHERE stage = 'read' AND (document = :sha256
                   OR subject IN (SELECT path FROM _files WHERE sha256 = :sha256))""",
                {"sha256": document.sha256},
            )

    def _reads_as_before(self, document: Document) -> bool:
        """Whether its pages, and the text at the places where it was cut, are those of before."""
        text = clean(document.text)
        pages = self._all(
            "SELECT number, start_char, end_char, coalesce(note, '') FROM _pages WHERE document = ? ORDER BY number",
            (document.sha256,),
        )
        cut = self._all("SELECT start_char, end_char, text_hash FROM _chunks WHERE document = ?", (document.sha256,))
        return (
            [Page(*page) for page in pages] == [*document.pages]
            and bool(cut)
            and all(fingerprint(text[start:end]) == text_hash for start, end, text_hash in cut)
        )

    def reader_version(self, sha256: str) -> str | None:
        """By which reader, in which version, these bytes were read; None where they were not."""
        row = self._one("SELECT reader_version FROM _documents WHERE sha256 = ?", (sha256,))
        return None if row is None else str(row[0])

    def ocr_of(self, sha256: str) -> tuple[str, frozenset[str]]:
        """The settings under which OCR read the document (empty: it did not), and the notes of its pages."""
        row = self._one("SELECT ocr FROM _documents WHERE sha256 = ?", (sha256,))
        notes = self._all("SELECT DISTINCT note FROM _pages WHERE document = ? AND note IS NOT NULL", (sha256,))
        return ("" if row is None else str(row[0])), frozenset(note for (note,) in notes)

    def words(self, sha256: str) -> tuple[Word, ...]:
        """The words that OCR read in the document, in the order of its text."""
        rows = self._all(
            """SELECT page, start_char, end_char, x0, y0, x1, y1, confidence FROM _words
               WHERE document = ? ORDER BY start_char""",
            (sha256,),
        )
        return tuple(Word(*row) for row in rows)

    def document(self, sha256: str) -> Document:
        """The document of these bytes, without its attachments and its words. KeyError where it was never read.

        Its text is empty, and it has no places, where they are not kept (`has_text`).
        """
        row = self._one(
            "SELECT text, reader, reader_version, ocr, changes, places FROM _documents WHERE sha256 = ?", (sha256,)
        )
        if row is None:
            raise KeyError(sha256)
        pages = self._all(
            """SELECT number, start_char, end_char, coalesce(note, '') FROM _pages
               WHERE document = ? ORDER BY number""",
            (sha256,),
        )
        places = tuple(Place(*place) for place in json.loads(row[5] or "[]"))
        text_pages = tuple(Page(*page) for page in pages)
        return Document(sha256, row[0], text_pages, row[1], row[2], places=places, ocr=row[3], changes=row[4])

    def has_text(self, sha256: str) -> bool:
        """Whether the text of this document is kept, as far as it has any."""
        return not self._one(
            """SELECT EXISTS (SELECT 1 FROM _documents d JOIN _pages p ON p.document = d.sha256
                              WHERE d.sha256 = ? AND d.text = '' AND p.end_char > 0)""",
            (sha256,),
        )[0]

    def save_chunks(self, sha256: str, chunking_id: str, chunks: Sequence[Chunk]) -> None:
        """Keep where a document was cut. A document without chunks is a failure of the caller's to record."""
        if not chunks:
            raise ValueError("a document has at least one chunk")
        with self.atomic():
            self._do("DELETE FROM _chunks WHERE document = ? AND chunking = ?", (sha256, chunking_id))
            self._many(
                """INSERT INTO _chunks (document, chunking, position, start_char, end_char, tokens, text_hash)
                   VALUES (?, ?, ?, ?, ?, ?, ?)""",
                [
                    (
                        sha256,
                        chunking_id,
                        chunk.index,
                        chunk.start,
                        chunk.end,
                        chunk.tokens,
                        fingerprint(chunk.text),
                    )
                    for chunk in chunks
                ],
            )

    def chunks(self, sha256: str, chunking_id: str) -> list[Chunk]:
        """The document's chunks in order, with their texts."""
        text = self.document(sha256).text
        return [
            Chunk(sha256, position, start, end, text[start:end], tokens)
            for position, start, end, tokens in self._all(
                """SELECT position, start_char, end_char, tokens FROM _chunks
                   WHERE document = ? AND chunking = ? ORDER BY position""",
                (sha256, chunking_id),
            )
        ]

    def unchunked(self, task: str, chunking_id: str, *, run_id: int | None = None) -> Iterator[str]:
        """The task's documents (with `run_id`, those that run reads) that were not yet cut this way, oldest first.

        The caller may write between two of them. Those that cannot be cut (stage `chunk`) are left out.
        """
        last = 0
        while rows := self._all(
            f"""SELECT d.id, d.sha256 FROM _documents d WHERE d.id > :last
                AND {HAS_TEXT.format(document="d.sha256")}
                AND NOT EXISTS (SELECT 1 FROM _chunks c WHERE c.document = d.sha256 AND c.chunking = :chunking)
                AND NOT EXISTS (SELECT 1 FROM _failures x WHERE x.document = d.sha256 AND x.stage = 'chunk'
                    AND coalesce(x.task, :task) = :task AND x.tries >= :tries)
                AND {LIVE.format(document="d.sha256")}
                ORDER BY d.id LIMIT :page""",
            {
                "last": last,
                "chunking": chunking_id,
                "task": task,
                "only": run_id,
                "tries": MAX_TRIES,
                "page": PAGE,
            },
        ):
            for row in rows:
                last = row[0]
                yield row[1]

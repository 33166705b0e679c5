"""The store: one SQLite file, the only truth. Its only writer is the process that holds `<database>.lock`.

Names. A task's typed tables have its name and the names of its lists: `invoices`, `invoices_items`. All tables that
every database has begin with `_`, so that no task can collide with them (a task's name cannot begin so):

    _runs         who wrote when, with which settings and model      _work          questions: text under recipe
    _files        the ledger: path, size, time, sha256, gone         _extractions   answers, a row a question
    _inputs       which task reads which file                        _failures      what could not be done
    _documents    texts by the sha256 of their file                  _tasks         versions of the tasks' schemas
    _pages        pages of a document                                _records       merged answers as JSON
    _chunks       places in a document, by way of cutting            _evidence      where the values stand
    _recipes      what makes answers what they are                   _history       rows that were replaced
    _words        words that OCR read, with their boxes              _ocr           pages that OCR read

A row of a typed table has the `id` of its record. Documents are named by their sha256 everywhere, offsets are
characters, times are ISO-8601 UTC text, and every table is STRICT.
Knows nothing of models, prompts or formats; never prints; and never puts a document's text into a message.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from pipeline.store.connection import connect
from pipeline.store.documents import MAX_TRIES, Documents, as_kept
from pipeline.store.driver import files_of
from pipeline.store.failures import Failed, Failures
from pipeline.store.files import FileRow, Files, ReadAs
from pipeline.store.lock import Lock
from pipeline.store.migrations import migrate, require_current
from pipeline.store.ocr import Ocr, OcrPage
from pipeline.store.other_models import OtherModels
from pipeline.store.purge import Purge, Purged
from pipeline.store.results import Results
from pipeline.store.runs import RunEnd, RunInfo, Runs
from pipeline.store.scratch import scratch, sweep
from pipeline.store.status import Explanation, Status, TaskStatus, Verdict
from pipeline.store.tables import Column, Normalised, Table
from pipeline.store.totals import Totals, TotalsTable
from pipeline.store.work import Answer, Work, recipe_id, work_key

__all__ = [
    "MAX_TRIES",
    "Answer",
    "Column",
    "Explanation",
    "Failed",
    "FileRow",
    "Normalised",
    "OcrPage",
    "Purged",
    "ReadAs",
    "RunEnd",
    "RunInfo",
    "Store",
    "Table",
    "TaskStatus",
    "Totals",
    "Verdict",
    "Work",
    "as_kept",
    "files_of",
    "recipe_id",
    "scratch",
    "work_key",
]


class Store(Runs, Files, Documents, Ocr, TotalsTable, Failures, Results, Purge, Status, OtherModels):
    """The database of one or more tasks. Its methods live in one module for each group of tables."""

    @classmethod
    @contextmanager
    def open(
        cls, path: str | os.PathLike[str], *, write: bool = True, keep_text: bool = True, key: SecretStr | None = None
    ) -> Iterator[Store]:
        """Open the database at `path`; a writer makes it where there is none, takes the lock and migrates.

        Without `keep_text` what is saved has neither the texts of documents nor quotes from them: values and offsets
        only. What is there already stays; see `forget_texts`. With a `key` the file is encrypted, and a new one is
        made so; it must be the key that it was made with.

        Raises StoreLocked, StoreNewer, StoreFull or StoreError.
        """
        file = Path(path)
        lock = Lock(file.resolve()) if write else None  # a link is not a second database
        try:
            if write:
                sweep(file)
            db = connect(file, write=write, key=key)
            try:
                (migrate if write else require_current)(db, file)
                yield cls(db, file, keep_text=keep_text)
            finally:
                db.close()
        finally:
            if lock is not None:
                lock.release()

    def mark_gone(self, run_id: int, roots: Iterable[str]) -> int:
        """Mark files at or below `roots` that this run did not see; how many are newly gone.

        Call it after `save_files` of everything that was found, with the roots that could be looked at (absolute
        paths of files or folders). It also brings `file` and `gone` in the typed tables up to date.
        """
        with self.atomic():
            count = self._mark_gone(run_id, roots)
            self._follow_files(run_id)
        return count

    def end_run(self, run_id: int, end: RunEnd) -> None:
        """See `Runs.end_run`."""
        with self.atomic():
            self._follow_files(run_id)  # attachments come to light after `mark_gone`
            super().end_run(run_id, end)

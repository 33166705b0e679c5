"""What could not be done, one row an item, stage and task. An item is a work key, else a document, else a path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.data import Failure
from pipeline.store.connection import PAGE, Part, clean, clean_path
from pipeline.store.documents import MAX_TRIES


@dataclass(frozen=True, slots=True)
class Failed:
    """A failure as it is kept. It is tried again on its own while `tries` is below two."""

    failure: Failure
    tries: int
    first_run: int
    last_run: int


READ_IN_VAIN = """x.document = f.sha256 AND x.stage = 'read' AND x.task IS NULL AND x.last_run >= f.first_run
    AND x.tries >= :tries AND NOT (:passwords AND x.error = 'encrypted')
    AND EXISTS (SELECT 1 FROM _runs was JOIN _runs this ON this.id = :run
                WHERE was.id = x.last_run AND was.versions = this.versions
                AND json_extract(was.settings, '$.changes', '$.ocr')
                  = json_extract(this.settings, '$.changes', '$.ocr'))"""
"""The failure x of the bytes of file f came too often, and the last time as run :run would read: by the same readers,
under the same choice of `changes` and `ocr`, and when f was there: it may have the better suffix. With :passwords that
run has some to try, which no database says of an earlier one."""

COLUMNS = "subject, stage, error, message, hint, document, work_key, task, tries, first_run, last_run"


class Failures(Part):
    """The table `_failures`. What succeeds clears itself: `save_document` its reading, `save_extraction` its key,
    `save_record` the merge, `mark_gone` and `save_files` what the disk no longer holds.
    """

    def save_failure(self, run_id: int, failure: Failure) -> int:
        """Keep a failure, and how often it happened; gives that number."""
        with self.atomic():
            row = self._one(
                """INSERT INTO _failures (subject, stage, task, document, work_key, error, message, hint,
                                          tries, first_run, last_run)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)
                   ON CONFLICT (coalesce(work_key, document, subject), stage, coalesce(task, ''))
                   DO UPDATE SET subject = excluded.subject, document = excluded.document,
                       error = excluded.error, message = excluded.message, hint = excluded.hint,
                       tries = tries + 1, last_run = excluded.last_run
                   RETURNING tries""",
                (
                    clean_path(failure.subject),
                    failure.stage,
                    failure.task,
                    failure.document,
                    failure.work_key,
                    failure.error,
                    clean(failure.message),
                    clean(failure.hint),
                    run_id,
                    run_id,
                ),
            )
            return int(row[0])

    def failures(self, task: str | None = None) -> Iterator[Failed]:
        """All failures, or those of a task (with those of reading its files), oldest first."""
        last = 0
        while rows := self._all(
            f"""SELECT id, {COLUMNS} FROM _failures x WHERE id > :last AND (:task IS NULL OR task = :task
                OR (task IS NULL AND EXISTS (SELECT 1 FROM _files f CROSS JOIN _inputs i ON i.file = f.id
                    WHERE i.task = :task AND f.gone = 0 AND (f.sha256 = x.document OR f.path = x.subject))))
                ORDER BY id LIMIT :page""",
            {"last": last, "task": task, "page": PAGE},
        ):
            for row in rows:
                last = row[0]
                yield failed(row[1:])

    def failed_out(self, item: str, stage: str, *, task: str | None = None) -> bool:
        """Whether this item (a work key, a document, a path) failed at this stage too often to be tried again."""
        row = self._one(
            """SELECT 1 FROM _failures WHERE coalesce(work_key, document, subject) = ? AND stage = ?
               AND coalesce(task, '') = ? AND tries >= ?""",
            (clean_path(item), stage, task or "", MAX_TRIES),
        )
        return row is not None

    def read_in_vain(self, path: str, run_id: int, *, passwords: bool = False) -> bool:
        """Whether reading the bytes of this file failed too often to be tried again by this run, which reads as before.

        `passwords`: the run has some.
        """
        row = self._one(
            f"SELECT 1 FROM _files f CROSS JOIN _failures x WHERE f.path = :path AND {READ_IN_VAIN}",
            {"path": clean_path(path), "run": run_id, "passwords": passwords, "tries": MAX_TRIES},
        )
        return row is not None

    def left_alone(self, run_id: int) -> int:
        """How many failures happened too often to be tried again, all of them before this run."""
        row = self._one("SELECT count(*) FROM _failures WHERE tries >= ? AND last_run < ?", (MAX_TRIES, run_id))
        return int(row[0])

    def same_bytes(self, failure: Failure) -> list[str]:
        """Other files that hold the bytes of what failed."""
        rows = self._all(
            "SELECT path FROM _files WHERE sha256 = ? AND gone = 0 AND path != ? ORDER BY path",
            (failure.document, failure.subject),
        )
        return [path for (path,) in rows]

    def retry(self, *, task: str | None = None, subjects: Iterable[str] | None = None) -> int:
        """Let failures be tried twice more: all, a task's, or those of these paths or documents. How many."""
        wanted = None if subjects is None else {clean_path(subject) for subject in subjects}
        count = 0
        with self.atomic():
            for kept in self.failures(task):
                failure = kept.failure
                hashes = {failure.document, failure.work_key}
                paths = self._paths(failure)
                if wanted is None or wanted & (hashes | paths):
                    count += self._do(
                        """UPDATE _failures SET tries = 0 WHERE coalesce(work_key, document, subject) = ?
                           AND stage = ? AND coalesce(task, '') = ?""",
                        (
                            failure.work_key or failure.document or failure.subject,
                            failure.stage,
                            failure.task or "",
                        ),
                    )
        return count

    def _paths(self, failure: Failure) -> set[str]:
        rows = self._all("SELECT path FROM _files WHERE sha256 = ?", (failure.document,))
        return {failure.subject, *(path for (path,) in rows)}


def failed(row: tuple[str, ...]) -> Failed:
    """A row of COLUMNS."""
    *fields, tries, first, last = row
    return Failed(Failure(*fields), int(tries), int(first), int(last))

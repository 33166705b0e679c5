"""Documents that are to be gone: their text and everything that was made of it, and no copy left in the file's pages.

What goes with a document: its attachments that no other file holds, earlier contents of its files, their rows in every
task's table, records, evidence, history, answers to texts that stand nowhere else, what OCR read, failures, and the
ledger's rows.
What stays is what names no content: runs, recipes, schemas.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.errors import StoreLocked
from pipeline.store.connection import clean_path
from pipeline.store.history import History
from pipeline.store.migrate_tables import quoted


@dataclass(frozen=True, slots=True)
class Purged:
    """What is gone. `paths` are the files that held it; Nightdesk does not touch these."""

    documents: int
    rows: int
    answers: int
    paths: tuple[str, ...]


class Purge(History):
    """Takes documents out of all tables. See `Store.purge`."""

    def documents_at(self, subject: str) -> tuple[str, ...]:
        """The documents that lie at this path, or have this sha256; earlier contents of the path too."""
        path = clean_path(subject)
        found = {sha256 for (sha256,) in self._all("SELECT sha256 FROM _files WHERE path = ? AND sha256 > ''", (path,))}
        found |= {sha256 for (sha256,) in self._all("SELECT sha256 FROM _documents WHERE sha256 = ?", (subject,))}
        earlier = set(self._all("SELECT document FROM _history WHERE file = ?", (path,)))
        for task in self.tasks():
            earlier.update(self._all(f"SELECT document FROM {quoted(self.tables(task).name)} WHERE file = ?", (path,)))
        found |= {sha256 for (sha256,) in earlier if not self._held(sha256, but=set())}
        return tuple(sorted(found))

    def documents_before(self, time: str) -> tuple[str, ...]:
        """The documents that were read before this time (ISO-8601, UTC)."""
        rows = self._all("SELECT sha256 FROM _documents WHERE saved < ? ORDER BY sha256", (time,))
        return tuple(sha256 for (sha256,) in rows)

    def purge(self, documents: Iterable[str]) -> Purged:
        """Delete these documents, and overwrite in the file what they were. Not inside `atomic()`.

        Raises StoreLocked where another program reads the database: then what was deleted may still lie in its log
        until this is done again.
        """
        if self.db.conn.in_transaction:
            raise RuntimeError("purge inside a transaction")
        self._do("PRAGMA secure_delete = ON")
        self._do("PRAGMA temp_store = MEMORY")  # no copy of the database in the temp folder
        with self.atomic():
            purged = self._delete(sorted(set(documents)))
        self._checkpoint()
        self._do("VACUUM")
        self._checkpoint()
        return purged

    def forget_texts(self) -> bool:
        """Overwrite all texts, names of places, quotes, thoughts and pages of OCR in the file, as `purge` does.

        Gives whether there were any. Values, offsets, page numbers, the boxes of words and hashes stay.
        """
        if not self._one("""
            SELECT EXISTS (SELECT 1 FROM _documents WHERE text <> '')
                OR EXISTS (SELECT 1 FROM _ocr)
                OR EXISTS (SELECT 1 FROM _extractions WHERE thought IS NOT NULL)
                OR EXISTS (SELECT 1 FROM _evidence WHERE quote <> '' OR place IS NOT NULL)
                OR EXISTS (SELECT 1 FROM _records, json_each(conflicts)
                           WHERE value ->> 'kept_quote' <> '' OR value ->> 'other_quote' <> '')
                OR EXISTS (SELECT 1 FROM _history, json_each(evidence) WHERE value ->> 'quote' <> '')""")[0]:
            return False
        self._do("PRAGMA secure_delete = ON")
        self._do("PRAGMA temp_store = MEMORY")
        with self.atomic():
            self._do("UPDATE _documents SET text = '', places = NULL WHERE text <> ''")
            self._do("DELETE FROM _ocr")
            self._do("UPDATE _extractions SET thought = NULL WHERE thought IS NOT NULL")
            self._do("""UPDATE _records SET conflicts = (
                SELECT json_group_array(json_set(value, '$.kept_quote', '', '$.other_quote', ''))
                FROM json_each(conflicts)) WHERE conflicts <> '[]'""")
            self._do("UPDATE _evidence SET quote = '', place = NULL WHERE quote <> '' OR place IS NOT NULL")
            self._do("""UPDATE _history SET evidence = (
                SELECT json_group_array(json_set(value, '$.quote', '', '$.place', NULL)) FROM json_each(evidence))""")
        self._checkpoint()
        self._do("VACUUM")
        self._checkpoint()
        return True

    def _delete(self, named: list[str]) -> Purged:
        documents, files = self._closure(named)
        paths = [path for (path,) in self._all(f"SELECT path FROM _files WHERE id IN {_LISTED}", (json.dumps(files),))]
        rows = sum(self._delete_rows(sha256) for sha256 in documents)
        listed = json.dumps(sorted(documents))
        self._do(f"DELETE FROM _history WHERE document IN {_LISTED}", (listed,))
        self._do(f"DELETE FROM _documents WHERE sha256 IN {_LISTED}", (listed,))
        self._do(f"DELETE FROM _ocr WHERE document IN {_LISTED}", (listed,))
        # Read once, but neither in the ledger nor in a result any more: nobody could name it to have it purged.
        self._do("""DELETE FROM _documents AS d WHERE NOT EXISTS (SELECT 1 FROM _files f WHERE f.sha256 = d.sha256)
                    AND NOT EXISTS (SELECT 1 FROM _records r WHERE r.document = d.sha256)
                    AND NOT EXISTS (SELECT 1 FROM _history h WHERE h.document = d.sha256)""")
        self._do(
            f"DELETE FROM _failures WHERE document IN {_LISTED} OR subject IN {_LISTED}", (listed, json.dumps(paths))
        )
        orphans = "SELECT key FROM _work w WHERE NOT EXISTS (SELECT 1 FROM _chunks c WHERE c.text_hash = w.text_hash)"
        self._do(f"DELETE FROM _failures WHERE work_key IN ({orphans})")
        answers = self._do(f"DELETE FROM _extractions WHERE work IN ({orphans})")
        self._do(f"DELETE FROM _work WHERE key IN ({orphans})")
        self._do(f"DELETE FROM _files WHERE id IN {_LISTED}", (json.dumps(files),))
        # Of files that were never read to their end, or that changed since: nobody could name these either.
        self._do("""DELETE FROM _ocr WHERE document NOT IN (SELECT sha256 FROM _files WHERE sha256 IS NOT NULL)
                    AND document NOT IN (SELECT sha256 FROM _documents)""")
        return Purged(len(documents), rows, answers, tuple(paths))

    def _closure(self, named: list[str]) -> tuple[set[str], list[int]]:
        """The named documents with what they hold that nobody else holds, and the ids of all their files."""
        rows = self._all(
            f"""WITH RECURSIVE below(id, path) AS (
                    SELECT id, path FROM _files WHERE sha256 IN {_LISTED}
                    UNION SELECT f.id, f.path FROM _files f JOIN below ON f.parent = below.path)
                SELECT f.id, f.sha256 FROM _files f JOIN below ON below.id = f.id""",
            (json.dumps(named),),
        )
        files: dict[int, str | None] = dict(rows)
        inner = {sha256 for sha256 in files.values() if sha256 is not None} - set(named)
        alone = {sha256 for sha256 in inner if not self._held(sha256, but=set(files))}
        return {*named, *alone}, sorted(files)

    def _held(self, sha256: str, *, but: set[int]) -> bool:
        """Whether a file other than these holds the document."""
        return any(number not in but for (number,) in self._all("SELECT id FROM _files WHERE sha256 = ?", (sha256,)))

    def _delete_rows(self, sha256: str) -> int:
        """Rows of all tasks with their child rows, records and evidence; how many rows."""
        count = 0
        for task in self.tasks():
            count += self._do(f"DELETE FROM {quoted(self.tables(task).name)} WHERE document = ?", (sha256,))
        self._do("DELETE FROM _records WHERE document = ?", (sha256,))
        return count

    def _checkpoint(self) -> None:
        """Everything into the database's own file, and an empty log beside it."""
        busy, _, _ = self._one("PRAGMA wal_checkpoint(TRUNCATE)")
        if busy:
            raise StoreLocked(
                f"Another program reads {self.path}, so its log may still hold what was deleted.",
                hint="Close the program (a database browser?) and run the same command again.",
            )


_LISTED = "(SELECT value FROM json_each(?))"

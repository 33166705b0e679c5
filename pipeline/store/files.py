"""The ledger of files: what lay where when last looked at, and which task reads it.

`first_run` is the run that first found the present bytes at the path. An attachment is a file with the path
`<path of the mail>!/<number>` and the mail as its parent; where a mail is unchanged, its attachments count as seen with
it, although nobody opened it. `gone` is 0 for what is there, 1 for what was not seen, and 2 for what left
the file that held it: only reading that brings it back.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.store.connection import Part, clean_path
from pipeline.store.documents import MAX_TRIES
from pipeline.store.failures import READ_IN_VAIN

BATCH = 1000


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file as it was when last looked at. `sha256` is None where its bytes could not be read."""

    path: str
    parent: str | None
    name: str
    size: int
    mtime_ns: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class ReadAs:
    """How the bytes of a file were read: by which version of which reader (None: never), and their tracked changes."""

    sha256: str
    reader_version: str | None
    changes: str
    whole: bool  # the ledger has all files that it holds
    scanned: bool  # OCR may have to do with it


def _batches(rows: Iterable[FileRow]) -> Iterator[list[FileRow]]:
    iterator = iter(rows)
    while batch := list(itertools.islice(iterator, BATCH)):
        yield batch


BELOW = """
    WITH RECURSIVE below(path) AS (
        SELECT value FROM json_each(:paths)
        UNION SELECT f.path FROM _files f JOIN below ON f.parent = below.path)"""
"""The files in :paths and all their attachments."""


class Files(Part):
    """The tables `_files` and `_inputs`."""

    def file(self, path: str) -> FileRow | None:
        """What the ledger knows of this path; None too where the file was gone when last looked for."""
        row = self._one(
            "SELECT path, parent, name, size, mtime_ns, sha256 FROM _files WHERE path = ? AND gone = 0",
            (clean_path(path),),
        )
        return FileRow(*row) if row else None

    def within(self, sha256: str, file: str) -> str | None:
        """The sha256 of `file`, such as `shoebox.zip!/2`, where the bytes of `shoebox.zip` are those of `sha256`.

        None where these bytes, or what is in them, were never looked at.
        """
        inner = "".join(file.partition("!/")[1:])
        if not inner:
            return sha256
        row = self._one(
            """SELECT f.sha256 FROM _files outer_file JOIN _files f ON f.path = outer_file.path || ?
               WHERE outer_file.sha256 = ? AND f.sha256 IS NOT NULL AND f.gone < 2 LIMIT 1""",
            (inner, sha256),
        )
        return None if row is None else str(row[0])

    def names(self, sha256: str) -> Iterator[str]:
        """The names that these bytes have now: paths, and of attachments the names alone."""
        rows = self._all("SELECT path, parent, name FROM _files WHERE sha256 = ? AND gone = 0", (sha256,))
        return (path if parent is None else name for path, parent, name in rows)

    def read_as(self, path: str, run_id: int) -> Iterator[ReadAs]:
        """How this file was read, and what it holds at any depth, without what was read in vain and what lies in that.

        New passwords alone are no reason to read what a file holds again: a mailbox would be read every night for one
        locked file. The caller writes nothing before the last.
        """
        rows = self.db.conn.execute(
            f"""WITH RECURSIVE held(path, sha256) AS (
                    SELECT path, sha256 FROM _files WHERE path = :path
                    UNION ALL SELECT f.path, f.sha256 FROM held CROSS JOIN _files f ON f.parent = held.path
                    WHERE f.gone = 0 AND NOT EXISTS (SELECT 1 FROM _failures x WHERE {READ_IN_VAIN}))
                SELECT held.sha256, d.reader_version, d.changes,
                    d.attachments = (SELECT count(*) FROM _files c WHERE c.parent = held.path AND c.gone = 0),
                    d.ocr <> '' OR EXISTS (SELECT 1 FROM _pages p WHERE p.document = d.sha256 AND p.note IS NOT NULL)
                FROM held LEFT JOIN _documents d ON d.sha256 = held.sha256""",
            {"path": clean_path(path), "run": run_id, "passwords": False, "tries": MAX_TRIES},
        )
        return (ReadAs(*row) for row in rows)

    def doubt_file(self, path: str) -> None:
        """Its bytes are not those that were noted, although size and time are: the next look opens it."""
        with self.atomic():
            self._do("UPDATE _files SET mtime_ns = -1 WHERE path = ?", (clean_path(path),))

    def save_files(self, run_id: int, rows: Iterable[FileRow]) -> None:
        """Enter or update files and mark them as seen in this run. A file that changed loses its old failures, and one
        that can be opened again the failure to open it.

        A file whose bytes cannot be read today (`sha256` is None) keeps the document it is known to hold.
        """
        for batch in _batches(rows):
            with self.atomic():
                self._save_batch(run_id, batch)

    def save_attachments(self, run_id: int, sha256: str, path: str, rows: Sequence[FileRow]) -> None:
        """These are the files that the document at `path` holds, there and where else its bytes lie; others have left.

        Call it after `save_document`.
        """
        equal = self._all("SELECT path FROM _files WHERE sha256 = ? AND gone = 0", (sha256,))
        with self.atomic():
            self._do("UPDATE _documents SET attachments = ? WHERE sha256 = ?", (len(rows), sha256))
            for place in {clean_path(path), *(other for (other,) in equal)}:
                there = [replace(row, path=place + row.path[len(path) :], parent=place) for row in rows]
                left = self._all(
                    """SELECT path FROM _files WHERE parent = ? AND gone < 2
                       AND path NOT IN (SELECT value FROM json_each(?))""",
                    (place, json.dumps([row.path for row in there])),
                )
                self._leave([path for (path,) in left])
                self.save_files(run_id, there)

    def _leave(self, paths: Sequence[str]) -> None:
        """These have left the file that held them, with all that they hold."""
        self._do(
            BELOW + " UPDATE _files SET gone = 2 WHERE path IN (SELECT path FROM below)", {"paths": json.dumps(paths)}
        )

    def _save_batch(self, run_id: int, batch: list[FileRow]) -> None:
        paths = [clean_path(row.path) for row in batch]
        old = dict(
            self._all(
                "SELECT path, sha256 FROM _files WHERE path IN (SELECT value FROM json_each(?))",
                (json.dumps(paths),),
            )
        )
        self._many(
            """INSERT INTO _files (path, parent, name, size, mtime_ns, sha256, first_run, seen_run)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT (path) DO UPDATE SET parent = excluded.parent, name = excluded.name,
                   size = excluded.size, mtime_ns = excluded.mtime_ns,
                   first_run = iif(coalesce(excluded.sha256, sha256) IS sha256, first_run, excluded.first_run),
                   sha256 = coalesce(excluded.sha256, sha256),
                   seen_run = excluded.seen_run, gone = 0""",
            [
                (
                    path,
                    None if row.parent is None else clean_path(row.parent),
                    clean_path(row.name),
                    row.size,
                    row.mtime_ns,
                    row.sha256,
                    run_id,
                    run_id,
                )
                for path, row in zip(paths, batch, strict=True)
            ],
        )
        same = [path for path, row in zip(paths, batch, strict=True) if path in old and old[path] == row.sha256]
        self._do(
            BELOW
            + """ UPDATE _files SET seen_run = :run, gone = 0
                  WHERE path IN (SELECT path FROM below) AND parent IS NOT NULL AND gone < 2""",
            {"paths": json.dumps(same), "run": run_id},
        )
        readable = [(path, row) for path, row in zip(paths, batch, strict=True) if row.sha256 is not None]
        changed = [path for path, row in readable if path in old and old[path] != row.sha256]
        left = self._all(
            "SELECT path FROM _files WHERE parent IN (SELECT value FROM json_each(?)) AND gone < 2",
            (json.dumps(changed),),
        )
        self._leave([path for (path,) in left])
        self._do(
            """DELETE FROM _failures WHERE stage = 'read' AND document IS NULL AND work_key IS NULL
               AND subject IN (SELECT value FROM json_each(?))""",
            (json.dumps([path for path, _ in readable]),),
        )
        for path, row in readable:
            if old.get(path) != row.sha256:
                self._forget_failures(old.get(path))
        attached = [path for path, row in zip(paths, batch, strict=True) if row.parent is not None]
        self._do(
            """INSERT INTO _inputs (task, file, run)
               SELECT i.task, f.id, i.run FROM _files f
               JOIN _files parent ON parent.path = f.parent JOIN _inputs i ON i.file = parent.id
               WHERE f.path IN (SELECT value FROM json_each(?))
               ON CONFLICT (task, file) DO UPDATE SET run = excluded.run""",
            (json.dumps(attached),),
        )

    def _forget_failures(self, old: str | None) -> None:
        """What failed before lies at a path no more; its bytes may still lie elsewhere."""
        self._do(
            """DELETE FROM _failures WHERE document = :old
               AND NOT EXISTS (SELECT 1 FROM _files WHERE sha256 = :old AND gone = 0)""",
            {"old": old},
        )

    def link_inputs(self, run_id: int, task: str, paths: Iterable[str]) -> None:
        """These files (with their attachments) belong to the task, and are what this run reads for it."""
        iterator = iter(paths)
        while batch := [clean_path(path) for path in itertools.islice(iterator, BATCH)]:
            parameters = {"paths": json.dumps(batch), "run": run_id, "task": task}
            with self.atomic():
                (known,) = self._one(
                    "SELECT count(*) FROM _files WHERE path IN (SELECT value FROM json_each(:paths))",
                    {"paths": parameters["paths"]},
                )
                if known != len(set(batch)):
                    raise ValueError("a file is linked to a task before it was saved")
                self._do(
                    BELOW
                    + """ INSERT INTO _inputs (task, file, run)
                          SELECT :task, id, :run FROM _files WHERE path IN (SELECT path FROM below)
                          ON CONFLICT (task, file) DO UPDATE SET run = excluded.run""",
                    parameters,
                )

    def _mark_gone(self, run_id: int, roots: Iterable[str]) -> int:
        """Mark what lies at or below these roots and was not seen in this run; how many are newly gone."""
        count = 0
        for root in map(clean_path, roots):
            folder = root.rstrip(os.sep) + os.sep
            attached = root + "!/"
            count += self._do(
                """UPDATE _files SET gone = 1 WHERE gone = 0 AND seen_run <> :run AND (
                       path = :root
                       OR (path >= :folder AND path < :behind_folder)
                       OR (path >= :attached AND path < :behind_attached))""",
                {
                    "run": run_id,
                    "root": root,
                    "folder": folder,
                    "behind_folder": folder[:-1] + chr(ord(folder[-1]) + 1),
                    "attached": attached,
                    "behind_attached": root + "!0",
                },
            )
        self._do("""
            DELETE FROM _failures WHERE subject IN (SELECT path FROM _files WHERE gone > 0)
               OR (document IS NOT NULL AND document IN (SELECT sha256 FROM _files)
                   AND document NOT IN (SELECT sha256 FROM _files WHERE gone = 0 AND sha256 IS NOT NULL))""")
        return count

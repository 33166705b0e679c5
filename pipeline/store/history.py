"""What was replaced. A row that goes out of a task's table goes into `_history` as JSON, whole.

So a sum over the task's table never counts a document twice, and nothing that was found is lost.
"""

from __future__ import annotations

import json

from pipeline.store.connection import now
from pipeline.store.migrate_tables import quoted
from pipeline.store.reading import Reading
from pipeline.store.tables import Table

FIRST_FILE = """(SELECT f.path FROM _files f CROSS JOIN _inputs i ON i.file = f.id
    WHERE f.sha256 = {document} AND f.gone = 0 AND i.task = :task ORDER BY f.id LIMIT 1)"""
"""The first path of the task's files that holds the document, or NULL where it is gone."""


class History(Reading):
    """The table `_history`, and what the ledger of files means for rows that stand."""

    def _retire(self, run_id: int, task: str, tables: Table, row_id: int, reason: str) -> None:
        """Move a row to the history."""
        self._remember(run_id, task, tables, row_id, reason)
        self._do(f"DELETE FROM {quoted(tables.name)} WHERE id = ?", (row_id,))
        self._do("DELETE FROM _records WHERE id = ?", (row_id,))

    def _remember(self, run_id: int, task: str, tables: Table, row_id: int, reason: str) -> None:
        """Copy a row to the history, with the child rows of every version of the schema, and its evidence."""
        whole = _merged([tables, *self._versions(task)])
        (row,) = self._dicts(f"SELECT * FROM {quoted(tables.name)} WHERE id = ?", (row_id,))
        row = self._with_children(whole, row)
        evidence = self._dicts(
            """SELECT path, quote, found, start_char, end_char, page, occurrences, confidence, place
               FROM _evidence WHERE record = ? ORDER BY id""",
            (row_id,),
        )
        self._do(
            """INSERT INTO _history (task, record, document, file, row, evidence, reason, replaced_run, replaced)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (
                task,
                row_id,
                row["document"],
                row["file"],
                json.dumps(row, ensure_ascii=False),
                json.dumps(evidence, ensure_ascii=False),
                reason,
                run_id,
                now(),
            ),
        )

    def _follow_files(self, run_id: int) -> None:
        """Bring `file` and `gone` of all rows up to date, and retire rows whose file holds another row's document."""
        for task in self.tasks():
            tables = self.tables(task)
            name = quoted(tables.name)
            self._do(
                f"""UPDATE {name} AS t SET gone = (s.path IS NULL), file = coalesce(s.path, t.file)
                    FROM (SELECT id, {FIRST_FILE.format(document="r.document")} AS path FROM {name} r) AS s
                    WHERE s.id = t.id
                      AND (t.gone <> (s.path IS NULL) OR t.file IS NOT coalesce(s.path, t.file))""",
                {"task": task},
            )
            for (row_id,) in self._all(
                f"""SELECT old.id FROM {name} old JOIN _files f ON f.path = old.file AND f.gone = 0
                    JOIN {name} other ON other.document = f.sha256
                    WHERE old.gone = 1 AND other.id <> old.id"""
            ):
                self._retire(run_id, task, tables, row_id, "its file has changed")


def _merged(versions: list[Table]) -> Table:
    """One tree with the child tables of all versions; those that a newer schema dropped are still there."""
    children: dict[str, list[Table]] = {}
    for version in versions:
        for child in version.children:
            children.setdefault(child.name, []).append(child)
    first = versions[0]
    keys: set[str] = set()
    merged = []
    for same in children.values():
        child = _merged(same)
        # Two tables may have had one key; the name of a table is never taken twice.
        key = child.name if child.key in keys else child.key
        keys.add(key)
        merged.append(Table(child.name, key, child.path, child.columns, child.children))
    return Table(first.name, first.key, first.path, first.columns, tuple(merged))

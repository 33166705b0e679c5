"""What tasks found, read back: rows as they stand in the typed tables, evidence, and records as they were answered.

Everything streams, by id; between two items the caller may write.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.data import Completeness, Conflict, Evidence, Found, Record
from pipeline.errors import UserError
from pipeline.store.connection import PAGE, Part
from pipeline.store.migrate_tables import quoted
from pipeline.store.tables import Table


class Reading(Part):
    """Read access to `_tasks`, `_records`, `_evidence` and the typed tables."""

    def tasks(self) -> tuple[str, ...]:
        """The tasks that ever ran into this database, by name."""
        return tuple(name for (name,) in self._all("SELECT DISTINCT name FROM _tasks ORDER BY name"))

    def require_task(self, task: str) -> None:
        """UserError, with the names that there are, for a task that never ran into this database."""
        known = self.tasks()
        if task not in known:
            hint = f"Its tasks: {', '.join(known) or 'none yet'}."
            raise UserError(f"The database holds no task {task!r}.", hint=hint)

    def tables(self, task: str) -> Table:
        """The task's tables as of the newest version of its schema. KeyError where it never ran."""
        return self._current(task)[1]

    def _current(self, task: str) -> tuple[int, Table]:
        row = self._one("SELECT version, tables FROM _tasks WHERE name = ? ORDER BY version DESC LIMIT 1", (task,))
        if row is None:
            raise KeyError(task)
        return int(row[0]), Table.from_json(row[1])

    def _versions(self, task: str) -> list[Table]:
        rows = self._all("SELECT tables FROM _tasks WHERE name = ? ORDER BY version DESC", (task,))
        return [Table.from_json(text) for (text,) in rows]

    def rows(self, table: Table) -> Iterator[dict[str, Any]]:
        """The rows of one table as they stand, oldest first."""
        last = 0
        while rows := self._dicts(
            f"SELECT * FROM {quoted(table.name)} WHERE id > ? ORDER BY id LIMIT ?",
            (last, PAGE),
        ):
            last = rows[-1]["id"]
            yield from rows

    def columns(self, table: Table) -> tuple[str, ...]:
        """The columns of one table as they stand, those of earlier versions of the schema included."""
        return tuple(column.name for column in self.db[table.name].columns)

    def nested(self, task: str) -> Iterator[dict[str, Any]]:
        """The rows of a task, each with its child rows in lists under their keys."""
        tables = self.tables(task)
        for row in self.rows(tables):
            yield self._with_children(tables, row)

    def _with_children(self, table: Table, row: dict[str, Any]) -> dict[str, Any]:
        for child in table.children:
            below = self._dicts(
                f"SELECT * FROM {quoted(child.name)} WHERE parent = ? ORDER BY position",
                (row["id"],),
            )
            row[child.key] = [self._with_children(child, item) for item in below]
        return row

    def evidence(self, record_id: int) -> list[Evidence]:
        """Where the values of a row stand."""
        rows = self._all(
            """SELECT path, quote, found, start_char, end_char, page, occurrences, confidence, place
               FROM _evidence WHERE record = ? ORDER BY id""",
            (record_id,),
        )
        return [Evidence(path, quote, Found(found), *rest) for path, quote, found, *rest in rows]

    def marks(self, task: str, row_id: int) -> str:
        """What a row's values rest on that is no more than a guess; empty where nothing is marked."""
        row = self._one(f"SELECT marked FROM {quoted(self.tables(task).name)} WHERE id = ?", (row_id,))
        return "" if row is None else row[0] or ""

    def list_lengths(self, task: str, path: str, *, but: str) -> list[tuple[int, int]]:
        """The number of items in a list of the task's newest records, and the characters of their documents.

        The document `but` is left out, and so are records that are not among the newest 500 or hold no such list.
        """
        if '"' in path:  # SQLite's paths cannot name such a field
            return []
        where = "".join(f'."{name}"' for name in path.split("."))
        return [
            (int(number), int(length))
            for number, length in self._all(
                """SELECT json_array_length(r.answer, :path) AS number,
                          (SELECT max(p.end_char) FROM _pages p WHERE p.document = r.document)
                   FROM _records r WHERE r.task = :task AND r.document <> :but AND number IS NOT NULL
                     AND r.id > coalesce((SELECT id FROM _records WHERE task = :task
                                          ORDER BY id DESC LIMIT 1 OFFSET 500), 0)
                   ORDER BY r.id DESC LIMIT 100""",
                {"task": task, "but": but, "path": f"${where}"},
            )
            if length
        ]

    def records(self, task: str) -> Iterator[Record]:
        """The records of a task as they were merged: exact values, evidence and conflicts."""
        last = 0
        while rows := self._all(
            """SELECT id, document, state, answer, cut, conflicts FROM _records
               WHERE task = ? AND id > ? ORDER BY id LIMIT ?""",
            (task, last, PAGE),
        ):
            for record_id, document, state, answer, cut, conflicts in rows:
                last = record_id
                yield Record(
                    document,
                    task,
                    json.loads(answer),
                    Completeness(state),
                    tuple(json.loads(cut)),
                    tuple(self.evidence(record_id)),
                    tuple(_conflict(conflict) for conflict in json.loads(conflicts)),
                )

    def _dicts(self, sql: str, parameters: tuple[object, ...]) -> list[dict[str, Any]]:
        cursor = self.db.conn.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _conflict(value: Mapping[str, Any]) -> Conflict:
    quotes = value.get("kept_quote", ""), value.get("other_quote", "")  # records of earlier versions have none
    return Conflict(value["path"], value["kept"], value["other"], value["chunk"], *quotes)

"""Tasks and the versions of their schemas, and records: a typed row, its child rows, its evidence."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict

from pipeline.data import Record
from pipeline.errors import SchemaError
from pipeline.schema import Object
from pipeline.store.connection import as_json, clean, now
from pipeline.store.history import FIRST_FILE, History
from pipeline.store.migrate_tables import create_or_extend, misfits, quoted, retype, retyped
from pipeline.store.tables import Normalised, Row, Table, describe, fill, plan


class Results(History):
    """The tables `_tasks`, `_records`, `_evidence`, and the typed tables of the tasks."""

    def define_task(self, run_id: int, task: str, schema: Object, recipe_id: str) -> int:
        """Make the task's tables what its schema says and give the version of the schema. Not inside `atomic()`.

        Rows that hold values which do not fit a column's new type are copied to the history first.
        """
        text = as_json(describe(schema))
        current = self._one("SELECT version, schema FROM _tasks WHERE name = ? ORDER BY version DESC LIMIT 1", (task,))
        if current is not None and current[1] == text:
            with self.atomic():
                self._do("UPDATE _tasks SET recipe = ? WHERE name = ? AND version = ?", (recipe_id, task, current[0]))
            return int(current[0])
        version = 1 if current is None else int(current[0]) + 1
        tables = plan(task, schema, self._names_of_others(task))
        with self._tables_may_change(task), self.atomic():
            create_or_extend(self.db, tables)  # first: what goes to the history is read from all tables of the plan
            for table, column, kind in list(retyped(self.db, tables)):
                lost = list(misfits(self.db, table.name, column, kind))
                for root in sorted({self._root(tables, table, row_id) for row_id in lost}):
                    self._remember(run_id, task, tables, root, f"{table.name}.{column} is now {kind}")
                retype(self.db, table.name, column, kind, lost)
            self._do(
                "INSERT INTO _tasks (name, version, schema, tables, recipe, saved) VALUES (?, ?, ?, ?, ?, ?)",
                (task, version, text, clean(tables.to_json()), recipe_id, now()),
            )
        return version

    @contextmanager
    def _tables_may_change(self, task: str) -> Iterator[None]:
        """Rebuilding a table drops the old one, which must not take its child rows along."""
        if self.db.conn.in_transaction:
            raise RuntimeError("define_task inside a transaction")
        self._do("PRAGMA foreign_keys = OFF")
        try:
            yield
        except sqlite3.OperationalError as error:
            raise SchemaError(
                f"The schema of {task} does not fit a table: {error}.", hint="Use fewer or simpler fields."
            ) from error
        finally:
            self._do("PRAGMA foreign_keys = ON")

    def _names_of_others(self, task: str) -> set[str]:
        own = {table.name for version in self._versions(task) for table in version.all()}
        names = self._all("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        return {name for (name,) in names} - own

    def _root(self, tables: Table, table: Table, row_id: int) -> int:
        """The id of the task's row that this row hangs under."""
        if table is tables:
            return row_id
        parent = next(above for above in tables.all() if table in above.children)
        row = self._one(f"SELECT parent FROM {quoted(table.name)} WHERE id = ?", (row_id,))
        return self._root(tables, parent, int(row[0]))

    def save_record(
        self, run_id: int, record: Record, recipe_id: str, normalised: Mapping[str, Normalised | None]
    ) -> int:
        """Write a document's row, child rows and evidence; gives the row's id.

        The row that it replaces goes to the history: the document's own, or the one of the document that its file
        held before. The new row has its id. `normalised` says by path (`total`, `items[2].price`) what texts mean.
        """
        version, tables = self._current(record.task)
        row = fill(tables, record.values, normalised)
        document, task = record.document, record.task
        with self.atomic():
            replaced = self._replaced(tables, task, document)
            for old, reason in replaced.items():
                self._retire(run_id, task, tables, old, reason)
            record_id = self._insert_record(run_id, record, recipe_id, next(iter(replaced), None))
            (file,) = self._one(
                f"SELECT {FIRST_FILE.format(document=':document')}",
                {"document": document, "task": task},
            )
            self._insert_row(
                row,
                {
                    "id": record_id,
                    "document": document,
                    "file": file,
                    "state": record.state.value,
                    "cut": ", ".join(record.cut) or None,
                    "marked": "; ".join([*row.all_marks(), *_short(record)]) or None,
                    "gone": int(file is None),
                    "recipe": recipe_id,
                    "schema_version": version,
                    "run": run_id,
                },
            )
            self._insert_evidence(record_id, record)
            self._do("DELETE FROM _failures WHERE document = ? AND task = ? AND work_key IS NULL", (document, task))
        return record_id

    def _replaced(self, tables: Table, task: str, document: str) -> dict[int, str]:
        """The rows that a row of `document` takes the place of, its own first, and why."""
        name = quoted(tables.name)
        own = self._all(f"SELECT id FROM {name} WHERE document = ?", (document,))
        before = self._all(
            f"""SELECT t.id FROM {name} t
                WHERE t.document <> :document AND {FIRST_FILE.format(document="t.document")} IS NULL
                  AND t.file IN (SELECT f.path FROM _files f CROSS JOIN _inputs i ON i.file = f.id
                                 WHERE f.sha256 = :document AND f.gone = 0 AND i.task = :task)
                ORDER BY t.id""",
            {"document": document, "task": task},
        )
        return {
            **{row_id: "answered again" for (row_id,) in own},
            **{row_id: "its file has changed" for (row_id,) in before},
        }

    def _insert_record(self, run_id: int, record: Record, recipe_id: str, row_id: int | None) -> int:
        conflicts = [asdict(conflict) for conflict in record.conflicts]
        if not self.keep_text:
            conflicts = [{**conflict, "kept_quote": "", "other_quote": ""} for conflict in conflicts]
        row = self._one(
            """INSERT INTO _records (id, task, document, recipe, state, answer, cut, conflicts, run, saved)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id""",
            (
                row_id,
                record.task,
                record.document,
                recipe_id,
                record.state.value,
                as_json(dict(record.values)),
                as_json(record.cut),
                as_json(conflicts),
                run_id,
                now(),
            ),
        )
        return int(row[0])

    def _insert_row(self, row: Row, own: Mapping[str, object]) -> None:
        cells = {**own, **row.cells}
        values = [clean(value) if isinstance(value, str) else value for value in cells.values()]
        (row_id,) = self._one(
            f"INSERT INTO {quoted(row.table.name)} ({quoted(*cells)}) "
            f"VALUES ({', '.join('?' * len(cells))}) RETURNING id",
            values,
        )
        for child in row.children:
            self._insert_row(child, {"parent": row_id, "position": child.position})

    def _insert_evidence(self, record_id: int, record: Record) -> None:
        self._many(
            """INSERT INTO _evidence (record, path, quote, found, start_char, end_char, page,
                                      occurrences, confidence, place)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            [
                (
                    record_id,
                    clean(e.path),
                    clean(e.quote) if self.keep_text else "",
                    e.found.value,
                    e.start,
                    e.end,
                    e.page,
                    e.occurrences,
                    e.confidence,
                    e.place if self.keep_text else None,
                )
                for e in record.evidence
            ],
        )


def _short(record: Record) -> Iterator[str]:
    """The lists that may be short, as the column `marked` says it."""
    for one in record.short:
        yield f"{one.path}: may be short, {one.reason}"

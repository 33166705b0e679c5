"""Makes and changes the typed tables in the database, so that they are what a plan says and lose nothing.

New columns are added; a column or table that the schema dropped stays, NULL or empty for new rows; where the type of
a column changed, values that have the new type are kept and the others become NULL (the caller keeps them elsewhere).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlite_utils import Database
from sqlite_utils.db import ForeignKey, quote_identifier

from pipeline.store.tables import OWN, OWN_FIRST, OWN_OF_CHILD, Table

_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


def quoted(*names: str) -> str:
    """Names as SQL has them, joined by commas."""
    return ", ".join(quote_identifier(name) for name in names)


def create_or_extend(db: Database, plan: Table) -> None:
    """Make the plan's tables, and add the columns that they lack."""
    _one(db, plan, None)


def _one(db: Database, table: Table, parent: Table | None) -> None:
    columns = {column.name: column.type for column in table.columns}
    if not db[table.name].exists():
        _create(db, table, parent, columns)
    else:
        there = {name.casefold() for name in db[table.name].columns_dict}
        for name, kind in columns.items():
            if name.casefold() not in there:
                db.execute(f"ALTER TABLE {quoted(table.name)} ADD COLUMN {quoted(name)} {kind}")
    for child in table.children:
        _one(db, child, table)


def _create(db: Database, table: Table, parent: Table | None, columns: dict[str, str]) -> None:
    if parent is None:
        first = {name: OWN[name] for name in OWN_FIRST}
        rest = {name: kind for name, kind in OWN.items() if name not in first}
        db.create_table(
            table.name,
            {**first, **columns, **rest},
            pk="id",
            not_null={"document", "state", "gone", "recipe", "schema_version", "run"},
            foreign_keys=[
                ("document", "_documents", "sha256"),
                ("recipe", "_recipes", "id"),
                ("run", "_runs", "id"),
            ],
            strict=True,
        )
        db[table.name].create_index(["document"], unique=True)
        db[table.name].create_index(["file"])
        return
    db.create_table(
        table.name,
        {**OWN_OF_CHILD, **columns},
        pk="id",
        not_null={"parent", "position"},
        foreign_keys=[ForeignKey(table.name, "parent", parent.name, "id", on_delete="CASCADE")],
        strict=True,
    )
    db[table.name].create_index(["parent", "position"], unique=True)


def retyped(db: Database, plan: Table) -> Iterator[tuple[Table, str, str]]:
    """The columns whose type in the database is not the plan's: table, column as it is called there, new type."""
    for table in plan.all():
        if db[table.name].exists():
            there = {column.name.casefold(): column for column in db[table.name].columns}
            for column in table.columns:
                old = there.get(column.name.casefold())
                if old is not None and old.type != column.type:
                    yield table, old.name, column.type


def misfits(db: Database, table: str, column: str, kind: str) -> Iterator[int]:
    """The ids of rows whose value cannot be of the new type."""
    if kind in ("TEXT", "ANY"):
        return
    name = quoted(column)
    for row_id, value in db.conn.execute(f"SELECT id, {name} FROM {quoted(table)} WHERE {name} IS NOT NULL"):
        if not _fits(value, kind):
            yield row_id


def _fits(value: object, kind: str) -> bool:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, float):
        return kind == "REAL" or (value.is_integer() and abs(value) < 2**53)
    return isinstance(value, int)


def retype(db: Database, table: str, column: str, kind: str, lost: list[int]) -> None:
    """Give the column its new type; the rows in `lost` have NULL there."""
    name = quoted(column)
    db.conn.executemany(
        f"UPDATE {quoted(table)} SET {name} = NULL WHERE id = ?",
        [(row_id,) for row_id in lost],
    )
    db[table].transform(types={column: kind})

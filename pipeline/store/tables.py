"""A task's schema -> its tables: which columns, which child tables, and which value goes where. Pure.

- A field is a column of its name; an object's fields are columns `<object>_<field>`; a list is a child table
  `<table>_<field>` with `id`, `parent` (the row it belongs to), `position` (from 0), and `value` for plain items.
- Texts that mean money, a date, a number or a currency: `<field>` is the normalised value, `<field>_text` the exact
  words, `<field>_currency` the currency of money. Where the words could not be read as such, `<field>` is NULL.
- Booleans are 0 and 1. Choices of one type have that type; mixed ones are of type ANY.
- Characters of a name that are no letters, digits or `_` become `_`; a name that is taken (by our own columns, or
  by another field, upper and lower case being the same to SQLite) gets `_` behind it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from decimal import Decimal

from pipeline.errors import AnswerError, TaskError
from pipeline.schema import Boolean, Choice, List, Node, Number, Object, Text

OWN = {
    "id": "INTEGER",
    "document": "TEXT",  # sha256
    "file": "TEXT",  # the first path that holds the document
    "state": "TEXT",  # complete, incomplete
    "cut": "TEXT",  # fields that the output budget cut
    "marked": "TEXT",  # fields whose value rests on a guess, and on which
    "gone": "INTEGER",  # 1: no file holds this document any more
    "recipe": "TEXT",
    "schema_version": "INTEGER",
    "run": "INTEGER",
}
"""Columns of every task's table beside its fields."""
OWN_FIRST = ("id", "document", "file")
OWN_OF_CHILD = {"id": "INTEGER", "parent": "INTEGER", "position": "INTEGER"}

_ROWID = ("rowid", "oid", "_rowid_")  # SQLite's own names
_TYPED = {"money": "REAL", "date": "TEXT", "number": "REAL", "currency": "TEXT"}
_LARGEST = 2**63


@dataclass(frozen=True, slots=True)
class Normalised:
    """What a verbatim value means: a number or an ISO date; `marked` names the guess it rests on, if any."""

    value: str | float | Decimal | None
    currency: str | None = None
    marked: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a field. `path` leads to the field inside the table's own object, `()` to a plain item."""

    name: str
    type: str
    path: tuple[str, ...]
    part: str = "value"  # value, normalised, text, currency


@dataclass(frozen=True, slots=True)
class Table:
    """A task's table, or a child table: `path` leads from the parent's object to its list."""

    name: str
    key: str  # what the list is called in its parent
    path: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    children: tuple[Table, ...] = ()

    def all(self) -> Iterator[Table]:
        """This table and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.all()

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Table:
        """From `to_json()`."""
        return cls._from(json.loads(text))

    @classmethod
    def _from(cls, value: Mapping[str, object]) -> Table:
        columns: list[dict[str, object]] = value["columns"]  # type: ignore[assignment]
        children: list[dict[str, object]] = value["children"]  # type: ignore[assignment]
        return cls(
            str(value["name"]),
            str(value["key"]),
            tuple(value["path"]),  # type: ignore[arg-type]
            tuple(
                Column(str(c["name"]), str(c["type"]), tuple(c["path"]), str(c["part"]))  # type: ignore[arg-type]
                for c in columns
            ),
            tuple(cls._from(child) for child in children),
        )


class _Names:
    """Names given out in one table, or to tables in one database; no two are the same to SQLite."""

    def __init__(self, taken: Collection[str]) -> None:
        self._taken = {name.casefold() for name in taken}

    def give(self, wanted: str) -> str:
        name = re.sub(r"\W", "_", wanted) or "_"
        while name.casefold() in self._taken:
            name += "_"
        self._taken.add(name.casefold())
        return name


def plan(task: str, schema: Object, taken: Collection[str]) -> Table:
    """The tables of a task; `taken` are the names of tables and views in the database that are not its own."""
    table = re.sub(r"\W", "_", task)
    if table.startswith("_") or not table or f"{table}_".casefold().startswith("sqlite_"):
        raise TaskError(
            f"A task cannot be called {task!r}: its table would have a name that SQLite or Nightdesk keeps.",
            hint="Rename its file so that the name begins with a letter.",
        )
    names = _Names(taken)
    return _table(names.give(task), task, (), schema, names, own=OWN)


def _table(
    name: str, key: str, path: tuple[str, ...], node: Node, names: _Names, own: Collection[str] = OWN_OF_CHILD
) -> Table:
    leaves = list(_leaves(node, ()))
    given = _Names((*own, *_ROWID))
    # Every field gets its own name first, so that what stands beside it never takes the name of another field.
    first = [given.give("_".join(where) or "value") for where, _ in leaves]
    columns: list[Column] = []
    children: list[Table] = []
    for column, (where, leaf) in zip(first, leaves, strict=True):
        if isinstance(leaf, List):
            children.append(_table(names.give(f"{name}_{column}"), column, where, leaf.items, names))
            continue
        kind = meaning(leaf)
        if kind is None:
            columns.append(Column(column, _type(leaf), where))
            continue
        columns.append(Column(column, _TYPED[kind], where, "normalised"))
        columns.append(Column(given.give(f"{column}_text"), "TEXT", where, "text"))
        if kind == "money":
            columns.append(Column(given.give(f"{column}_currency"), "TEXT", where, "currency"))
    return Table(name, key, path, tuple(columns), tuple(children))


def _leaves(node: Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Node]]:
    if isinstance(node, Object):
        for member in node.fields:
            yield from _leaves(member.node, (*path, member.name))
    else:
        yield path, node


def meaning(node: Node) -> str | None:
    """money, date, number or currency, where a string stands for one."""
    if not isinstance(node, Text):
        return None
    kind = node.type
    if kind == "text" and node.extractive is not None:
        kind = node.extractive.type
    return kind if kind in _TYPED else None


def _type(node: Node) -> str:
    if isinstance(node, Boolean):
        return "INTEGER"
    if isinstance(node, Number):
        return "INTEGER" if node.integer else "REAL"
    if isinstance(node, Choice):
        kinds = {type(value) for value in node.values}
        if kinds == {str}:
            return "TEXT"
        if kinds in ({bool}, {int}):
            return "INTEGER"
        return "REAL" if kinds <= {int, float} else "ANY"
    return "TEXT"


@dataclass(frozen=True, slots=True)
class Row:
    """What goes into one row, and the rows below it. `marks` say which values rest on a guess."""

    table: Table
    cells: Mapping[str, object] = field(repr=False)
    children: tuple[Row, ...] = ()
    position: int = 0
    marks: tuple[str, ...] = ()

    def all_marks(self) -> Iterator[str]:
        """The marks of this row and of all below it."""
        yield from self.marks
        for child in self.children:
            yield from child.all_marks()


def fill(table: Table, value: object, normalised: Mapping[str, Normalised | None], path: str = "") -> Row:
    """The rows of one answer. `path` is where `value` stands in it, like `items[2]`."""
    cells: dict[str, object] = {}
    marks: list[str] = []
    for column in table.columns:
        found = _reach(value, column.path)
        where = ".".join(part for part in (path, *column.path) if part)
        cells[column.name] = _cell(column, found, normalised.get(where), where)
        meant = normalised.get(where)
        if column.part in ("normalised", "value") and found is not None and meant is not None and meant.marked:
            marks.append(f"{where}: {meant.marked}")
    children = []
    for child in table.children:
        items = _reach(value, child.path)
        where = ".".join(part for part in (path, *child.path) if part)
        for position, item in enumerate(items if isinstance(items, list | tuple) else ()):
            row = fill(child, item, normalised, f"{where}[{position}]")
            children.append(Row(row.table, row.cells, row.children, position, row.marks))
    return Row(table, cells, tuple(children), 0, tuple(marks))


def _reach(value: object, path: tuple[str, ...]) -> object:
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _cell(column: Column, found: object, meant: Normalised | None, where: str) -> object:
    if found is None:
        return None
    if column.part == "currency":
        return meant.currency if meant else None
    if column.part == "normalised":
        if meant is None or meant.value is None:
            return None
        return float(meant.value) if column.type == "REAL" else str(meant.value)
    if isinstance(found, float) and column.type == "INTEGER" and found.is_integer():
        found = int(found)
    if isinstance(found, int) and not -_LARGEST <= found < _LARGEST:
        if column.type != "REAL":
            raise AnswerError(
                f"{where} is a whole number beyond 64 bits.",
                hint="Give the field bounds in the schema, or make it a string.",
            )
        found = float(found)
    return found


def describe(node: object) -> object:
    """A schema as plain JSON values, so that a version of it can be kept and compared."""
    if is_dataclass(node) and not isinstance(node, type):
        kept = {member.name: describe(getattr(node, member.name)) for member in fields(node)}
        return {"node": type(node).__name__, **kept}
    if isinstance(node, tuple):
        return [describe(item) for item in node]
    return node

"""Schemas as tables: names that never collide, types, and values that come back as they went in."""

import math
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from pipeline.errors import AnswerError
from pipeline.schema import Boolean, Choice, Extractive, Field, List, Number, Object, Text
from pipeline.store.migrate_tables import create_or_extend, quoted
from pipeline.store.tables import OWN, OWN_OF_CHILD, Normalised, Table, fill, plan

NAMES = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["id", "ID", "document", "state", "rowid", "OID", "_rowid_", "parent", "position", "value", "select", "a.b",
         "total", "Total", "total_text", "total_currency", "total_", "a_b", 'quo"te', "[x]", "", "\0", "é", "É",
         "\ud800"]
    ),
)  # fmt: skip
LEAVES = st.one_of(
    st.builds(Text, type=st.sampled_from(["text", "money", "date", "number", "email"])),
    st.builds(Number, integer=st.booleans()),
    st.just(Boolean()),
    st.sampled_from([Choice(("a", "b")), Choice((1, 2)), Choice((True, False)), Choice((1, 2.5)), Choice(("1", 1))]),
)


def objects(nodes, least=0):
    fields = st.lists(st.tuples(NAMES, nodes), min_size=least, max_size=5, unique_by=lambda pair: pair[0])
    return fields.map(lambda pairs: Object(tuple(Field(name, node, nullable=True) for name, node in pairs)))


NODES = st.recursive(LEAVES, lambda nodes: st.one_of(st.builds(List, nodes), objects(nodes)), max_leaves=8)
SCHEMAS = objects(NODES, least=1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def values_of(node):
    if isinstance(node, Object):
        return st.fixed_dictionaries({field.name: values_of(field.node) for field in node.fields}) | st.none()
    if isinstance(node, List):
        return st.lists(values_of(node.items), max_size=3) | st.none()
    if isinstance(node, Number):
        numbers = st.integers(-(2**63), 2**63 - 1) if node.integer else st.floats(allow_nan=False, allow_infinity=False)
        return numbers | st.none()
    if isinstance(node, Boolean):
        return st.booleans() | st.none()
    if isinstance(node, Choice):
        return st.sampled_from(node.values) | st.none()
    return TEXTS | st.none()


def read_back(db, table, node, row, path=()):
    """The value that a row stands for, by the schema; what a table cannot tell apart is folded by `folded`."""
    if isinstance(node, Object):
        return {f.name: read_back(db, table, f.node, row, (*path, f.name)) for f in node.fields}
    if isinstance(node, List):
        child = next(c for c in table.children if c.path == path)
        rows = db.query(f"SELECT * FROM {quoted(child.name)} WHERE parent = ? ORDER BY position", [row["id"]])
        return [read_back(db, child, node.items, item) for item in rows]
    column = next(c for c in table.columns if c.path == path and c.part in ("value", "text"))
    return row[column.name]


def folded(node, value):
    """An absent object is one of NULLs, an absent list is an empty one, true is 1."""
    if isinstance(node, Object):
        return {f.name: folded(f.node, None if value is None else value[f.name]) for f in node.fields}
    if isinstance(node, List):
        return [folded(node.items, item) for item in value or []]
    return value


def insert(db, row, own):
    cells = {**own, **row.cells}
    marks = ", ".join("?" * len(cells))
    cursor = db.conn.execute(
        f"INSERT INTO {quoted(row.table.name)} ({quoted(*cells)}) VALUES ({marks})", [*cells.values()]
    )
    for child in row.children:
        insert(db, child, {"parent": cursor.lastrowid, "position": child.position})


def database():
    db = Database(sqlite3.connect(":memory:", isolation_level=None), execute_plugins=False)
    for sql in (
        "CREATE TABLE _documents (sha256 TEXT PRIMARY KEY)",
        "CREATE TABLE _recipes (id TEXT PRIMARY KEY)",
        "CREATE TABLE _runs (id INTEGER PRIMARY KEY)",
    ):
        db.execute(sql)
    return db


OWN_VALUES = {"document": "d", "state": "complete", "gone": 0, "recipe": "r", "schema_version": 1, "run": 1}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), SCHEMAS)
def test_every_schema_is_a_table_and_every_answer_comes_back_from_it(data, schema):
    value = data.draw(values_of(schema).filter(lambda value: value is not None))
    tables = plan("task", schema, ())
    db = database()
    try:
        create_or_extend(db, tables)
        insert(db, fill(tables, value, {}), OWN_VALUES)
        (row,) = db.query("SELECT * FROM task")

        assert read_back(db, tables, schema, row) == folded(schema, value)
        assert all(db[table.name].strict for table in tables.all())
        assert Table.from_json(tables.to_json()) == tables
    finally:
        db.close()


@settings(max_examples=40, deadline=None)
@given(SCHEMAS, st.sets(st.sampled_from(["task_a", "TASK", "task_value", "task_items"])))
def test_no_two_columns_or_tables_ever_have_one_name(schema, taken):
    tables = list(plan("task", schema, taken).all())
    names = [table.name.casefold() for table in tables]

    assert len(set(names) | {name.casefold() for name in taken}) == len(names) + len(taken)
    for table in tables:
        own = OWN if table is tables[0] else OWN_OF_CHILD
        columns = [column.name.casefold() for column in table.columns] + list(own)
        assert len(set(columns)) == len(columns)


@given(SCHEMAS)
@settings(max_examples=15, deadline=None)
def test_the_same_schema_has_the_same_tables(schema):
    assert plan("task", schema, ()) == plan("task", schema, ())


def columns(*fields):
    tables = plan("task", Object(tuple(Field(name, node) for name, node in fields)), ())
    return [(column.name, column.type) for column in tables.columns]


def test_types_are_those_that_a_person_would_query():
    assert columns(
        ("company", Text()),
        ("total", Text(type="money")),
        ("due", Text(extractive=Extractive("date"))),
        ("weight", Text(type="number")),
        ("mail", Text(type="email")),
        ("n", Number(integer=True)),
        ("x", Number()),
        ("paid", Boolean()),
        ("kind", Choice(("a", "b"))),
        ("rate", Choice((0, 7, 19))),
        ("share", Choice((0, 0.5))),
        ("odd", Choice(("a", 1))),
        ("seller", Object((Field("name", Text()), Field("vat", Object((Field("id", Text()),)))))),
    ) == [
        ("company", "TEXT"),
        ("total", "REAL"),
        ("total_text", "TEXT"),
        ("total_currency", "TEXT"),
        ("due", "TEXT"),
        ("due_text", "TEXT"),
        ("weight", "REAL"),
        ("weight_text", "TEXT"),
        ("mail", "TEXT"),
        ("n", "INTEGER"),
        ("x", "REAL"),
        ("paid", "INTEGER"),
        ("kind", "TEXT"),
        ("rate", "INTEGER"),
        ("share", "REAL"),
        ("odd", "ANY"),
        ("seller_name", "TEXT"),
        ("seller_vat_id", "TEXT"),
    ]


def test_a_field_keeps_its_name_and_what_stands_beside_another_gives_way():
    assert columns(("total", Text(type="money")), ("total_text", Text()), ("state", Text())) == [
        ("total", "REAL"),
        ("total_text_", "TEXT"),
        ("total_currency", "TEXT"),
        ("total_text", "TEXT"),
        ("state_", "TEXT"),
    ]


def test_names_that_differ_in_case_only_are_one_name_to_sqlite():
    names = [name for name, _ in columns(("Total", Text()), ("total", Text()), ("ID", Text()), ("a b", Text()))]

    assert names == ["Total", "total_", "ID_", "a_b"]


def test_the_exact_words_stay_beside_the_normal_form():
    tables = plan("t", Object((Field("total", Text(type="money")), Field("due", Text(type="date")))), ())
    meant = {"total": Normalised("1234.56", "EUR"), "due": Normalised("2018-04-03", marked="day first")}
    row = fill(tables, {"total": "1.234,56 €", "due": "03/04/2018"}, meant)

    assert row.cells == {
        "total": 1234.56,
        "total_text": "1.234,56 €",
        "total_currency": "EUR",
        "due": "2018-04-03",
        "due_text": "03/04/2018",
    }
    assert list(row.all_marks()) == ["due: day first"]


@pytest.mark.parametrize("meant", [{}, {"total": None}, {"total": Normalised(None)}])
def test_words_without_a_normal_form_are_kept_and_the_value_is_null(meant):
    tables = plan("t", Object((Field("total", Text(type="money")),)), ())

    assert fill(tables, {"total": "twelve"}, meant).cells == {
        "total": None,
        "total_text": "twelve",
        "total_currency": None,
    }


def test_whole_numbers_may_be_written_with_a_point():
    tables = plan("t", Object((Field("n", Number(integer=True)),)), ())

    assert fill(tables, {"n": 3.0}, {}).cells == {"n": 3}


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 1e30])
def test_a_whole_number_beyond_64_bits_names_its_path(value):
    tables = plan("t", Object((Field("items", List(Object((Field("n", Number(integer=True)),)))),)), ())

    with pytest.raises(AnswerError, match=r"items\[1\]\.n"):
        fill(tables, {"items": [{"n": 1}, {"n": value}]}, {})


def test_a_large_number_in_a_real_column_is_rounded():
    tables = plan("t", Object((Field("x", Number()),)), ())

    (value,) = fill(tables, {"x": 10**30}, {}).cells.values()
    assert math.isclose(value, 1e30)

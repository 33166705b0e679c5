"""Records: one row a document, what it replaced in the history, and tables that follow their schema."""

import json

import pytest

from pipeline.data import Completeness, Conflict, Evidence, Found, Record, ShortList
from pipeline.errors import AnswerError, SchemaError, TaskError
from pipeline.schema import Boolean, Choice, Field, List, Number, Object, Text
from pipeline.store import Normalised


def object_of(**fields):
    return Object(tuple(Field(name, node) for name, node in fields.items()))


def history(store):
    return [
        (record, json.loads(row), json.loads(evidence), reason)
        for record, row, evidence, reason in store._all(
            "SELECT record, row, evidence, reason FROM _history ORDER BY id"
        )
    ]


def test_a_record_is_a_typed_row_with_its_file_and_what_made_it(store, night):
    night.all({"/in/a": "a"})

    (row,) = store.rows(store.tables("receipts"))
    assert row == {
        "id": 1,
        "document": store.file("/in/a").sha256,
        "file": "/in/a",
        "company": store.file("/in/a").sha256[:4],
        "total": 1.0,
        "total_text": "1,00",
        "total_currency": "EUR",
        "state": "complete",
        "cut": None,
        "marked": None,
        "gone": 0,
        "recipe": night.recipe,
        "schema_version": 1,
        "run": night.run,
    }


def test_a_record_comes_back_as_it_was_merged(store, begin, words):
    night = begin(task="invoices", schema=words.invoice)
    night.look({"/in/a": "a"})
    sha = night.read("a")
    record = Record(
        sha,
        "invoices",
        {"seller": "S", "items": [{"name": "x", "price": "1,00", "tags": ["t", "u"]}, {"name": None, "price": None}]},
        Completeness.INCOMPLETE,
        ("items[1].price",),
        (Evidence("seller", "S", Found.POINTED, 3, 4, 1, 2, 0.75), Evidence("items[0].name", "x", Found.NOT_FOUND)),
        (Conflict("seller", "S", {"odd": ["T"]}, 4, "S", "T t"),),
    )
    store.save_record(night.run, record, night.recipe, {"items[0].price": Normalised(1.0, "EUR", "day first")})

    assert list(store.records("invoices")) == [record]
    assert store._all("SELECT state, cut, marked FROM invoices") == [
        ("incomplete", "items[1].price", "items[0].price: day first")
    ]


def test_a_list_that_may_be_short_is_marked_and_its_length_can_be_asked_for(store, begin, words):
    night = begin(task="invoices", schema=words.invoice)
    night.look({"/in/a": "a", "/in/b": "b"})
    for content, items in (("a", [{"name": "x"}] * 3), ("b", [])):
        record = Record(night.read(content), "invoices", {"items": items}, short=(ShortList("items", "so it is"),))
        row = store.save_record(night.run, record, night.recipe, {})

    assert store.marks("invoices", row) == "items: may be short, so it is"
    lengths = [number for number, _ in store.list_lengths("invoices", "items", but=record.document)]
    assert lengths == [3]
    assert store.list_lengths("invoices", "seller", but="") == store.list_lengths("invoices", 'a"b', but="") == []


def test_the_lengths_of_a_list_are_looked_up_in_the_newest_records_only(store, begin):
    """A list in an object that is mostly null has no length; with 100,000 records they are not all read for it."""
    night = begin(schema=object_of(box=Object((Field("items", List(Text())),))))
    night.look({f"/in/{i}": f"{i}" for i in range(501)})
    with store.atomic():
        for i in range(501):
            night.record(night.read(f"{i}"), {"box": {"items": ["x"]} if i in (0, 1, 400) else None}, {})

    lengths = store.list_lengths("receipts", "box.items", but="")

    assert lengths == [(1, 3), (1, 1)]


def test_lists_are_child_tables_that_refer_to_their_row(store, begin, words):
    night = begin(task="invoices", schema=words.invoice)
    night.look({"/in/a": "a", "/in/b": "b"})
    for content in "ab":
        items = [{"name": f"{content}{i}", "price": f"{i},50", "tags": ["t"] * i} for i in range(3)]
        meant = {f"items[{i}].price": Normalised(i + 0.5, "EUR") for i in range(3)}
        night.record(night.read(content), {"items": items}, meant)

    sums = store._all("""SELECT file, sum(price), count(*) FROM invoices_items i JOIN invoices v ON v.id = i.parent
                         GROUP BY v.id""")
    assert sums == [("/in/a", 4.5, 3), ("/in/b", 4.5, 3)]
    assert store._one("SELECT count(*) FROM invoices_items_tags") == (6,)
    assert [fk.other_table for fk in store.db["invoices_items_tags"].foreign_keys] == ["invoices_items"]
    assert [row["items"][2]["tags"][1]["value"] for row in store.nested("invoices")] == ["t", "t"]


def test_an_edited_file_replaces_its_row_and_nothing_is_summed_twice(store, night, begin):
    night.all({"/in/a": "old", "/in/b": "other"})
    later = begin().all({"/in/a": "new", "/in/b": "other"})

    assert later.table("id, file, gone") == [(1, "/in/a", 0), (2, "/in/b", 0)]
    assert store._one("SELECT sum(total), count(*) FROM receipts") == (2.0, 2)
    ((record, row, evidence, reason),) = history(store)
    assert (record, row["total"], row["file"], reason) == (1, 1.0, "/in/a", "its file has changed")
    assert [e["path"] for e in evidence] == ["company", "total"]
    assert store._one("SELECT count(*) FROM _evidence") == (4,)


def test_until_the_edited_file_is_answered_its_old_row_stands_and_is_marked(store, night, begin):
    night.all({"/in/a": "old"})
    later = begin()
    later.look({"/in/a": "new"})

    assert later.table("file, gone") == [("/in/a", 1)]


def test_a_file_edited_twice_before_it_is_answered_replaces_its_row_once(store, night, begin):
    night.all({"/in/a": "one"})
    begin().look({"/in/a": "two"})
    begin().all({"/in/a": "three"})

    assert store._all("SELECT id, file, gone FROM receipts") == [(1, "/in/a", 0)]
    assert len(history(store)) == 1


def test_a_file_edited_into_a_known_document_loses_its_row(store, night, begin):
    night.all({"/in/a": "old", "/in/b": "known"})
    later = begin().all({"/in/a": "known", "/in/b": "known"})

    assert later.table("id, file") == [(2, "/in/a")]
    assert [(record, reason) for record, *_, reason in history(store)] == [(1, "its file has changed")]


def test_an_edit_taken_back_brings_the_row_back(store, night, begin):
    night.all({"/in/a": "old"})
    begin().look({"/in/a": "new"})
    later = begin().all({"/in/a": "old"})

    assert later.table("id, file, gone") == [(1, "/in/a", 0)]
    assert history(store) == []


def test_a_row_whose_file_is_gone_is_kept_and_marked_until_it_is_back(store, night, begin):
    night.all({"/in/a": "a", "/in/b": "b"})
    gone = begin().all({"/in/b": "b"})
    assert gone.table("file, gone") == [("/in/a", 1), ("/in/b", 0)]

    back = begin().all({"/in/a": "a", "/in/b": "b"})
    assert back.table("file, gone") == [("/in/a", 0), ("/in/b", 0)]
    assert history(store) == []


def test_the_same_bytes_under_two_names_are_one_row_that_follows_the_name_that_is_left(store, night, begin):
    night.all({"/in/a": "same", "/in/b": "same"})
    assert night.table("file") == [("/in/a",)]
    assert store._all("SELECT path FROM _files WHERE sha256 = (SELECT document FROM receipts)") == [
        ("/in/a",),
        ("/in/b",),
    ]

    later = begin().all({"/in/b": "same"})
    assert later.table("id, file, gone") == [(1, "/in/b", 0)]


def test_one_of_two_names_edited_gives_a_second_row(store, night, begin):
    night.all({"/in/a": "same", "/in/b": "same"})
    later = begin().all({"/in/a": "new", "/in/b": "same"})

    assert later.table("id, file, gone") == [(1, "/in/b", 0), (2, "/in/a", 0)]
    assert history(store) == []


def test_a_moved_file_keeps_its_row(store, night, begin):
    night.all({"/in/a": "same"})
    later = begin().all({"/in/z": "same"})

    assert later.table("id, file, gone") == [(1, "/in/z", 0)]


def test_a_changed_recipe_replaces_rows_under_their_ids(store, night, begin, words):
    night.all({"/in/a": "a", "/in/b": "b"})
    later = begin(parts={**words.parts, "model": "m2"}).all({"/in/a": "a", "/in/b": "b"})

    assert later.table("id, recipe, run") == [(1, later.recipe, later.run), (2, later.recipe, later.run)]
    assert [(record, reason) for record, *_, reason in history(store)] == [(1, "answered again"), (2, "answered again")]


def test_an_attachment_that_comes_to_light_late_is_not_left_marked_as_gone(store, night, begin):
    from pipeline.store import FileRow

    def mail(night, content):
        night.look({"/in/m.eml": content})
        store.save_files(night.run, [FileRow("/in/m.eml!/1", "/in/m.eml", "1", 1, 1, "b")])
        store.link_inputs(night.run, "receipts", ["/in/m.eml"])

    mail(night, "mail")
    night.store.save_document(night.run, night.store.document(night.read("x")).__class__("b", "b", (), "text", "1"))
    night.record("b", {"company": "B"})
    night.end()
    later = begin()
    mail(later, "edited mail, same attachment")
    later.end()

    assert later.table("file, gone") == [("/in/m.eml!/1", 0)]


# Schemas that change


def test_the_same_schema_is_the_same_version(night, begin):
    assert (night.version, begin().version) == (1, 1)


def test_a_new_field_is_a_new_column_and_rows_say_which_version_made_them(store, night, begin):
    night.all({"/in/a": "a"})
    schema = object_of(company=Text(), total=Text(type="money"), paid=Boolean(), lines=List(Text()))
    later = begin(schema=schema)
    later.look({"/in/a": "a", "/in/b": "b"})
    later.record(later.read("b"), {"company": "B", "paid": True, "lines": ["x"]})

    assert later.version == 2
    assert later.table("company IS NOT NULL, paid, schema_version") == [(1, None, 1), (1, 1, 2)]
    assert store._all("SELECT parent, value FROM receipts_lines") == [(2, "x")]


def test_a_removed_field_keeps_its_old_values_and_is_null_from_then_on(store, begin, words):
    night = begin(task="invoices", schema=words.invoice)
    night.look({"/in/a": "a"})
    night.record(night.read("a"), {"seller": "S", "items": [{"name": "n", "tags": ["t"]}]})
    later = begin(task="invoices", schema=object_of(buyer=Text()))
    later.look({"/in/a": "a", "/in/b": "b"})
    later.record(later.read("b"), {"buyer": "B"})

    assert later.table("seller, buyer") == [("S", None), (None, "B")]
    assert store._one("SELECT count(*) FROM invoices_items_tags") == (1,)

    later.record(later.read("a"), {"buyer": "A"})
    assert store._one("SELECT count(*) FROM invoices_items_tags") == (0,)
    ((_, row, _, _),) = history(store)
    assert row["items"][0]["tags"][0]["value"] == "t"


def test_a_field_of_another_type_keeps_what_it_can_and_the_history_keeps_the_rest(store, begin):
    night = begin(schema=object_of(number=Text(), other=Text()))
    values = {"/in/a": "12", "/in/b": "no. 7", "/in/c": "3.5", "/in/d": None, "/in/e": ""}
    night.look({path: path for path in values})
    for path, value in values.items():
        night.record(night.read(path), {"number": value, "other": "o"})
    later = begin(schema=object_of(number=Number(integer=True), other=Text()))

    assert later.table("number, other") == [(12, "o"), (None, "o"), (None, "o"), (None, "o"), (None, "o")]
    assert [(record, row["number"]) for record, row, *_ in history(store)] == [(2, "no. 7"), (3, "3.5"), (5, "")]
    assert "number is now INTEGER" in history(store)[0][3]
    assert store.db["receipts"].columns_dict["number"] is int
    assert store.db["receipts"].strict


def test_a_changed_type_in_a_list_keeps_the_rows_below_it(store, begin):
    def schema(node):
        return object_of(items=List(object_of(price=node, tags=List(Text()))))

    night = begin(schema=schema(Text()))
    night.look({"/in/a": "a"})
    night.record(night.read("a"), {"items": [{"price": "x", "tags": ["t"]}, {"price": "2", "tags": ["u", "v"]}]})
    begin(schema=schema(Number()))

    assert store._all("SELECT price FROM receipts_items ORDER BY id") == [(None,), (2.0,)]
    assert store._one("SELECT count(*) FROM receipts_items_tags") == (3,)
    ((_, row, _, _),) = history(store)
    assert [item["price"] for item in row["items"]] == ["x", "2"]
    assert store._one("PRAGMA foreign_keys") == (1,)


def test_a_column_may_change_its_type_while_a_list_joins_its_table(store, begin):
    def schema(node, *more):
        below = (Field("price", node), *more)
        return Object((Field("total", node), Field("items", List(Object(below))), *more))

    night = begin(schema=schema(Text()))
    night.look({"/in/a": "a"})
    night.record(night.read("a"), {"total": "much", "items": [{"price": "more"}]}, {})
    more = Field("lines", List(Text()))
    later = begin(schema=schema(Number(), more))
    later.record(later.read("a"), {"total": 5, "items": [{"price": 2, "lines": ["x"]}], "lines": ["y"]}, {})

    assert later.table("total") == [(5.0,)]
    assert store._all("SELECT value FROM receipts_lines UNION ALL SELECT value FROM receipts_items_lines") == [
        ("y",),
        ("x",),
    ]
    assert history(store)[0][1]["total"] == "much"
    assert history(store)[0][1]["items"][0]["price"] == "more"


def test_a_number_that_becomes_text_is_kept_as_its_digits(store, begin):
    night = begin(schema=object_of(n=Number(integer=True)))
    night.look({"/in/a": "a"})
    night.record(night.read("a"), {"n": 12})
    later = begin(schema=object_of(n=Text()))

    assert later.table("n") == [("12",)]


def test_a_schema_taken_back_is_a_new_version_with_the_old_columns(store, begin):
    first, second = object_of(a=Text()), object_of(b=Text())

    assert [begin(schema=schema).version for schema in (first, second, first)] == [1, 2, 3]
    assert {"a", "b"} <= set(store.db["receipts"].columns_dict)


def test_a_schema_that_cannot_be_a_table_is_the_users_error_and_changes_nothing(store, begin):
    wide = Object(tuple(Field(f"f{i}", Text()) for i in range(3000)))

    with pytest.raises(SchemaError) as caught:
        begin(schema=wide)
    assert caught.value.hint
    assert store.tasks() == ()
    assert store._one("PRAGMA foreign_keys") == (1,)


# Names


@pytest.mark.parametrize("task", ["files", "runs", "select", "Order by", "tärks-2", "sqlites", "a.b", "日本"])
def test_a_task_may_be_called_what_it_likes(store, begin, task):
    night = begin(task=task, schema=object_of(table=Text(), group=List(Text())))
    night.look({"/in/a": "a"})
    night.record(night.read("a"), {"table": "t", "group": ["g"]})

    (row,) = store.nested(task)
    assert (row["table"], row["group"][0]["value"]) == ("t", "g")


@pytest.mark.parametrize("task", ["_files", "sqlite", "SQLite_x", "-x", ""])
def test_a_task_that_would_take_a_kept_name_is_refused(store, begin, task):
    with pytest.raises(TaskError) as caught:
        begin(task=task)
    assert caught.value.hint


def test_a_list_and_a_task_of_the_same_name_get_tables_of_their_own(store, begin, words):
    invoices = begin(task="invoices", schema=words.invoice)
    items = begin(task="invoices_items")
    begin(task="invoices", schema=object_of(items=List(Text())))

    assert store.tables("invoices").children[0].name == "invoices_items"
    assert store.tables("invoices_items").name == "invoices_items_"
    items.look({"/in/a": "a"})
    items.record(items.read("a"), {"company": "C", "total": "1"})
    assert len(list(store.rows(store.tables("invoices_items")))) == 1
    assert invoices.version == 1


def test_a_table_that_somebody_else_made_is_left_alone(store, begin):
    store._do("CREATE TABLE receipts (mine TEXT)")
    store._do("CREATE VIEW invoices AS SELECT 1 AS one")

    begin(task="receipts"), begin(task="invoices")
    assert store.tables("receipts").name == "receipts_"
    assert store.tables("invoices").name == "invoices_"
    assert list(store.db["receipts"].columns_dict) == ["mine"]


# Values that SQLite or JSON cannot hold


def test_lone_surrogates_in_answers_are_replaced(store, night):
    night.look({"/in/a": "a"})
    night.record(night.read("a"), {"company": "x\ud800y"}, {})

    assert night.table("company") == [("x\ufffdy",)]


@pytest.mark.parametrize(("node", "value"), [(Number(integer=True), 2**63), (Number(), float("inf"))])
def test_a_number_beyond_what_can_be_kept_is_a_bad_answer(store, begin, node, value):
    night = begin(schema=object_of(n=node))
    night.look({"/in/a": "a"})
    sha = night.read("a")

    with pytest.raises(AnswerError) as caught:
        night.record(sha, {"n": value})
    assert caught.value.hint
    assert night.table() == []
    assert store._one("SELECT count(*) FROM _records") == (0,)


def test_mixed_choices_keep_their_types(store, begin):
    night = begin(schema=object_of(c=Choice(("1", 1, 2.5))))
    night.look({name: name for name in ("/in/a", "/in/b", "/in/c")})
    for name, value in (("/in/a", "1"), ("/in/b", 1), ("/in/c", 2.5)):
        night.record(night.read(name), {"c": value})

    assert night.table("c, typeof(c)") == [("1", "text"), (1, "integer"), (2.5, "real")]

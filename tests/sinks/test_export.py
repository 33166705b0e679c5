"""Exports: every format against the same rows, and nothing that a spreadsheet would run."""

import csv
import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.sinks import export, formats
from pipeline.sinks.csv import defused
from pipeline.store import Store

ODD = 'quo"te, comma\r\nline\ttab\0 ünï 🙂 \u2028 \r end'


def text(store, format, **how):
    out = io.StringIO(newline="")
    count = export(store, "invoices", format, out, **how)
    return count, out.getvalue()


def lines(store, **how):
    return [json.loads(line) for line in text(store, "jsonl", **how)[1].split("\n") if line]


def cells(store, **how):
    return list(csv.DictReader(io.StringIO(text(store, "csv", **how)[1], newline="")))


def test_the_formats_are_the_modules_of_the_room():
    assert formats() == ("csv", "jsonl", "langextract")


@pytest.mark.parametrize("format", formats())
def test_every_format_writes_every_row_and_counts_them(store, save, format):
    for i in range(300):
        save(f"{i:03}", seller=f"S{i}", total="1")

    count, written = text(store, format)
    assert count == 300
    assert all(f"S{i}" in written for i in range(300))


@pytest.mark.parametrize("format", formats())
def test_every_format_can_be_written_from_a_reader_and_twice(store, save, tmp_path, format):
    save("a", seller=ODD, total="1")

    with Store.open(tmp_path / "night.db", write=False) as reader:
        assert text(reader, format) == text(reader, format) == text(store, format)


@pytest.mark.parametrize("format", formats())
def test_a_task_without_rows_is_an_empty_export(store, save, format):
    assert text(store, format)[0] == 0


def test_a_line_of_json_is_a_document_with_its_lists(store, save):
    save("a", seller=ODD, total="12.5", items=[{"name": "x", "price": "1"}, {"name": None}], tags=["t", "u"])

    (line,) = lines(store)
    assert line["seller"] == ODD
    assert (line["file"], line["total"], line["total_text"], line["total_currency"]) == ("/in/a", 12.5, "12.5", "EUR")
    assert line["items"] == [
        {"name": "x", "price": None, "price_text": "1", "price_currency": None},
        {"name": None, "price": None, "price_text": None, "price_currency": None},
    ]
    assert line["tags"] == ["t", "u"]
    assert "evidence" not in line


def test_json_lines_carry_evidence_when_asked(store, save):
    save("a", seller="te")

    assert lines(store, with_evidence=True)[0]["evidence"] == [
        {
            "path": "seller",
            "quote": "te",
            "found": "exact",
            "start_char": 0,
            "end_char": 2,
            "page": 1,
            "occurrences": 1,
            "confidence": 0.5,
            "place": "S!A1",
        }
    ]


def test_langextract_gets_each_value_with_its_place_in_the_text(store, save):
    save("a", seller="te", total="12.5", items=[{"name": "x", "price": "1"}, {"name": None, "price": "2"}])

    (line,) = [json.loads(one) for one in text(store, "langextract")[1].splitlines()]

    assert (line["text"], line["document_id"]) == ("text", "/in/a")
    seller, total, name, *prices = line["extractions"]
    assert seller == {
        "extraction_class": "seller",
        "extraction_text": "te",
        "char_interval": {"start_pos": 0, "end_pos": 2},
        "alignment_status": "match_exact",
        "extraction_index": 1,
        "group_index": 0,
        "description": None,
        "attributes": {"path": "seller", "found": "exact", "page": "1", "place": "S!A1", "confidence": "0.500"},
    }
    assert (total["char_interval"], total["alignment_status"]) == (None, None)
    assert [one["extraction_class"] for one in (name, *prices)] == ["items.name", "items.price", "items.price"]
    assert name["group_index"] == prices[0]["group_index"] != prices[1]["group_index"]


@pytest.mark.parametrize(
    ("value", "quote", "found", "alignment"),
    [
        ("MARSH LANE", "Marsh\n Lane", "folded", "match_exact"),
        ("Marsh-Lane", "Marsh\n Lane", "fuzzy", "match_fuzzy"),
        ("firma", "ﬁrma", "folded", "match_fuzzy"),
        ("Marshland", "Marsh\u00adland", "pointed", "match_fuzzy"),
        ("¥12", "￥１２", "pointed", "match_fuzzy"),
    ],
)
def test_an_alignment_is_exact_where_the_words_are_those_of_the_text_but_for_case_and_white_space(
    value, quote, found, alignment
):
    from pipeline.data import Evidence, Found
    from pipeline.sinks.langextract import _extraction

    said = _extraction(1, "a", value, Evidence("a", quote, Found(found), 0, len(quote)), {})

    assert said["alignment_status"] == alignment


def test_a_generated_value_has_no_place_for_langextract():
    from pipeline.data import Evidence, Found
    from pipeline.sinks.langextract import _extraction

    said = _extraction(1, "kind", "invoice", Evidence("kind", "", Found.GENERATED, confidence=0.5), {})

    assert (said["extraction_text"], said["char_interval"], said["alignment_status"]) == ("invoice", None, None)
    assert said["attributes"] == {"path": "kind", "found": "generated", "confidence": "0.500"}


def test_csv_gives_back_the_table(store, save):
    save("a", seller=ODD, total="12.5")
    save("b", seller=None)

    first, second = cells(store)
    assert (first["seller"], first["total"], first["file"]) == (ODD, "12.5", "/in/a")
    assert (second["seller"], second["total"]) == ("", "")


@pytest.mark.parametrize("table", ["items", "invoices_items"])
def test_csv_of_a_list_names_the_row_it_belongs_to(store, save, table):
    save("a", items=[{"name": "x"}])
    save("b", items=[{"name": "y"}, {"name": "z"}])

    rows = cells(store, table=table)
    assert [(row["parent"], row["position"], row["name"]) for row in rows] == [
        ("1", "0", "x"),
        ("2", "0", "y"),
        ("2", "1", "z"),
    ]


def test_csv_of_the_evidence_is_a_table_of_its_own(store, save):
    save("a", seller="te")

    (row,) = cells(store, table="evidence")
    assert (row["record"], row["path"], row["quote"], row["found"], row["start_char"]) == (
        "1",
        "seller",
        "te",
        "exact",
        "0",
    )


@pytest.mark.parametrize(
    ("format", "how", "words"),
    [
        ("csv", {"with_evidence": True}, "one table"),
        ("jsonl", {"table": "items"}, "whole documents"),
        ("langextract", {"table": "items"}, "whole documents"),
        ("csv", {"table": "nothing"}, "no table 'nothing'"),
        ("html5", {}, "no format"),
    ],
)
def test_what_a_format_cannot_do_is_said_with_a_next_step(store, save, format, how, words):
    with pytest.raises(UserError, match=words) as caught:
        text(store, format, **how)
    assert caught.value.hint


def test_a_task_that_never_ran_is_named_with_those_that_did(store, save):
    with pytest.raises(UserError, match="no task 'receipts'") as caught:
        export(store, "receipts", "csv", io.StringIO())
    assert "invoices" in caught.value.hint


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "-", "+49 30 1234", "=", "-1-1", "+1e"],
)
def test_what_a_spreadsheet_would_run_is_defused(store, save, cell):
    save("a", seller=cell)

    assert cells(store)[0]["seller"] == "'" + cell


@pytest.mark.parametrize("cell", ["-12", "+12.50", "-1.234,56", "1+1", "a=b", "", "'=1", "10 - 2", "mail@host"])
def test_plain_numbers_and_harmless_text_stay_as_they_are(store, save, cell):
    save("a", seller=cell)

    assert cells(store)[0]["seller"] == cell


@given(st.text())
def test_no_cell_begins_a_formula_unless_it_is_a_number(cell):
    written = defused(cell)

    assert written in (cell, "'" + cell)
    if written[:1] in tuple("=+-@\t\r"):
        assert math.isfinite(float(written.replace(",", "").replace(".", "")))


def test_numbers_are_not_touched():
    assert defused(-1.5) == -1.5
    assert defused(None) is None

"""A field of an item points into the column whose header has one of its words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.grammars.places import Places
from pipeline.grammars.terminals import runs_of_lines, stands_beside
from pipeline.schema import Extractive, Text

AMOUNT = Text(type="money", extractive=Extractive("money", near=("amount", "total")))
QUANTITY = Text(type="number", extractive=Extractive("number", near=("qty", "menge")))
NAME = Extractive(unit="line", near=("description", "item", "artikel"))

MARKS = """\
| Item | Qty | Price | Amount | Note |
|---|---:|---:|---:|---|
| Tea, 2 kg | 3 | 2.00 | 6.00 |  |
| Rum | 1 | 9.00 | 9.00 | dark |
| Ale |  | 4.00 | 4.00 | |"""
EXPORT = """\
Item | Unit | Qty | Unit price | Amount
Tea, 2 kg | pc | 3 | 0.021 | 6.00
Rum | pc | 1 | 9.00 | 9.00
Ale | pc |  | 4 | 4.00
 | | | Total | 19.00"""
GAPS = """\
  QTY  ITEM         EACH   AMOUNT
  3    Tea, 2 kg    2.00     6.00
  1    Rum          9.00     9.00
       Ale          4.00     4.00"""
TABS = "Item\tQty\tPrice\tTotal\nTea, 2 kg\t3\t2.00\t6.00\nRum\t1\t9.00\t9.00\nAle\t\t4.00\t4.00"
WORDS = """\
Pos. Artikel Menge Preis Total
1 Tea, 2 kg 3 2,00 6,00
2 Rum 1 9,00 9,00
3 Ale 1 4,00 4,00"""
CELLS = "Description\nQty\nUnit £\nAmount £\nTea, 2 kg\n3\n2.00\n6.00\nRum\n1\n9.00\n9.00\nAle\n1\n4.00\n4.00"


def rows(source: str) -> tuple[Places, list[tuple[int, int]]]:
    places = Places(source)
    [table] = places.tables
    return places, table


@pytest.mark.parametrize(
    ("source", "quantities"),
    [
        (MARKS, [["3"], ["1"], ["4.00", "4.00"]]),
        (EXPORT, [["3"], ["1"], ["4", "4.00"]]),
        (GAPS, [["3"], ["1"], ["4.00"]]),
        (TABS, [["3"], ["1"], ["4.00"]]),
        (WORDS, [["3"], ["1"], ["1"]]),
        (CELLS, [["3"], ["1"], ["1"]]),
    ],
    ids=["marks", "export", "gaps", "tabs", "words", "cells"],
)
def test_values_of_a_row_stand_below_the_words_of_their_fields(source, quantities):
    places, table = rows(source)
    decimal = "," if source == WORDS else "."

    amounts = [places.values_in(AMOUNT, row, 20) for row in table]
    assert amounts == [[f"6{decimal}00"], [f"9{decimal}00"], [f"4{decimal}00"]]
    assert [[*dict.fromkeys(one)] for one in quantities] == [places.values_in(QUANTITY, row, 20) for row in table]


@pytest.mark.parametrize("source", [MARKS, EXPORT, TABS, CELLS], ids=["marks", "export", "tabs", "cells"])
def test_names_of_a_row_are_the_cell_below_the_word_where_header_and_row_have_as_many_cells(source):
    places, table = rows(source)

    said = [[places.text[a:b] for a, b in runs_of_lines(places, NAME, 80, row)] for row in table]
    assert said == [["Tea, 2 kg"], ["Rum"], ["Ale"]]


def test_names_of_a_row_that_shows_no_cells_end_before_its_figures():
    places, table = rows(WORDS)

    said = [[places.text[a:b] for a, b in runs_of_lines(places, NAME, 80, row)] for row in table]
    assert said == [["Tea", "Tea, 2 kg", "kg"], ["Rum"], ["Ale"]]


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("Item Unit price Line sum Amount", ["6.00"]),  # the last part is the last cell
        ("Item Qty Unit price Amount gross", ["2.00", "6.00"]),  # which cell "Amount" heads is not known
        ("Item Qty Each Sum", ["2.00", "6.00"]),
        ("Dear Sirs", ["2.00", "6.00"]),
    ],
)
def test_a_header_that_does_not_say_narrows_nothing(header, values):
    places, table = rows(f"{header}\nTea 3 2.00 6.00\nRum 1 9.00 9.00\nAle 1 4.00 4.00")

    assert places.values_in(AMOUNT, table[0], 20) == values


def test_a_value_is_null_only_where_nothing_stands_in_the_cell_below_its_word():
    places, [tea, rum, ale] = rows(TABS)

    assert [stands_beside(places, QUANTITY, row) for row in (tea, rum, ale)] == [True, True, False]


def test_a_table_below_prose_has_no_header():
    places, table = rows("as agreed\nTea 3 2.00 6.00\nRum 1 9.00 9.00\nAle 1 4.00 4.00")

    assert places.values_in(AMOUNT, table[0], 20) == ["2.00", "6.00"]


CELL = st.sampled_from(
    ["Tea", "2 kg", "3", "6.00", "", "|", " ", "  ", "\t", "\n", "Qty", "Amount", "-", "EUR 4.00", "١"]
)


@given(st.lists(CELL, max_size=30).map("".join))
@settings(max_examples=300, deadline=None)
def test_cells_of_a_row_stand_in_it_one_behind_the_other(source):
    places = Places(source)

    for start, end in (row for table in places.tables for row in table):
        if row := places.row((start, end)):
            edges = [start, *(at for cell in row.cells for at in cell), end]
            assert edges == sorted(edges)

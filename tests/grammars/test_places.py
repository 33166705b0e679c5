"""What stands where in a chunk: typed spans as they were read."""

import pytest

from pipeline.finders import find
from pipeline.grammars.places import Places


def spans(text, value_type):
    places = Places(text)
    return [places.text[start:end] for start, end in places.spans(value_type)]


@pytest.mark.parametrize(
    ("text", "value_type", "value"),
    [
        ("Books 4l.5O EUR", "money", "4l.5O EUR"),
        ("TOTAL 1O.5O", "money", "1O.5O"),
        ("Porto, l2/O3/2O25, paid", "date", "l2/O3/2O25"),
        ("Covers 1O of 2O", "number", "2O"),
    ],
)
def test_a_value_that_ocr_misread_can_be_pointed_at_as_it_was_read(text, value_type, value):
    assert value in spans(text, value_type)


@pytest.mark.parametrize("text", ["4.50|3.20", "Paid 12.50 EUR on 4 May 2025", "2l of oil, 7.10", "Oslo 4"])
@pytest.mark.parametrize("value_type", ["money", "date", "number"])
def test_what_can_be_read_as_it_stands_stays(text, value_type):
    assert {text[span.start : span.end] for span in find(text, value_type)} <= set(spans(text, value_type))


def test_the_bars_of_a_table_are_no_digits():
    assert spans("|4.50|3.20|", "money") == ["4.50", "3.20"]


def test_letters_in_an_address_are_no_slips():
    assert spans("l1O@shop.example", "email") == ["l1O@shop.example"]

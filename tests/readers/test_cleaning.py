import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from pipeline.readers.cleaning import clean


@given(st.text(st.characters()))
def test_cleaning_twice_changes_nothing(text):
    assert clean(clean(text)) == clean(text)


@given(st.text(st.characters()))
def test_what_comes_out_is_normal_and_has_no_controls(text):
    cleaned = clean(text)

    assert unicodedata.is_normalized("NFC", cleaned)
    assert not any(unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t" for c in cleaned)


def test_all_line_ends_are_one():
    assert clean("a\r\nb\rc\nd\u2028e\x0bf\x85g") == "a\nb\nc\nd\ne\nf\ng"


def test_white_space_that_nobody_sees_goes():
    assert clean("a  \n \n\t\n\n\nb\u00a0\n\n") == "a\n\nb"


def test_indentation_and_tabs_stay():
    assert clean("  a\tb") == "  a\tb"


def test_a_letter_and_its_accent_are_one_character():
    assert clean("Cafe\u0301 ½ ²") == "Café ½ ²"


def test_a_heap_of_marks_takes_no_time_and_loses_nothing():
    heap = "a" + "\u0301\u0316" * 200_000 + " e\u0301"

    assert clean(heap) == heap[:-2] + "é"

"""Folding: layout goes, words stay, and every folded character knows where it came from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.schema import as_label, fold, label_pattern

TEXT = st.text(st.one_of(st.characters(), st.sampled_from(" \n-\u00adé\u0301ﬁ\u200bab\r\t가")), max_size=60)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  a \r\n\t b  ", "a b"),
        ("in-\nvoice", "invoice"),
        ("in-  \n  voice", "invoice"),
        ("in-\n\nvoice", "in- voice"),
        ("A-\nB", "A- B"),
        ("1-\n2", "1- 2"),
        ("e\u0301", "é"),
        ("of\ufb01ce", "office"),
        ("so\u00adft\u200b", "soft"),
        ("Ver\u00ad\ntrag", "Vertrag"),
        ("Ver\u00ad \r\n trag", "Vertrag"),
        ("VER\u00ad\nTRAG", "VERTRAG"),
        ("Ver-\u00ad\ntrag", "Vertrag"),
        ("Ver\u00ad\u200b\ntrag", "Vertrag"),
        ("Ver\u00ad\n\ntrag", "Ver trag"),
        ("Ver\u00ad trag", "Ver trag"),
        ("12\u00ad\n34", "12 34"),
        ("a\x00b\x1b", "ab"),
        ("½ m²", "½ m²"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d👧", "👩\u200d👧"),
    ],
)
def test_layout_goes_and_words_stay(text, folded):
    assert fold(text).text == folded


@given(TEXT)
def test_folding_twice_changes_nothing_more(text):
    once = fold(text).text
    assert fold(once).text == once


@given(TEXT)
def test_every_folded_character_comes_from_its_place_in_the_text(text):
    folded = fold(text)
    assert len(folded.text) == len(folded.starts) == len(folded.ends)
    assert list(folded.starts) == sorted(folded.starts)
    for char, start, end in zip(folded.text, folded.starts, folded.ends, strict=True):
        assert 0 <= start < end <= len(text)
        assert char in fold(text[start:end]).text or char == " "


@pytest.mark.parametrize(
    ("line", "label"),
    [
        ("S U M M E   EUR 15,10", "summe   eur 15,10"),
        ("T O T A L  €  500,03", "total€  500,03"),
        ("合\u3000計\u3000\u3000¥1,518", "合計\u3000\u3000¥1,518"),
        ("a b", "a b"),
        ("2 x 3 Brote", "2x3 brote"),
        ("Total à payer", "total à payer"),
        ("", ""),
    ],
)
def test_letters_that_are_printed_apart_make_a_label(line, label):
    assert as_label(line) == label


@pytest.mark.parametrize(
    ("word", "line", "found"),
    [
        ("total", "TOTALE 9,00", True),
        ("Total", "Subtotal 9.00", False),
        ("total", "Sub-total 9.00", True),
        ("total due", "Total  due", True),
        ("ust", "Customer 7", False),
        ("n°", "Facture N° 7", True),
        ("#", "Invoice#7", True),
        ("合計", "税込合計 7", True),
        ("straße", "STRASSE 7", True),
        ("a.b", "axb", False),
    ],
)
def test_a_word_is_found_where_a_word_begins(word, line, found):
    assert bool(label_pattern(word).search(as_label(fold(line).text))) == found

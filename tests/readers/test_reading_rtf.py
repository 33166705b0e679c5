import time

import pytest

from pipeline import readers
from pipeline.errors import ReadError


def text(body, name="a.rtf"):
    content = rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}" + (
        rb"{\f2\fcharset2 Symbol;}{\f3\fcharset128 MS Mincho;}}" + body + b"}"
    )
    return readers.read(content, name).text


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rb"One\par Two\line Three\tab 4", "One\nTwo\nThree\t4"),
        (rb"\pard\sa200 One\par\pard Two\par Three", "One\n\nTwo\nThree"),
        (rb"caf\'e9 \'80 5", "café € 5"),
        (rb"{\f1 \'cf\'f0\'e8} end", "При end"),
        (rb"{\f3 \'93\'fa\'96\'7b}", "日本"),
        (rb"\uc1\u1055?\u1088?", "Пр"),
        (rb"\u-10179?\u-8704?!", "😀!"),
        (rb"{\uc2\u8364\'a2\'e3}5", "€5"),
        (rb"\{a\\b\}\~c\_d\-e", "{a\\b}\xa0c-de"),
        (rb"see {\v secret}n{\deleted old}{\plain ew}", "see new"),
        (rb"\v secret\v0 seen", "seen"),
        (rb"{\*\unknown gone}{\info{\title gone}}{\pict 00ff}here", "here"),
        (rb"a{\pict\bin5 }{}\}b}c", "ac"),
        (rb'{\field{\*\fldinst HYPERLINK "x"}{\fldrslt a link}}', "a link"),
        (rb"{\listtext\f2 \'b7\tab}one\par{\listtext 2.\tab}two", "- one\n2. two"),
        (rb"{\shp{\*\shpinst{\sp{\sn x}{\sv 1}}{\shptxt Box}}{\shprslt Box}}Line\par", "Line\nBox"),
        (rb"Total{\super\chftn{\footnote\chftn without tax}}\par Next", "Total[1]\n[1] without tax\nNext"),
        (rb"a{\*\atnauthor Ana}{\*\annotation check}\par", "a\n[Comment by Ana: check]"),
        (rb"{\header ACME\par}{\headerf ACME\par}{\footer page}Body\par", "ACME\n\nBody\n\npage"),
    ],
)
def test_what_is_read_of(body, expected):
    assert text(body) == expected


def test_a_table_is_rows_of_cells():
    body = (
        rb"Bill\par\trowd\pard\intbl Item\cell Price\cell\row\trowd\pard\intbl Tea\par green\cell 3.50\cell\row"
        rb"\pard Thanks"
    )

    assert text(body) == "Bill\nItem | Price\nTea green | 3.50\nThanks"


def test_what_stands_in_a_row_behind_its_last_cell_is_a_cell():
    assert (
        text(rb"\trowd\pard\intbl A\cell B\row\trowd\intbl C\cell {\b D}\par E\row\pard End") == "A | B\nC | D E\nEnd"
    )


def test_what_follows_the_document_is_no_part_of_it():
    assert readers.read(b"{\\rtf1 a}{b}c" + bytes(9), "a.rtf").text == "a"


def test_a_document_that_was_cut_is_read_to_its_end():
    assert text(rb"One\par {\b Two") == "One\nTwo"


@pytest.mark.parametrize(
    "body",
    [
        b"{" * 50_000,
        b"}" * 50_000,
        rb"\u1?" * 20_000,
        b"{\\footnote " * 10_000,
        rb"\cell" * 20_000,
        b"\\'" * 50_000,
    ],
)
def test_hostile_documents_end_in_linear_time(body):
    started = time.process_time()
    try:
        text(body)
    except ReadError as error:
        assert error.code == "no_text"  # noqa: PT017 - it may also be read
    assert time.process_time() - started < 10


def test_binary_data_that_claims_to_go_on_forever_ends():
    assert text(rb"a\bin999999999 b") == "a"

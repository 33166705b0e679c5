"""Places: what a person calls a stretch of a document's text, whatever cleaning does to it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import readers
from pipeline.readers import PageText, _join
from pipeline.readers.cleaning import clean
from pipeline.readers.sheets import Sheets, cells_of_row

LINES = st.lists(st.tuples(st.text("ae\u0301 \t\x00\u0301|é", max_size=6), st.integers(0, 3)), max_size=12)


def stretches(document):
    return [(place.label, document.text[place.start : place.end]) for place in document.places]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LINES, min_size=1, max_size=3))
def test_a_place_holds_its_own_lines_cleaned_and_nothing_else(pages):
    given_pages, wanted = [], []
    for lines in pages:
        text, places = "", []
        for number, (line, label) in enumerate(lines):
            if label:
                places.append((len(text), f"{number}"))
            text += line + "\n"
        given_pages.append(PageText(text, places=tuple(places)))
        ends = [*[start for start, _ in places[1:]], len(text)] if places else []
        pieces = [(label, clean(text[start:end])) for (start, label), end in zip(places, ends, strict=True)]
        wanted.extend((label, piece) for label, piece in pieces if piece)

    text, _, places = _join(tuple(given_pages))

    assert [(place.label, text[place.start : place.end]) for place in places] == wanted


def test_a_value_in_a_workbook_stands_in_its_cells(make_xlsx):
    row = '<row r="5"><c r="B5"><v>7</v></c><c r="D5"><v>8</v></c></row><row r="9"><c r="AB9"><v>9</v></c></row>'
    document = readers.read(make_xlsx(("My costs", row, "")), "a.xlsx")

    assert stretches(document) == [
        ("sheet My costs", "My costs"),
        ("'My costs'!B5:D5", "7 | 8"),
        ("'My costs'!AB9", " |  | 9"),
    ]


def test_a_row_of_a_csv_file_is_counted_as_spreadsheets_do():
    document = readers.read(b'name;price\n\ntea;"2,50\n(green)"\n;3\n', "a.csv")

    assert stretches(document) == [("A1:B1", "name | price"), ("A3:B3", "tea | 2,50 (green)"), ("B4", " | 3")]


def test_a_sheet_without_a_name_has_places_too():
    sheets = Sheets("a.xlsx")
    sheets.put(1, 1, "x", rows=2, columns=2)

    assert sheets.page("", ["[Comment]"]).places == ((0, "A1:B1"), (6, "A2:B2"), (12, ""))


@pytest.mark.parametrize(
    ("arguments", "label"),
    [
        ((1, 1, 1), "A1"),
        ((3, 26, 27), "Z3:AA3"),
        ((2, 703, 703, "Café_1"), "Café_1!AAA2"),
        ((1, 1, 1, "A'b"), "'A''b'!A1"),
    ],
)
def test_cells_are_named_as_spreadsheets_name_them(arguments, label):
    assert cells_of_row(*arguments) == label


@pytest.mark.parametrize(("suffix", "label"), [(".pdf", "page 2"), (".epub", "chapter 2")])
def test_the_second_page_says_that_it_is_the_second(suffix, label, valid_files):
    document = readers.read(valid_files[suffix], f"a{suffix}")

    assert document.places[1].label == label
    assert document.places[1].start == document.pages[1].start


@pytest.mark.parametrize("suffix", [".pptx", ".odp"])
def test_a_slide_says_which_it_is(suffix, valid_files):
    assert readers.read(valid_files[suffix], f"a{suffix}").places[0].label == "slide 1"


def mail(body, kind="text/plain"):
    head = f"From: ana@example.com\nSubject: Roof\nContent-Type: {kind}; charset=utf-8\n\n"
    return readers.read((head + body).encode(), "a.eml")


def test_the_parts_of_a_mail_are_places():
    document = mail("Yes.\n\nOn Mon, 3 Mar 2025, Rui wrote:\n\n> Is it 40 EUR?\n> Rui\n\nBest, Ana\n")

    assert stretches(document) == [
        ("header", "From: ana@example.com\nSubject: Roof"),
        ("body", "Yes."),
        ("quoted", "On Mon, 3 Mar 2025, Rui wrote:\n\n> Is it 40 EUR?\n> Rui"),
        ("body", "Best, Ana"),
    ]


@pytest.mark.parametrize(
    "mark",
    [
        "-----Original Message-----\nFrom: Rui",
        "----- Mensagem original -----\nDe: Rui",
        "Von: Rui\nGesendet: Montag\nAn: Ana",
        "De : Rui\nEnvoyé : lundi",
        "*From:* Rui\n*Sent:* Monday",
        "От: Rui\nОтправлено: понедельник",
    ],
)
def test_all_below_the_mark_of_a_forwarded_mail_is_quoted(mark):
    assert stretches(mail(f"See below.\n\n{mark}\n\nIs it 40 EUR?\n"))[1:] == [
        ("body", "See below."),
        ("quoted", f"{mark}\n\nIs it 40 EUR?"),
    ]


def test_a_letter_that_names_a_sender_quotes_nothing():
    document = mail("From: here on all is ours.\n\nDear Rui,\nyes.\n")

    assert [place.label for place in document.places] == ["header", "body"]


def test_what_a_mail_in_html_quotes_is_marked():
    document = mail(
        "<p>Yes.</p><div>Rui wrote:</div><blockquote><p>40?</p><blockquote>30?</blockquote></blockquote>", "text/html"
    )

    assert stretches(document)[1:] == [("body", "Yes."), ("quoted", "Rui wrote:\n\n> 40?\n\n> > 30?")]


def test_an_html_page_that_is_no_mail_quotes_without_marks():
    assert readers.read(b"<html><body><blockquote>To be</blockquote></body></html>", "a.html").text == "To be"

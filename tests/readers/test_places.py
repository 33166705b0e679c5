"""Places: what a person calls a stretch of a document's text, whatever cleaning does to it."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import readers
from pipeline.readers import PageText, _join
from pipeline.readers.cleaning import clean
from pipeline.readers.sheets import Sheets, cells_of_row

FILES = Path(__file__).parent / "files"
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


WORD = (
    '<w:p><w:pPr><w:pStyle w:val="H"/></w:pPr><w:r><w:t>{0}</w:t></w:r></w:p>',
    "<w:p><w:r><w:t>{0}</w:t></w:r></w:p>",
    "<w:tbl>{0}</w:tbl>",
    "<w:tr>{0}</w:tr>",
    "<w:tc><w:p><w:r><w:t>{0}</w:t></w:r></w:p></w:tc>",
)
OPEN = (
    '<text:h text:outline-level="1">{0}</text:h>',
    "<text:p>{0}</text:p>",
    "<table:table>{0}</table:table>",
    "<table:table-row>{0}</table:table-row>",
    "<table:table-cell><text:p>{0}</text:p></table:table-cell>",
)
PAGE = ("<h2>{0}</h2>", "<p>{0}</p>", "<table>{0}</table>", "<tr>{0}</tr>", "<td>{0}</td>")
RICH = (r"\pard\outlinelevel0 {0}\par ", r"\pard {0}\par ", "{0}", r"\trowd {0}\row ", r"\pard\intbl {0}\cell ")


def letter(heading, paragraph, table, row, cell):
    """The same letter, in the words of a format."""
    rows = "".join(row.format("".join(map(cell.format, cells))) for cells in (("Room", "Rent"), ("4", "450 EUR")))
    return "".join(
        [
            paragraph.format("Dear Ana,"),
            paragraph.format(""),
            paragraph.format("this is the contract."),
            heading.format("1 Payment"),
            paragraph.format("Due on the 1st."),
            table.format(rows),
            paragraph.format("By transfer."),
            heading.format("2 " + "Long " * 20),
            paragraph.format("The end."),
        ]
    )


LETTER = [
    ("paragraph 1", "Dear Ana,"),
    ("paragraph 2", "this is the contract."),
    ("1 Payment", "1 Payment"),
    ("1 Payment, paragraph 1", "Due on the 1st."),
    ("1 Payment, table 1, row 1", "Room | Rent"),
    ("1 Payment, table 1, row 2", "4 | 450 EUR"),
    ("1 Payment, paragraph 2", "By transfer."),
    (("2 " + "Long " * 20)[:59] + "…", ("2 " + "Long " * 20).strip()),
    (("2 " + "Long " * 20)[:59] + "…, paragraph 1", "The end."),
]


def test_paragraphs_and_rows_are_counted_below_their_heading(make_docx):
    style = '<w:style w:type="paragraph" w:styleId="H"><w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style>'
    flat = (FILES / "changes.fodt").read_text()
    odt = flat[: flat.index("<text:tracked")] + letter(*OPEN) + flat[flat.index("</office:text>") :]

    assert stretches(readers.read(make_docx(letter(*WORD), styles=style), "a.docx")) == LETTER
    assert stretches(readers.read(odt.encode(), "a.fodt")) == LETTER
    assert stretches(readers.read(letter(*PAGE).encode(), "a.html")) == LETTER
    assert stretches(readers.read(b"{\\rtf1 " + letter(*RICH).encode() + b"}", "a.rtf")) == LETTER


def test_headers_notes_and_footers_have_places(make_docx):
    section = (
        '<w:sectPr><w:headerReference w:type="default" r:id="rId1"/><w:footerReference w:type="default" r:id="rId2"/>'
        "</w:sectPr>"
    )
    body = '<w:p><w:r><w:t>Total</w:t><w:footnoteReference w:id="2"/></w:r></w:p>' + WORD[1].format("Next")
    note = f'<w:footnote w:id="2">{WORD[1].format("without tax")}</w:footnote>'
    content = make_docx(
        body + section, header1=WORD[1].format("ACME"), footer2=WORD[1].format("Secret"), footnotes=note
    )

    assert stretches(readers.read(content, "a.docx")) == [
        ("page header", "ACME"),
        ("paragraph 1", "Total[1]\n[1] without tax"),
        ("paragraph 2", "Next"),
        ("page footer", "Secret"),
    ]


def test_a_line_of_a_text_is_counted_as_editors_do():
    document = readers.read(b"# Minutes\r\n\r\n\r\nAna writes\fRui reads\r\nEnd\r\n", "a.md")

    assert stretches(document) == [
        ("line 1", "# Minutes"),
        ("line 4", "Ana writes"),
        ("line 4", "Rui reads"),
        ("line 5", "End"),
    ]


def test_a_very_long_text_has_a_place_for_each_hundred_lines():
    document = readers.read(b"a line\n" * 100_001, "a.log")

    assert len(document.places) == 1001
    assert document.places[-1].label == "lines 100001 to 100100"


def test_the_title_that_a_page_does_not_repeat_is_a_place():
    content = b"<html><head><title>Bill</title></head><body><h1>Rent</h1><table><tr><td>a<td>b</table></body></html>"

    assert stretches(readers.read(content, "a.html")) == [
        ("title", "Bill"),
        ("Rent", "Rent"),
        ("Rent, table 1, row 1", "a | b"),
    ]

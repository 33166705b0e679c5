import struct

import pytest

from pipeline import readers
from pipeline.errors import ReadError
from pipeline.readers.number_formats import general, shown


def row(number, *cells):
    return f'<row r="{number}">{"".join(cells)}</row>'


def c(place, value, style=0, kind=""):
    return f'<c r="{place}" s="{style}" {kind and f"t={kind!r}"}><v>{value}</v></c>'


def pages(content, name="a.xlsx"):
    document = readers.read(content, name)
    return [document.text[page.start : page.end] for page in document.pages]


def refused(content, name="a.xlsx"):
    with pytest.raises(ReadError) as caught:
        readers.read(content, name)
    return caught.value


def test_each_visible_sheet_is_a_page_under_its_name(make_xlsx):
    content = make_xlsx(
        ("Costs", row(1, c("A1", 1)), ""),
        ("Lists", row(1, c("A1", 2)), 'state="hidden"'),
        ("More", row(1, c("A1", 3)), ""),
    )

    assert pages(content) == ["Costs\n\n1", "More\n\n3"]


def test_hidden_sheets_are_read_where_there_is_no_other(make_xlsx):
    assert pages(make_xlsx(("S", row(1, c("A1", 1)), 'state="veryHidden"'))) == ["S\n\n1"]


def test_values_stand_as_they_are_shown(make_xlsx):
    formats = ("General", "yyyy-mm-dd", "#,##0.00 &quot;€&quot;", "0.0%", "[h]:mm")
    cells = (c("A1", 7), c("B1", 45724, 1), c("C1", 1240.5, 2), c("D1", 0.125, 3), c("E1", 1.5, 4))

    assert pages(make_xlsx(("S", row(1, *cells), ""), formats=formats)) == [
        "S\n\n7 | 2025-03-08 | 1,240.50 € | 12.5% | 36:00"
    ]


def test_strings_booleans_errors_and_saved_results_of_formulas_are_read(make_xlsx):
    cells = (
        c("A1", 1, kind="s"),
        c("B1", 1, kind="b"),
        c("C1", "#DIV/0!", kind="e"),
        '<c r="D1" t="str"><f>"a"&amp;"b"</f><v>ab</v></c>',
        '<c r="E1"><f>1+1</f><v>2</v></c>',
        '<c r="F1"><f>NOW()</f></c>',
    )

    assert pages(make_xlsx(("S", row(1, *cells), ""), strings=("no", "tea\ncup"))) == [
        "S\n\ntea cup | TRUE | #DIV/0! | ab | 2"
    ]


def test_dates_of_the_1904_system_are_right(make_xlsx):
    content = make_xlsx(("S", row(1, c("A1", 44262)), ""), formats=("yyyy-mm-dd",), book='<workbookPr date1904="1"/>')

    assert pages(content) == ["S\n\n2025-03-08"]


def test_empty_stretches_are_left_out_and_columns_stay_columns(make_xlsx):
    data = row(3, c("C3", 1), c("F3", 2)) + row(4, c("F4", 3)) + row(900, c("C900", 4))

    assert pages(make_xlsx(("S", data, ""))) == ["S\n\n1 | 2\n | 3\n\n4"]


def test_a_merged_cell_stands_once_whatever_lies_below_it(make_xlsx):
    cells = row(1, c("A1", 1), c("B1", 2), c("C1", 3)) + row(2, c("A2", 4), c("B2", 5)) + row(3, c("C3", 6))
    merged = '<mergeCells><mergeCell ref="A1:B2"/><mergeCell ref="C3:C1048576"/><mergeCell ref="odd"/></mergeCells>'
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f"<sheetData>{cells}</sheetData>{merged}</worksheet>"
    )
    document = readers.read(make_xlsx(("S", "", ""), parts={"xl/sheet1.xml": sheet}), "a.xlsx")

    assert document.text == "S\n\n1 | 3\n\n | 6"
    assert [place.label for place in document.places] == ["sheet S", "S!A1:C1", "S!C3"]


def test_an_embedded_document_is_an_attachment(make_xlsx, make_docx):
    inner = make_docx("<w:p><w:r><w:t>Terms</w:t></w:r></w:p>")
    relation = 'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/package"'
    relations = f'<Relationships><Relationship Id="rId1" {relation} Target="embeddings/terms.docx"/></Relationships>'
    parts = {"xl/_rels/sheet1.xml.rels": relations, "xl/embeddings/terms.docx": inner}

    [attachment] = readers.read(make_xlsx(("S", row(1, c("A1", 1)), ""), parts=parts), "a.xlsx").attachments

    assert (attachment.name, attachment.content) == ("terms.docx", inner)


def test_cells_without_places_follow_one_another(make_xlsx):
    data = "<row><c><v>1</v></c><c><v>2</v></c></row><row><c><v>3</v></c></row>"

    assert pages(make_xlsx(("S", data, ""))) == ["S\n\n1 | 2\n3"]


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        ("<row>{}</row><row>{}</row><row>{}</row>", ["S!A1", "S!A2:B2", "S!A3:B3"]),
        ('<row r="7">{}</row><row>{}</row><row r="9">{}</row>', ["S!A7", "S!A8:B8", "S!A9:B9"]),
        ('<row r="0">{}</row><row r="x">{}</row><row>{}</row>', ["S!A1", "S!A2:B2", "S!A3:B3"]),
    ],
)
def test_cells_without_places_stand_in_the_row_that_holds_them(make_xlsx, rows, labels):
    cell = '<c t="str"><v>{}</v></c>'.format
    data = rows.format(cell("Title"), cell("Company") + cell("Acme"), cell("Total") + cell("99"))
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f'<sheetData>{data}</sheetData><mergeCells><mergeCell ref="A1:B1"/></mergeCells></worksheet>'
    )
    document = readers.read(make_xlsx(("S", "", ""), parts={"xl/sheet1.xml": sheet}), "a.xlsx")

    assert document.text == "S\n\nTitle\nCompany | Acme\nTotal | 99"
    assert [place.label for place in document.places] == ["sheet S", *labels]


def test_a_workbook_without_values_has_no_text(make_xlsx):
    assert refused(make_xlsx(("S", "", ""))).code == "no_text"


def test_a_string_that_stands_in_thousands_of_cells_is_bounded(make_xlsx):
    data = row(1, *[c("A1", 0, kind="s")] * 3000)

    assert refused(make_xlsx(("S", data, ""), strings=("x" * 30_000,))).code == "limits"


def test_entities_in_a_sheet_are_refused(make_xlsx):
    bomb = '<!DOCTYPE x [<!ENTITY a "1">]><worksheet><sheetData><row><c><v>&a;</v></c></row></sheetData></worksheet>'

    assert refused(make_xlsx(("S", "", ""), parts={"xl/sheet1.xml": bomb})).code in {"limits", "broken"}


@pytest.mark.parametrize("index", ["-1", "99", "x", "", "1e9", "٣"])
def test_a_string_that_is_not_there_is_empty(make_xlsx, index):
    data = row(1, c("A1", index, kind="s"), c("B1", 1, style=index or 0))

    assert pages(make_xlsx(("S", data, ""), strings=("a",))) == ["S\n\n1"]


def test_an_old_workbook_is_read_the_same_way(valid_files):
    assert pages(valid_files[".xls"], "a.xls") == [
        "Costs\n\nItem | Day | Price\nCafé | 08.03.2025 | 1,240.50 €\n\n |  | TRUE\n |  | 12.5%"
    ]


def record(kind, content=b""):
    return struct.pack("<HH", kind, len(content)) + content


def test_a_merged_cell_of_an_old_workbook_stands_once():
    start = record(0x0809, struct.pack("<HHHHII", 0x0600, 5, 0, 0, 0, 0)) + record(0x00E0, bytes(20))
    sheet = struct.pack("<IBB", len(start) + 17, 0, 0) + b"\x01\x00S"  # where it begins: behind this and the end
    cells = b"".join(record(0x0203, struct.pack("<HHHd", 0, n, 0, n + 1)) for n in range(3))
    merged = record(0x00E5, struct.pack("<5H", 1, 0, 0, 0, 1))
    content = start + record(0x0085, sheet) + record(0x000A)
    content += record(0x0809, struct.pack("<HHHHII", 0x0600, 0x10, 0, 0, 0, 0)) + cells + merged + record(0x000A)

    assert pages(content, "a.xls") == ["S\n\n1 | 3"]


def test_without_xlrd_the_cure_is_named(valid_files, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xlrd", None)

    error = refused(valid_files[".xls"], "a.xls")

    assert error.code == "missing_extra"
    assert "pip install 'nightdesk[office]'" in error.hint


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (1240, '#,##0.00 "€"', "1,240.00 €"),
        (1240.5, "[$€-407] #,##0.00", "€ 1,240.50"),
        (0.125, "0%", "13%"),
        (-5, "#,##0;(#,##0)", "(5)"),
        (-5, "0.0", "-5.0"),
        (-0.001, "0.00", "0.00"),
        (-3, "0.00_);[Red](0.00)", "(3.00)"),
        (0, '0;-0;"zero"', "zero"),
        (12, ";;;", ""),
        (1234567, '#,##0,"k"', "1,235k"),
        (1234567, '0.0,,"M"', "1.2M"),
        (123456789, "000-00-0000", "123-45-6789"),
        (5, "00000", "00005"),
        (2.345, "0.00", "2.35"),
        (1234567.891, "#,##0.0#", "1,234,567.89"),
        (0.5, ".00", ".50"),
        (2.5, "0.##", "2.5"),
        (2, "0.##", "2"),
        (12345.678, "0.00E+00", "1.23E+04"),
        (1.75, "# ?/?", "1 3/4"),
        (0.75, "# ?/4", "3/4"),
        (1, '[>100]"big";"small"', "small"),
        (200, '[>100]"big";"small"', "big"),
        (7, 'General" pcs"', "7 pcs"),
        (1e20, "0", "100000000000000000000"),
        (45724.75, "d/m/yyyy h:mm AM/PM", "8/3/2025 6:00 PM"),
        (45724, "mmmm d, yyyy", "March 8, 2025"),
        (45724, "ddd dd mmm yy", "Sat 08 Mar 25"),
        (45724, "[$-F800]dddd, mmmm dd, yyyy", "2025-03-08"),
        (1.5, "[h]:mm", "36:00"),
        (0.0006, "mm:ss.0", "00:51.8"),
        (59, "d/m/yyyy", "28/2/1900"),
        (1, "d/m/yyyy", "1/1/1900"),
        (9e9, "d/m/yyyy", "9000000000"),
        (float("inf"), "0.00", "inf"),
    ],
)
def test_a_number_is_shown_as_its_format_says(value, code, text):
    assert shown(value, code) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.1 + 0.2, "0.3"), (7.0, "7"), (1e20, "1E+20"), (0.0000123, "0.0000123"), (-2.5, "-2.5")]
)
def test_a_number_without_a_format_has_fifteen_digits(value, text):
    assert general(value) == text

import io
import logging

import pypdf
import pytest
from pypdf.generic import ArrayObject, BooleanObject, DictionaryObject, NameObject, NumberObject, TextStringObject

from pipeline import readers
from pipeline.errors import ReadError
from pipeline.readers import ReadOptions, pdf


def name_object(**entries):
    return DictionaryObject({NameObject(f"/{key}"): value for key, value in entries.items()})


def composite(encoding):
    descendant = name_object(
        Type=NameObject("/Font"), Subtype=NameObject("/CIDFontType2"), BaseFont=NameObject("/Hidden")
    )
    return name_object(
        Type=NameObject("/Font"),
        Subtype=NameObject("/Type0"),
        BaseFont=NameObject("/Hidden"),
        Encoding=NameObject(encoding),
        DescendantFonts=ArrayObject([descendant]),
    )


def show(content):
    return b"BT /F1 12 Tf 72 700 Td " + content + b" Tj ET"


NO_PASSWORD = ReadOptions()


def refused(content, options=NO_PASSWORD):
    with pytest.raises(ReadError) as caught:
        readers.read(content, "file.pdf", options)
    return caught.value


def test_text_stands_page_by_page(make_pdf):
    document = readers.read(make_pdf("Invoice 12\nTotal 30,00", "Second page"), "a.pdf")

    assert [document.text[page.start : page.end] for page in document.pages] == [
        "Invoice 12\nTotal 30,00",
        "Second page",
    ]


def test_columns_that_are_drawn_one_after_the_other_are_read_so(make_pdf):
    columns = b"BT /F1 9 Tf 12 TL 72 760 Td (left one) Tj T* (left two) Tj ET " + (
        b"BT /F1 9 Tf 12 TL 320 760 Td (right one) Tj T* (right two) Tj ET"
    )

    assert readers.read(make_pdf(columns), "a.pdf").text == "left one\nleft two\nright one\nright two"


def test_a_table_that_is_drawn_row_by_row_is_read_so(make_pdf):
    rows = b"".join(
        b"BT /F1 9 Tf 72 %d Td (%s) Tj 200 0 Td (%s) Tj 100 0 Td (%s) Tj ET " % row
        for row in ((760, b"Tea", b"2", b"3.50"), (740, b"Jam", b"1", b"4.20"))
    )

    assert readers.read(make_pdf(rows), "a.pdf").text == "Tea 2 3.50\nJam 1 4.20"


def test_a_page_without_text_is_noted_and_keeps_its_number(make_pdf):
    document = readers.read(make_pdf("One", b"0 0 100 100 re f", "Three"), "a.pdf")

    assert [page.note for page in document.pages] == ["", "no text layer", ""]
    assert document.text == "One\n\f\n\fThree"


def test_a_bad_page_costs_that_page_only(make_pdf):
    content = make_pdf("One", b"BT ET % bad page", "Three")
    marker = content.index(b"BT ET % bad page")
    start = content.rindex(b"/Length", 0, marker)
    bad = content[:start] + b"/Filter/None" + content[start + 12 :]
    assert len(bad) == len(content)

    document = readers.read(bad, "a.pdf")

    assert [page.note for page in document.pages] == ["", "unreadable", ""]


def test_no_text_at_all_says_so(make_pdf):
    error = refused(make_pdf(b"", b""))

    assert error.code == "no_text"
    assert "OCR" in error.hint


@pytest.mark.parametrize(
    "content",
    [
        rb"(\(cid:12\)\(cid:7\)\(cid:99\))",
        rb"(\001\002\003\004\005 ab)",
        rb"(/g12/g7/g33/g8/g41)",
    ],
    ids=["cid codes", "control characters", "names of glyphs"],
)
def test_a_garbage_text_layer_is_noted_and_not_kept(make_pdf, content):
    document = readers.read(make_pdf("Fine", show(content)), "a.pdf")

    assert [page.note for page in document.pages] == ["", "garbage text layer"]
    assert document.text == "Fine\n\f"


def test_glyph_numbers_without_a_map_are_garbage(make_pdf):
    error = refused(make_pdf(show(b"<0024002500260027>"), font=composite("/Identity-H")))

    assert error.code == "no_text"
    assert "garbage" in error.message


def test_codes_that_are_characters_need_no_map(make_pdf):
    content = b"<" + "发票号码".encode("utf-16-be").hex().encode() + b">"

    assert readers.read(make_pdf(show(content), font=composite("/UniGB-UCS2-H")), "a.pdf").text == "发票号码"


def test_glyphs_of_private_use_are_garbage_where_they_are_many(make_pdf):
    differences = ArrayObject([NumberObject(65), *(NameObject(f"/uniE{code:03X}") for code in range(26))])
    font = name_object(
        Type=NameObject("/Font"),
        Subtype=NameObject("/Type1"),
        BaseFont=NameObject("/Symbols"),
        Encoding=name_object(
            Type=NameObject("/Encoding"), BaseEncoding=NameObject("/WinAnsiEncoding"), Differences=differences
        ),
    )

    few = readers.read(make_pdf("A one two three", font=font), "a.pdf")

    assert few.text.endswith("one two three")
    assert refused(make_pdf("TOTAL", font=font)).code == "no_text"


def test_an_empty_user_password_opens(make_pdf):
    assert readers.read(make_pdf("Open", password="", owner="secret"), "a.pdf").text == "Open"


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-128", "AES-256"])
def test_an_encrypted_pdf_needs_its_password(make_pdf, algorithm):
    locked = make_pdf("Secret", password="pä55", algorithm=algorithm)

    error = refused(locked)

    assert error.code == "encrypted"
    assert "--password" in error.hint
    assert "none of the passwords" in refused(locked, ReadOptions(passwords=("wrong",))).message
    assert readers.read(locked, "a.pdf", ReadOptions(passwords=("wrong", "pä55"))).text == "Secret"


def test_a_pdf_that_is_cut_is_broken(make_pdf):
    assert refused(make_pdf("One")[:60]).code == "broken"


def test_a_page_tree_that_holds_itself_ends(make_pdf):
    content = make_pdf("One")
    kids = content.index(b"/Kids")
    first = content.index(b"[", kids)
    tree = content.rindex(b" 0 obj", 0, kids)
    number = content[content.rindex(b"\n", 0, tree) + 1 : tree]
    last = content.index(b"]", first)
    looped = content[:first] + (b"[ " + number + b" 0 R").ljust(last - first) + content[last:]
    assert len(looped) == len(content)

    assert refused(looped).code == "broken"


def test_what_pypdf_says_is_neither_printed_nor_logged(make_pdf, capfd, caplog):
    with caplog.at_level(logging.DEBUG):
        content = make_pdf("One")
        table = content.rindex(b"startxref\n")
        repaired = content[:table] + b"startxref\n12\n%%EOF\n"
        assert readers.read(repaired, "a.pdf").text == "One"
        refused(content[:200])

    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_a_thousand_pages_are_read(make_pdf):
    document = readers.read(make_pdf(*(f"Page {number}" for number in range(1, 1001))), "a.pdf")

    assert len(document.pages) == 1000
    last = document.pages[-1]
    assert document.text[last.start : last.end] == "Page 1000"


def with_annotations(content, *annotations, files=None):
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(content))
    for name, data in (files or {}).items():
        writer.add_attachment(name, data)
    found = ArrayObject([writer._add_object(one) for one in annotations])
    writer.pages[0][NameObject("/Annots")] = found
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def widget(name, value, kind="Tx", **more):
    return name_object(
        Subtype=NameObject("/Widget"), T=TextStringObject(name), FT=NameObject(f"/{kind}"), V=value, **more
    )


def test_what_was_filled_into_a_form_stands_behind_its_page(make_pdf):
    parent = name_object(T=TextStringObject("Sum[0]"), V=TextStringObject("12.50"))
    content = with_annotations(
        make_pdf("Form", "Two"),
        widget("Name", TextStringObject("Ana\rSilva")),
        widget("x1", TextStringObject("3"), TU=TextStringObject("Count")),
        widget("Paid", NameObject("/Yes"), "Btn"),
        widget("Unpaid", NameObject("/Off"), "Btn"),
        widget("Colours", ArrayObject([TextStringObject("red"), TextStringObject("blue")]), "Ch"),
        name_object(Subtype=NameObject("/Widget"), Parent=parent),
    )

    assert readers.read(content, "a.pdf").text == (
        "Form\n\nName: Ana Silva\nCount: 3\nPaid: yes\nColours: red, blue\nSum: 12.50\n\fTwo"
    )


def test_notes_on_a_page_stand_behind_it(make_pdf):
    content = with_annotations(
        make_pdf("Page"),
        name_object(Subtype=NameObject("/Text"), Contents=TextStringObject("check\nthis")),
        name_object(Subtype=NameObject("/FreeText"), Contents=TextStringObject("typed")),
        name_object(Subtype=NameObject("/Link"), Contents=TextStringObject("no")),
    )

    assert readers.read(content, "a.pdf").text == "Page\n\n[Comment: check this]\ntyped"


def test_embedded_files_are_attachments_without_folders(make_pdf):
    content = with_annotations(make_pdf("Invoice"), files={"../x/factur-x.xml": b"<a/>", "b.csv": b"a;b"})

    found = readers.read(content, "a.pdf").attachments
    assert sorted((one.name, one.content) for one in found) == [("b.csv", b"a;b"), ("factur-x.xml", b"<a/>")]


def test_an_embedded_file_that_cannot_be_decoded_is_empty_and_costs_no_other(make_pdf):
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(make_pdf("Invoice")))
    files = [writer.add_attachment(f"{letter}.csv", b"x;y") for letter in "abcd"]
    files[0].pdf_object["/EF"]["/F"].get_object()[NameObject("/Filter")] = NameObject("/NoSuchDecode")
    del files[1].pdf_object["/EF"]  # it lies outside
    files[2].pdf_object["/EF"][NameObject("/F")] = TextStringObject("no stream")
    out = io.BytesIO()
    writer.write(out)

    found = readers.read(out.getvalue(), "a.pdf").attachments

    assert [(one.name, one.content) for one in found] == [("a.csv", b""), ("c.csv", b""), ("d.csv", b"x;y")]


def test_a_scan_with_embedded_files_is_read_for_them(make_pdf):
    document = readers.read(with_annotations(make_pdf(b""), files={"a.txt": b"x"}), "a.pdf")

    assert [page.note for page in document.pages] == ["no text layer"]
    assert [one.name for one in document.attachments] == ["a.txt"]


def test_too_many_embedded_files_are_refused(make_pdf, monkeypatch):
    monkeypatch.setattr(pdf, "_MOST_EMBEDDED", 2)

    assert refused(with_annotations(make_pdf("x"), files={f"{n}.txt": b"x" for n in range(3)})).code == "limits"


def test_more_pages_than_a_file_may_have_are_refused_before_they_are_read(make_pdf, monkeypatch):
    monkeypatch.setattr(readers, "MOST_PAGES", 3)
    assert len(readers.read(make_pdf("a", "b", "c"), "a.pdf").pages) == 3
    monkeypatch.setattr(pdf, "_page", None)

    error = refused(make_pdf("a", "b", "c", "d"))

    assert (error.code, error.message) == ("limits", "file.pdf has 4 pages; 3 are the most")
    assert error.hint.startswith("Split it")


def test_a_form_that_is_its_own_parent_ends(make_pdf):
    field = name_object(Subtype=NameObject("/Widget"))
    field[NameObject("/Parent")] = name_object(Kid=NumberObject(1))
    content = with_annotations(make_pdf("Form"), field)

    assert readers.read(content, "a.pdf").text == "Form"


def test_a_form_that_only_adobe_draws_is_no_page_that_says_please_wait(make_pdf):
    def form(*, dynamic):
        writer = pypdf.PdfWriter(clone_from=io.BytesIO(make_pdf("Please wait...")))
        writer.root_object[NameObject("/AcroForm")] = name_object(XFA=ArrayObject())
        writer.root_object[NameObject("/NeedsRendering")] = BooleanObject(dynamic)
        out = io.BytesIO()
        writer.write(out)
        return out.getvalue()

    error = refused(form(dynamic=True))

    assert error.code == "unknown_format"
    assert "XFA" in error.message
    assert readers.read(form(dynamic=False), "a.pdf").text == "Please wait..."

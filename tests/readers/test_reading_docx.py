import io
import struct
import zipfile

import pytest

from pipeline import readers
from pipeline.errors import ReadError
from pipeline.readers import packages


def p(text, properties=""):
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def text(content, name="a.docx"):
    return readers.read(content, name).text


def refused(content):
    with pytest.raises(ReadError) as caught:
        readers.read(content, "a.docx")
    return caught.value


def table(*rows, cell=lambda inner: f"<w:tc>{p(inner)}</w:tc>"):
    return "<w:tbl>" + "".join(f"<w:tr>{''.join(map(cell, row))}</w:tr>" for row in rows) + "</w:tbl>"


def test_paragraphs_stand_on_lines_of_their_own_and_gaps_are_blank_lines(make_docx):
    gap = '<w:spacing w:after="200"/>'

    assert text(make_docx(p("One", gap) + p("Two") + p("Three"))) == "One\n\nTwo\nThree"


def test_a_gap_that_a_style_inherits_is_seen_and_may_be_closed(make_docx):
    styles = (
        '<w:docDefaults><w:pPrDefault><w:pPr><w:spacing w:after="160"/></w:pPr></w:pPrDefault></w:docDefaults>'
        '<w:style w:type="paragraph" w:styleId="L"><w:pPr><w:contextualSpacing/></w:pPr></w:style>'
    )
    item = '<w:pStyle w:val="L"/>'

    assert text(make_docx(p("a") + p("b", item) + p("c", item) + p("d"), styles=styles)) == "a\n\nb\nc\n\nd"


def test_runs_make_one_line_with_tabs_and_breaks(make_docx):
    runs = "<w:p><w:r><w:t>To</w:t></w:r><w:r><w:t>tal</w:t><w:tab/><w:t>12</w:t><w:br/><w:t>EUR</w:t></w:r></w:p>"

    assert text(make_docx(runs)) == "Total\t12\nEUR"


def test_a_table_is_rows_of_cells_and_spans_keep_the_columns(make_docx):
    wide = '<w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr>' + p("Sum") + "</w:tc>"
    rows = table(("Item", "Count", "Price"), ("Tea", "2", "3.50")).replace(
        "</w:tbl>", f"<w:tr>{wide}<w:tc>{p('7.00')}</w:tc></w:tr></w:tbl>"
    )

    assert text(make_docx(p("Bill") + rows + p("Thanks"))) == (
        "Bill\n\nItem | Count | Price\nTea | 2 | 3.50\nSum |  | 7.00\n\nThanks"
    )


def test_a_table_of_one_column_is_a_frame(make_docx):
    assert text(make_docx(table(("Dear Ana",), ("Total 3",)))) == "Dear Ana\nTotal 3"


def test_changes_are_read_as_if_accepted(make_docx):
    changed = (
        "<w:p><w:r><w:t>Price </w:t></w:r><w:del><w:r><w:delText>10</w:delText></w:r></w:del>"
        "<w:ins><w:r><w:t>12</w:t></w:r></w:ins><w:moveFrom><w:r><w:t>old</w:t></w:r></w:moveFrom></w:p>"
    )
    joined = p("one ", "<w:rPr><w:del/></w:rPr>") + p("line")
    gone = table(("a", "b"), ("c", "d")).replace("<w:tr>", "<w:tr><w:trPr><w:del/></w:trPr>", 1)

    assert text(make_docx(changed + joined + gone)) == "Price 12\none line\n\nc | d"


def test_lists_are_counted_as_word_counts_them(make_docx):
    levels = (
        '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>'
        '<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1.%2"/></w:lvl>'
        '<w:lvl w:ilvl="2"><w:start w:val="1"/><w:numFmt w:val="lowerRoman"/><w:lvlText w:val="(%3)"/></w:lvl>'
    )
    bullet = '<w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="&#61623;"/></w:lvl>'
    numbering = (
        f'<w:abstractNum w:abstractNumId="7">{levels}</w:abstractNum>'
        f'<w:abstractNum w:abstractNumId="8">{bullet}</w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="8"/></w:num>'
    )

    def item(words, depth, list_id=1):
        return p(words, f'<w:numPr><w:ilvl w:val="{depth}"/><w:numId w:val="{list_id}"/></w:numPr>')

    body = item("Parties", 0) + item("Term", 0) + item("Start", 1) + item("a", 2) + item("b", 2) + item("End", 1)

    assert text(make_docx(body + item("Law", 0) + item("dot", 0, 2), numbering=numbering)) == (
        "1. Parties\n2. Term\n2.1 Start\n(i) a\n(ii) b\n2.2 End\n3. Law\n- dot"
    )


def test_notes_and_comments_stand_behind_their_paragraph(make_docx):
    body = '<w:p><w:r><w:t>Total</w:t><w:footnoteReference w:id="2"/><w:commentReference w:id="0"/></w:r></w:p>' + p(
        "Next"
    )
    note = f'<w:footnote w:id="2">{p("without tax")}</w:footnote>'
    comment = f'<w:comment w:id="0" w:author="Ana">{p("check")}</w:comment>'

    assert text(make_docx(body, footnotes=note, comments=comment)) == (
        "Total[1]\n[1] without tax\n[Comment by Ana: check]\nNext"
    )


def test_headers_and_footers_are_read_once_and_those_not_shown_are_not(make_docx):
    section = (
        '<w:sectPr><w:headerReference w:type="default" r:id="rId1"/><w:footerReference w:type="default" r:id="rId2"/>'
        '<w:headerReference w:type="even" r:id="rId3"/></w:sectPr>'
    )
    content = make_docx(
        p("One", section) + p("Two") + section, header1=p("ACME Ltd"), footer2=p("Confidential"), header3=p("stale")
    )

    assert text(content) == "ACME Ltd\n\nOne\nTwo\n\nConfidential"


def test_hidden_text_field_codes_and_pictures_are_no_text(make_docx):
    body = (
        "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>secret</w:t></w:r><w:r><w:instrText>DATE</w:instrText></w:r>"
        '<w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>seen</w:t></w:r></w:p>'
    )

    assert text(make_docx(body)) == "seen"


def test_a_text_box_stands_behind_its_paragraph_once(make_docx):
    box = f"<w:drawing><w:txbxContent>{p('Box')}</w:txbxContent></w:drawing>"
    both = f"<mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent>"

    assert text(make_docx(f"<w:p><w:r>{both}<w:t>Line</w:t></w:r></w:p>")) == "Line\nBox"


def test_a_fraction_is_not_read_as_a_product(make_docx):
    fraction = "<m:f><m:num><m:r><m:t>1</m:t></m:r></m:num><m:den><m:r><m:t>4</m:t></m:r></m:den></m:f>"

    assert text(make_docx(f"<w:p><m:oMath>{fraction}</m:oMath></w:p>")) == "1/4"


def test_an_embedded_document_is_an_attachment(make_docx, make_xlsx):
    inner = make_xlsx(("S", "<row><c><v>1</v></c></row>", ""))

    [attachment] = readers.read(make_docx(p("See"), **{"prices.xlsx": inner}), "a.docx").attachments

    assert (attachment.name, attachment.content) == ("prices.xlsx", inner)


@pytest.mark.parametrize("name", ["aFChunk1.html", "aFChunk1.mht"])
def test_a_piece_that_is_a_file_is_an_attachment(make_docx, name):
    page = b"<p>Total 12</p>"
    inner = b"MIME-Version: 1.0\nContent-Type: text/html\n\n" + page if name.endswith(".mht") else page

    [attachment] = readers.read(make_docx('<w:altChunk r:id="rId1"/>', **{name: inner}), "a.docx").attachments

    assert readers.read(attachment.content, attachment.name).text == "Total 12"


def native(content, label):
    """What Windows packs a file into (MS-OLEDS, 2.3.6, and what its Packager writes there)."""
    inner = struct.pack("<H", 2) + label + b"\0C:\\Temp\\x\0" + struct.pack("<HHI", 0, 3, 2) + b"x\0"
    inner += struct.pack("<I", len(content)) + content
    return struct.pack("<I", len(inner)) + inner


@pytest.mark.parametrize(
    ("streams", "name", "content"),
    [
        ({"\x01Ole10Native": native(b"a;b", b"C:\\x\\pre\xe7o.csv")}, "preço.csv", b"a;b"),
        ({"\x01Ole10Native": native(b"a;b", b"prices.csv")[:-1]}, "oleObject1.bin", None),
        ({"\x01Ole10Native": b"\x04\0\0\0BM\0\0"}, "oleObject1.bin", None),
        ({"CONTENTS": b"%PDF-1.7 ..."}, "oleObject1.pdf", b"%PDF-1.7 ..."),
        ({"CONTENTS": b"something"}, "oleObject1.bin", None),
        ({"Package": b"PK\x03\x04 xl/workbook.xml"}, "oleObject1.xlsx", b"PK\x03\x04 xl/workbook.xml"),
        ({"WordDocument": b"x", "1Table": b"x"}, "oleObject1.doc", None),
        ({"Drawing": b"x"}, "oleObject1.bin", None),
    ],
)
def test_a_file_in_an_object_is_an_attachment_and_an_unknown_object_too(make_docx, make_ole, streams, name, content):
    whole = make_ole(streams)

    [attachment] = readers.read(make_docx(p("See"), **{"oleObject1.bin": whole}), "a.docx").attachments

    assert (attachment.name, attachment.content) == (name, content or whole)


def test_an_object_that_is_damaged_is_an_attachment_and_a_formula_is_none(make_docx, make_ole):
    parts = {
        "oleObject1.bin": make_ole({"CONTENTS": b"%PDF-1.7"})[:600],
        "oleObject2.bin": make_ole({"Equation Native": b"x"}),
    }

    assert [one.name for one in readers.read(make_docx(p("x"), **parts), "a.docx").attachments] == ["oleObject1.bin"]


def test_another_office_document_under_this_suffix_is_named(make_xlsx, make_zip):
    for content in (make_xlsx(("S", "", "")), make_zip({"a.txt": b"hello"})):
        assert refused(content).code in {"wrong_suffix", "broken"}


def test_entities_are_refused(make_docx):
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><w:document>&b;</w:document>'
    whole = make_docx(p("x"))
    error = refused(_with_part(whole, "word/document.xml", bomb))

    assert error.code in {"limits", "broken"}


def test_a_file_that_unpacks_to_more_than_the_limit_is_refused(make_docx, monkeypatch):
    monkeypatch.setattr(packages, "MOST_BYTES", 1 << 20)

    assert text(_with_part(make_docx(p("x")), "word/theme.xml", b" " * (2 << 20))) == "x"
    assert refused(_with_part(make_docx(p("x")), "word/document.xml", b" " * (2 << 20))).code == "limits"


def test_a_part_of_millions_of_elements_is_refused(make_docx):
    assert refused(_with_part(make_docx(p("x")), "word/document.xml", b"<a>" + b"<b/>" * 3_000_000)).code == "limits"


def test_deep_nesting_ends_in_an_error(make_docx):
    error = refused(make_docx("<w:sdt>" * 5000 + p("x") + "</w:sdt>" * 5000))

    assert error.code == "broken"


def test_an_encrypted_file_asks_for_a_password():
    content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le")

    assert refused(content).code == "encrypted"


def test_a_missing_extra_names_its_cure(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "msoffcrypto", None)
    content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le")

    with pytest.raises(ReadError, match="needs msoffcrypto") as caught:
        readers.read(content, "a.docx", readers.ReadOptions(passwords=("x",)))

    assert caught.value.code == "missing_extra"
    assert "pip install 'nightdesk[office]'" in caught.value.hint


def _with_part(whole, name, content):
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, content if info.filename == name else old.read(info))
    return out.getvalue()

import io
import zipfile

import pytest

from pipeline import readers
from pipeline.errors import ReadError


def text(content, name="a.fodt"):
    return readers.read(content, name).text


def pages(content, name):
    document = readers.read(content, name)
    return [document.text[page.start : page.end] for page in document.pages]


def refused(content, name="a.odt"):
    with pytest.raises(ReadError) as caught:
        readers.read(content, name)
    return caught.value


def p(words, style="", tag="p"):
    return f'<text:{tag} text:style-name="{style}">{words}</text:{tag}>'


def cell(words, more=""):
    return f"<table:table-cell {more}>{p(words) if words else ''}</table:table-cell>"


def table(*rows, name="S", style=""):
    inner = "".join(
        row if row.startswith("<table:table-row") else f"<table:table-row>{row}</table:table-row>" for row in rows
    )
    return f'<table:table table:name="{name}" table:style-name="{style}">{inner}</table:table>'


def test_paragraphs_spaces_tabs_and_breaks_are_kept(make_odf):
    words = 'To<text:s text:c="2"/>tal<text:tab/>12<text:line-break/><text:span>EUR</text:span> end'

    assert text(make_odf("text", p("One") + p(words))) == "One\nTo  tal\t12\nEUR end"


def test_gaps_are_blank_lines_also_where_a_style_inherits_them(make_odf):
    styles = (
        '<style:style style:name="A"><style:paragraph-properties fo:margin-bottom="0.35cm"/></style:style>'
        '<style:style style:name="B" style:parent-style-name="A"/>'
    )

    assert text(make_odf("text", p("a", "B") + p("b") + p("c"), styles)) == "a\n\nb\nc"


def test_a_style_that_follows_itself_ends(make_odf):
    assert text(make_odf("text", p("a", "A"), '<style:style style:name="A" style:parent-style-name="A"/>')) == "a"


def test_changes_are_read_as_if_accepted_and_hidden_text_is_not(make_odf):
    body = (
        f"<text:tracked-changes><text:changed-region><text:deletion>{p('old')}</text:deletion></text:changed-region>"
        f"</text:tracked-changes>{p('n<text:change-start/>ew<text:change-end/>')}"
        + p('seen<text:span text:style-name="H"> secret</text:span>')
    )
    styles = '<style:style style:name="H"><style:text-properties text:display="none"/></style:style>'

    assert text(make_odf("text", body, styles)) == "new\nseen"


def test_lists_and_headings_have_their_marks(make_odf):
    lists = (
        '<text:list-style style:name="N"><text:list-level-style-number text:level="1" style:num-format="1" '
        'style:num-suffix="."/><text:list-level-style-number text:level="2" style:num-format="a" '
        'style:num-prefix="(" style:num-suffix=")"/></text:list-style>'
        '<text:list-style style:name="B"><text:list-level-style-bullet text:level="1"/></text:list-style>'
    )
    inner = f"<text:list><text:list-item>{p('a')}</text:list-item></text:list>"
    body = (
        f'<text:list text:style-name="N"><text:list-item>{p("one")}{inner}</text:list-item>'
        f"<text:list-item>{p('two')}</text:list-item></text:list>"
        f'<text:list text:style-name="B"><text:list-item>{p("dot")}</text:list-item></text:list>'
    )

    assert text(make_odf("text", body, lists=lists)) == "1. one\n(a) a\n2. two\n- dot"


def test_notes_comments_and_boxes_stand_behind_their_paragraph(make_odf):
    words = (
        f"Total<text:note><text:note-citation>1</text:note-citation><text:note-body>{p('no tax')}</text:note-body>"
        f"</text:note><office:annotation><dc:creator>Ana</dc:creator><dc:date>2025</dc:date>{p('check')}"
        f"</office:annotation><draw:frame><draw:text-box>{p('Box')}</draw:text-box></draw:frame>"
    )

    assert text(make_odf("text", p(words) + p("Next"))) == ("Total[1]\n[1] no tax\n[Comment by Ana: check]\nBox\nNext")


def test_fields_are_read_as_they_are_shown_and_titles_of_pictures_are_not(make_odf):
    picture = "<draw:frame><svg:title>Logo</svg:title><svg:desc>A logo</svg:desc></draw:frame>"
    words = (
        f"Lisbon, <text:date>3 May 2025</text:date>: <text:title>Lease</text:title> "
        f"by <text:creator>Ana</text:creator>{picture} <text:ruby-text>gloss</text:ruby-text>end"
    )

    assert text(make_odf("text", p(words))) == "Lisbon, 3 May 2025: Lease by Ana end"


def test_headers_and_footers_are_read_once(make_odf):
    around = f"<style:header>{p('ACME')}</style:header><style:footer>{p('end')}</style:footer>"
    master = f"<style:master-page>{around}</style:master-page>"

    assert text(make_odf("text", p("Body"), masters=master * 2)) == "ACME\n\nBody\n\nend"


def test_a_table_in_a_text_is_rows_of_cells(make_odf):
    assert text(make_odf("text", p("Bill") + table(cell("a") + cell("b"), cell("c") + cell("d")))) == (
        "Bill\n\na | b\nc | d"
    )


def test_each_visible_sheet_is_a_page(make_odf):
    hidden = '<style:style style:name="H"><style:table-properties table:display="false"/></style:style>'
    body = table(cell("1"), name="One") + table(cell("2"), name="Two", style="H") + table(cell("3"), name="Three")

    assert pages(make_odf("spreadsheet", body, hidden), "a.fods") == ["One\n\n1", "Three\n\n3"]


def test_a_value_that_was_never_shown_is_read_as_it_is(make_odf):
    row = (
        cell("", 'office:value="12.5"') + cell("", 'office:date-value="2025-03-08"') + cell("shown", 'office:value="1"')
    )

    assert text(make_odf("spreadsheet", table(row)), "a.fods") == "S\n\n12.5 | 2025-03-08 | shown"


def test_what_a_merged_cell_covers_is_not_read(make_odf):
    covered = "<table:covered-table-cell><text:p>under it</text:p></table:covered-table-cell>"

    assert text(make_odf("spreadsheet", table(cell("wide") + covered + cell("next"))), "a.fods") == "S\n\nwide | next"


def test_empty_stretches_of_millions_take_no_time(make_odf):
    empty = '<table:table-row table:number-rows-repeated="999999999"><table:table-cell/></table:table-row>'
    wide = '<table:table-cell table:number-columns-repeated="999999999"/>'

    assert text(make_odf("spreadsheet", table(empty, wide + cell("1"), empty, cell("2"))), "a.fods") == "S\n\n | 1\n\n2"


def test_a_filled_stretch_of_millions_is_refused(make_odf):
    row = cell("x", 'table:number-columns-repeated="999999999"')

    assert refused(make_odf("spreadsheet", table(row)), "a.fods").code == "limits"


def test_a_slide_is_read_from_its_title_down(make_odf):
    def frame(words, y, more=""):
        return f'<draw:frame svg:y="{y}cm" svg:x="1cm" {more}><draw:text-box>{p(words)}</draw:text-box></draw:frame>'

    number = frame("7", 2, 'presentation:class="page-number"')
    notes = f"<presentation:notes>{frame('say hello', 1)}{number}</presentation:notes>"
    slide = frame("low", 9) + frame("high", 2) + frame("Title", 5, 'presentation:class="title"') + notes

    assert pages(make_odf("presentation", f"<draw:page>{slide}</draw:page><draw:page/>"), "a.fodp") == [
        "Title\n\nhigh\n\nlow\n\nsay hello",
        "",
    ]


def test_a_table_on_a_slide_is_rows_of_cells(make_odf):
    frame = f"<draw:frame>{table(cell('a') + cell('b'), cell('c') + cell('d'))}</draw:frame>"

    assert text(make_odf("presentation", f"<draw:page>{frame}</draw:page>"), "a.fodp") == "a | b\nc | d"


def test_a_packed_file_is_read_like_a_flat_one(make_odf, make_zip):
    assert text(make_zip({"content.xml": make_odf("text", p("One"))}), "a.odt") == "One"


def test_another_archive_under_this_suffix_is_named(make_zip):
    assert refused(make_zip({"a.txt": "hello"})).code == "wrong_suffix"


def test_a_file_with_a_password_says_so(make_odf, make_zip):
    parts = {"META-INF/manifest.xml": "<m><encryption-data/></m>", "content.xml": b"\x00garbage"}

    assert refused(make_zip(parts)).code == "encrypted"


def test_a_part_with_a_wrong_checksum_is_broken(make_odf, make_zip):
    content = bytearray(make_zip({"content.xml": make_odf("text", p("One"))}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.infolist()[0]
    at = info.header_offset + 30 + len(info.filename) + 5
    content[at] ^= 0xFF

    assert refused(bytes(content)).code == "broken"


def test_entities_of_a_flat_file_are_refused():
    bomb = b'<!DOCTYPE d [<!ENTITY a "x">]><o:document xmlns:o="o"><o:body>&a;</o:body></o:document>'

    assert refused(bomb, "a.fodt").code == "limits"

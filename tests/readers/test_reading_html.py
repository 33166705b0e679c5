import pytest

from pipeline import readers
from pipeline.errors import ReadError


def text(markup, name="a.html"):
    content = markup if isinstance(markup, bytes) else markup.encode()
    return readers.read(content, name).text


def test_blocks_stand_on_lines_of_their_own():
    markup = "<h1>Bill</h1><p>One\n  <b>two</b><i> three</i></p><div>four<div>five</div>six</div><p>a<br>b</p>"

    assert text(markup) == "Bill\n\nOne two three\n\nfour\nfive\nsix\n\na\nb"


def test_rows_of_a_table_are_lines():
    markup = "<table><tr><th>Item<th>Price<tr><td>Tea<br>green<td><p>3,50</p><tr><td><td>7</table>"

    assert text(markup) == "Item | Price\nTea green | 3,50\n | 7"


def test_a_cell_that_spans_keeps_the_columns():
    markup = (
        "<table><tr><th>Year<th colspan=2>Costs<th>Sum<tr><td rowspan=2>2025<td>1<td>2<td>3"
        "<tr><td>4<td>5<td>9<tr><td>2026<td>0</table>"
    )

    assert text(markup).split("\n") == ["Year | Costs |  | Sum", "2025 | 1 | 2 | 3", " | 4 | 5 | 9", "2026 | 0"]


@pytest.mark.parametrize(
    "rest",
    [
        "<span>EUR 12.50</span>",
        "EUR <b>12.50</b>",
        "<div>EUR<div>12.50</div></div>",
        "<form><input value='EUR 12.50'></form>",
    ],
)
def test_what_stands_in_a_row_behind_its_last_cell_is_a_cell(rest):
    markup = f"<table><tr><td rowspan=2>Total<td>9</td>{rest}</tr><tr><td>8</td>{rest}</tr></table>"

    assert text(markup).split("\n") == ["Total | 9 | EUR 12.50", " | 8 | EUR 12.50"]


def test_a_table_that_only_makes_a_layout_is_no_row():
    markup = "<table><tr><td><p>Dear Ana,</p><table><tr><td>a<td>b</table></td><td><p>Bye</p></td></tr></table>"

    assert text(markup) == "Dear Ana,\n\na | b\n\nBye"


def test_lists_keep_their_marks():
    markup = "<ol start=3><li>three<ul><li>in</ul><li><p>four</p></ol><ul><li>x<li>y</ul>"

    assert text(markup) == "3. three\n  - in\n\n4. four\n\n- x\n- y"


def test_preformatted_text_keeps_its_shape():
    assert text("<p>a<pre>  x   y\n\n    z</pre>b") == "a\n\n  x   y\n\n    z\n\nb"


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>evil</script>",
        "<style>evil{}</style>",
        "<template>evil</template>",
        "<p hidden>evil</p>",
        "<p style='color:red; DISPLAY : none'>evil</p>",
        "<div style='visibility:hidden'><b>evil</b></div>",
        "<input type=hidden value=evil>",
        "<input type=password value=evil>",
        "<svg><text>evil</text></svg>",
        "<iframe>evil</iframe>",
        "<!-- evil -->",
        "<?php evil ?>",
        "<select><option selected>a<option>evil</select>",
    ],
)
def test_what_the_page_hides_is_not_read(hidden):
    found = text(f"<p>before{hidden}after</p>")

    assert "evil" not in found
    assert found.startswith("before")
    assert found.endswith("after")


def test_what_a_form_holds_is_read():
    markup = "<form>Name <input value='Ana'><textarea>Two\nlines</textarea><select><option>one<option>two</select>"

    found = text(markup)

    assert "Name Ana" in found
    assert "Two\nlines" in found
    assert "one" in found
    assert "two" not in found


def test_a_title_is_kept_where_the_page_does_not_repeat_it():
    assert text("<title>Order 12</title><p>Thanks") == "Order 12\n\nThanks"
    assert text("<title>Thanks</title><p>Thanks") == "Thanks"


@pytest.mark.parametrize(
    "markup",
    [
        '<meta charset="windows-1251"><p>Счёт</p>'.encode("cp1251"),
        "<meta http-equiv=Content-Type content='text/html; charset=shift_jis'><p>領収書</p>".encode("cp932"),
        '<?xml version="1.0" encoding="utf-8"?><html><body><p>Счёт</p></body></html>'.encode(),
        "\ufeff<p>Счёт</p>".encode("utf-16-le"),
        '<meta charset="utf-8"><p>café crème brûlée</p>'.encode("cp1252"),
    ],
)
def test_the_encoding_is_what_the_page_says_where_that_fits(markup):
    assert text(markup) in {"Счёт", "領収書", "café crème brûlée"}


def test_entities_of_html_are_read_and_others_are_not_expanded():
    bomb = '<!DOCTYPE html [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'

    assert "aaaa" not in text(bomb + "<p>&euro;&nbsp;5 &b;</p>").replace("&", "")
    assert "€\u00a05" in text("<p>&euro;&nbsp;5</p>")


def test_nothing_is_fetched(monkeypatch):
    monkeypatch.setattr("socket.socket", None)
    markup = (
        '<!DOCTYPE html SYSTEM "http://127.0.0.1:9/a.dtd"><link rel=stylesheet href="http://127.0.0.1:9/a.css">'
        '<img src="http://127.0.0.1:9/a.png" alt="Logo"><iframe src="file:///etc/passwd"></iframe><p>x'
    )

    assert text(markup) == "Logo\n\nx"


def test_a_page_without_text_says_so():
    with pytest.raises(ReadError) as caught:
        text("<html><body><img src=a.png></body></html>")

    assert caught.value.code == "no_text"


def test_plain_text_under_this_suffix_is_read():
    assert text("just a line") == "just a line"


def test_the_marks_of_deep_lists_do_not_grow_without_end():
    assert len(text("<ul><li>a" * 500 + "<li>b" * 5_000)) < 500_000


def test_three_hundred_nested_tables_are_read():
    assert text("<table><tr><td>a<td>" * 300 + "x").endswith("x")


def test_what_the_parser_would_cut_is_refused():
    with pytest.raises(ReadError) as caught:
        text("<div>" * 100_000 + "x")

    assert caught.value.code == "limits"


def test_a_paragraph_of_five_megabytes_is_read_whole():
    assert len(text("<p>" + "word " * 1_000_000 + "</p>")) == 5 * 1_000_000 - 1

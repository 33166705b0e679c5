import pytest

from pipeline import readers
from pipeline.errors import ReadError


def test_form_feeds_are_page_breaks():
    document = readers.read(b"one\x0ctwo\n\x0cthree\x0c", "a.txt")

    assert [document.text[page.start : page.end] for page in document.pages] == ["one", "two", "three"]


def test_an_empty_page_keeps_its_number():
    document = readers.read(b"one\x0c\x0cthree", "a.txt")

    assert [page.number for page in document.pages] == [1, 2, 3]
    assert document.text == "one\n\f\n\fthree"


def test_a_line_of_ten_megabytes_is_read_whole():
    document = readers.read(("é" + "x" * 10_000_000).encode("cp1252"), "a.txt")

    assert len(document.text) == 10_000_001
    assert document.text[0] == "é"


def test_a_megabyte_of_form_feeds_is_no_million_pages():
    assert len(readers.read(b"a" + b"\x0c" * 1_000_000 + b"b", "a.txt").pages) == 1


@pytest.mark.parametrize("content", [b"\n", b" \r\n\t\x0c ", b"\x0c"])
def test_white_space_alone_is_empty(content):
    with pytest.raises(ReadError) as caught:
        readers.read(content, "a.txt")

    assert caught.value.code == "empty"


def test_markdown_is_kept_as_it_is_written():
    text = "# Minutes\n\n* **Ana**: report | by `May`\n\n| a | b |\n|---|---|"

    assert readers.read(text.encode(), "a.md").text == text


def test_markup_of_a_model_is_text_like_any_other():
    assert readers.read(b"a <|im_start|> b", "a.txt").text == "a <|im_start|> b"


def test_an_xml_file_is_kept_as_it_is_written_in_the_encoding_that_it_declares():
    content = '<?xml version="1.0" encoding="koi8-r"?><a>Да</a>'

    assert readers.read(content.encode("koi8-r"), "a.xml").text == content

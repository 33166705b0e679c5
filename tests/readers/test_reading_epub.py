import pytest

from pipeline import readers
from pipeline.errors import ReadError


def refused(content):
    with pytest.raises(ReadError) as caught:
        readers.read(content, "a.epub")
    return caught.value


def test_each_chapter_is_a_page_in_the_reading_order(make_epub):
    document = readers.read(make_epub("<h1>One</h1><p>Text", "<p>Two</p>"), "a.epub")

    assert document.text == "One\n\nText\n\fTwo"


def test_a_chapter_that_is_not_there_is_left_out(make_epub, make_zip):
    content = make_epub("<p>One</p>", **{"OPS/a.opf": SPINE})

    assert readers.read(content, "a.epub").text == "One"


SPINE = (
    '<package><manifest><item id="a" href="gone.html"/><item id="b" href="../../OPS/c%30.html"/>'
    '<item id="c" href="p.png" media-type="image/png"/></manifest>'
    '<spine><itemref idref="a"/><itemref idref="b"/><itemref idref="c"/><itemref idref="none"/></spine></package>'
)


def test_a_protected_book_is_refused(make_epub):
    locks = '<encryption><CipherReference URI="OPS/c0.html"/></encryption>'

    assert refused(make_epub("garbage", **{"META-INF/encryption.xml": locks})).code == "encrypted"


def test_an_archive_that_is_no_book_is_named(make_zip):
    assert refused(make_zip({"a.txt": "x"})).code == "wrong_suffix"

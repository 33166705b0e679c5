"""A quote's rectangles on the page of a PDF, whatever library made the document's text."""

from __future__ import annotations

import io

import pypdf
import pytest

from pipeline.errors import ReadError
from pipeline.readers import read
from pipeline.readers.rectangles import Quote, Request, answer


@pytest.fixture
def find(tmp_path):
    def find(content: bytes, *quotes: Quote):
        file = tmp_path / "a.pdf"
        file.write_bytes(content)
        return answer(Request(file, quotes))

    return find


def changed(content: bytes, change) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(content))
    change(writer.pages[0])
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_a_word_stands_where_the_page_draws_it(make_pdf, find):
    """The first line's baseline is 760 points above the bottom of a page of 842, 72 from the left."""
    ((one,),) = find(make_pdf("Acme Ltd\nTotal 12.50"), Quote(1, "Acme"))

    assert one.page == 1
    assert one.x0 == pytest.approx(72, abs=1.5)
    assert 842 - 760 - 12 < one.y0 < one.y1 < 842 - 760 + 4
    assert 20 < one.x1 - one.x0 < 40


def test_a_quote_over_two_lines_has_a_rectangle_for_each(make_pdf, find):
    ((upper, lower),) = find(make_pdf("12 Main Street\nSpringfield"), Quote(1, "12 Main\n  Street Springfield"))

    assert upper.y1 <= lower.y0 + 2
    assert upper.x1 > lower.x1


def test_equal_quotes_are_told_apart_by_their_number(make_pdf, find):
    first, second, third = find(make_pdf("tea 2.00\nbun 2.00"), *(Quote(1, "2.00", n) for n in range(3)))

    assert first[0].y1 < second[0].y1
    assert third == second


def test_what_a_page_does_not_hold_has_none(make_pdf, find):
    pdf = make_pdf("one", "two")

    assert find(pdf, Quote(1, "two"), Quote(2, "two"), Quote(3, "two"), Quote(1, " "))[0::2] == [(), ()]
    assert find(pdf, Quote(2, "two"))[0][0].page == 2


def test_a_turned_and_cropped_page_is_measured_as_it_is_shown(make_pdf, find):
    def crop(page):
        page.cropbox = pypdf.generic.RectangleObject((50, 700, 450, 842))

    plain = find(make_pdf("Acme"), Quote(1, "Acme"))[0][0]
    cropped = find(changed(make_pdf("Acme"), crop), Quote(1, "Acme"))[0][0]
    turned = find(changed(make_pdf("Acme"), lambda page: page.rotate(90)), Quote(1, "Acme"))[0][0]

    assert cropped.x0 == pytest.approx(plain.x0 - 50, abs=0.1)
    assert cropped.y0 == pytest.approx(plain.y0, abs=0.1)
    assert turned.x1 == pytest.approx(842 - plain.y0, abs=0.1)
    assert turned.y0 == pytest.approx(plain.x0, abs=0.1)


def test_every_word_of_the_text_that_pypdf_reads_is_found(make_pdf, find):
    content = make_pdf("Señor Müller paid 1.234,56 €\nfor the co-\noperation, 'quoted' and \"more\"")
    text = read(content, "a.pdf").text

    assert all(find(content, *(Quote(1, word) for word in text.split())))


def test_an_encrypted_and_a_broken_file_are_refused_by_name(make_pdf, find):
    for content in (make_pdf("secret", password="x"), b"%PDF-1.7 nothing"):
        with pytest.raises(ReadError, match=r"a\.pdf"):
            find(content, Quote(1, "secret"))

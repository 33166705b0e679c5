"""Word documents from before 2007. The file was written by LibreOffice; its flat source lies in tests/samples."""

import struct
from pathlib import Path

import pytest

from pipeline import readers
from pipeline.errors import ReadError

FILE = Path(__file__).resolve().parents[2] / "samples/mixed/wollfilz-werkstatt.doc"
CONTENT = FILE.read_bytes()
FIB = CONTENT.index(b"\xec\xa5")


def changed(offset, *values, kind="<H"):
    content = bytearray(CONTENT)
    struct.pack_into(kind, content, FIB + offset, *values)
    return bytes(content)


def refused(content):
    with pytest.raises(ReadError) as caught:
        readers.read(content, "a.doc")
    return caught.value


def test_headers_tables_and_notes_are_read_and_what_is_deleted_or_hidden_is_not():
    assert readers.read(CONTENT, "a.doc").text == (
        "Wollfilz-Werkstatt Trine Aebli\nDanke und bis bald\n\n"
        "Quittung Nr. 77\nSchafgasse 9, 9998 Obermoos\nObermoos, 2. April 2025\n"
        "Ware | Farbe | CHF\nFilzpantoffeln – Größe 41 |  | 39.00\nFilzball | grün | 6.50\n"
        "Total CHF 45.50\n\n\tBezahlt am selben Tag."
    )
    assert "48.80".encode("utf-16-le") in CONTENT
    assert "Rabatt".encode("utf-16-le") in CONTENT


def test_an_encrypted_document_asks_for_its_password():
    (flags,) = struct.unpack_from("<H", CONTENT, FIB + 0x0A)

    assert refused(changed(0x0A, flags | 0x0100)).code == "encrypted"


def test_a_document_of_word_95_is_refused_with_the_way():
    error = refused(changed(2, 0x0065))

    assert error.code == "unknown_format"
    assert "soffice" in error.hint


def test_another_ole_file_is_not_a_document(valid_files):
    assert refused(valid_files[".msg"]).code == "wrong_suffix"


def test_a_piece_table_that_lies_nowhere_is_damage():
    assert refused(changed(0x01A2, 0x7FFFFFFF, kind="<I")).code == "broken"


@pytest.mark.parametrize("offset", [0x4C, 0x50, 0x54])
@pytest.mark.parametrize("length", [-1, 0x7FFFFFFF])
def test_lengths_that_lie_cost_no_more_than_text(offset, length):
    text = readers.read(changed(offset, length, kind="<i"), "a.doc").text

    assert len(text) < 1000

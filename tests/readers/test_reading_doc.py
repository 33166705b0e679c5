"""Word documents from before 2007. The files were written by LibreOffice: `FILE` from the flat source in tests/samples,
`notes.*` from the .fodt beside them."""

import re
import struct
from pathlib import Path

import olefile
import pytest

from pipeline import readers
from pipeline.errors import ReadError
from pipeline.readers import doc
from pipeline.readers.doc_properties import CHPX, all_runs

FILE = Path(__file__).resolve().parents[2] / "samples/mixed/wollfilz-werkstatt.doc"
NOTES = Path(__file__).parent / "files/notes.fodt"
CONTENT = FILE.read_bytes()
FIB = CONTENT.index(b"\xec\xa5")


def changed(offset, *values, kind="<H"):
    content = bytearray(CONTENT)
    struct.pack_into(kind, content, FIB + offset, *values)
    return bytes(content)


def streams(name):
    with olefile.OleFileIO(NOTES.with_name(f"{name}.doc")) as file:
        return [bytearray(file.openstream(part).read()) for part in ("WordDocument", "1Table")]


def refused(content):
    with pytest.raises(ReadError) as caught:
        readers.read(content, "a.doc")
    return caught.value


def test_headers_tables_and_notes_are_read_and_what_is_deleted_or_hidden_is_not():
    assert readers.read(CONTENT, "a.doc").text == (
        "Wollfilz-Werkstatt Trine Aebli\nDanke und bis bald\n\n"
        "Quittung Nr. 77\nSchafgasse 9, 9998 Obermoos\nObermoos, 2. April 2025[1]\n[1] Bezahlt am selben Tag.\n"
        "Ware | Farbe | CHF\nFilzpantoffeln – Größe 41 |  | 39.00\nFilzball | grün | 6.50\n"
        "Total CHF 45.50"
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


def test_notes_comments_and_the_marks_of_lists_stand_where_the_other_formats_have_them():
    lines = (
        "Lease",
        "1. Rent[1]",
        "[1] In euros.",
        "1.1 It is 450 EUR.",
        "1.2 It is due on the fifth.",
        "[Comment by Ana Reis: Or the first?]",
        "(a) by transfer",
        "(b) in cash",
        "2. Term",
        "2.1 Two years[2].",
        "[2] From the day of signing.",
        "Deposit[3] [3] Without interest. | 900.00",
        "Keys | 30.00",
        "Behind the table[4].",
        "[4] Marked by hand.",
        "- two keys",
        "- one bulb",
        "3. Law",
        "Art. I Courts",
        "Art. II Notices",
        "Signed in Porto.",
    )
    for suffix in (".doc", ".docx", ".odt", ".fodt"):
        text = readers.read(NOTES.with_suffix(suffix).read_bytes(), f"a{suffix}").text
        own_mark = text.replace("[4]*", "[4]").replace("[4] *\t", "[4] ").replace("[4] * ", "[4] ")  # of the note "*"
        assert [line for line in own_mark.split("\n") if line] == [*lines]
        assert ("\n\n" in text) == (suffix != ".doc")


def test_an_item_takes_its_list_from_its_style():
    """The heading's style is put into the list of the articles, and the heading's own list away."""
    content = NOTES.with_suffix(".doc").read_bytes()
    in_text, in_style = (found.start() for found in re.finditer(rb"\x0b\x46\x01\x00", content))
    changed = bytearray(content)
    changed[in_text + 1] = 0x4A  # another property
    changed[in_style + 2] = 2

    text = readers.read(bytes(changed), "a.doc").text

    assert text.startswith("Art. I Lease\n1. Rent")
    assert "Art. II Courts" in text


@pytest.mark.parametrize("offset", [0xAA, 0xB2, 0xBA, 0xC2, 0x1BA, 0x20A, 0x212, 0xA2, 0x2E2, 0x2EA])
def test_damaged_tables_of_notes_and_lists_cost_their_marks_and_no_words(offset):
    content = NOTES.with_suffix(".doc").read_bytes()
    fib = content.index(b"\xec\xa5")
    for size in (3, 0x7FFFFFFF):
        damaged = bytearray(content)
        struct.pack_into("<II", damaged, fib + offset, 0, size)

        text = readers.read(bytes(damaged), "a.doc").text

        for words in ("In euros.", "Or the first?", "From the day of signing.", "Without interest.", "Signed"):
            assert words in text


def test_words_that_no_note_covers_are_read_behind_the_text():
    """Texts of footnotes are said to begin five characters late and to end six early."""
    stream, table = streams("notes")
    at, length = struct.unpack_from("<II", stream, 0xB2)
    bounds = list(struct.unpack_from(f"<{length // 4}I", table, at))
    bounds[0], bounds[-2] = bounds[0] + 5, bounds[-2] - 6
    struct.pack_into(f"<{length // 4}I", table, at, *bounds)

    text = doc._text(bytes(stream), bytes(table), [*all_runs(bytes(stream), bytes(table), CHPX)], "final")

    assert "[1] euros." in text
    assert text.split("Signed in Porto.")[1].split() == ["In", "hand."]


@pytest.mark.parametrize("name", ["notes", "changes"])
@pytest.mark.parametrize("changes", ["final", "original", "all"])
def test_a_text_in_many_pieces_reads_like_one_in_one_piece(name, changes):
    """Word leaves many pieces when it saves fast; LibreOffice writes one."""
    stream, table = streams(name)
    runs = [*all_runs(bytes(stream), bytes(table), CHPX)]
    as_one = doc._text(bytes(stream), bytes(table), runs, changes)
    at, _ = struct.unpack_from("<II", stream, 0x01A2)
    _, _, first, last, flags, where, prm = struct.unpack_from("<BIIIHIH", table, at)
    assert first == 0

    width, factor = (1, 2) if where & 0x40000000 else (2, 1)
    places = [*range(0, last, 7), last]
    pieces = b"".join(struct.pack("<HIH", flags, where + one * width * factor, prm) for one in places[:-1])
    plc = struct.pack(f"<{len(places)}I", *places) + pieces
    struct.pack_into("<II", stream, 0x01A2, len(table), 5 + len(plc))

    in_pieces = doc._text(bytes(stream), bytes(table + struct.pack("<BI", 2, len(plc)) + plc), runs, changes)

    marks = re.compile(r"\[(Inserted|Deleted)[^:]*: |\]| ")  # a change that lies in two pieces has two of them
    assert marks.sub("", in_pieces) == marks.sub("", as_one)
    assert in_pieces == as_one or changes == "all"

"""`export --with-evidence --rectangles`: looked up in the file that was read, or said to be unknown."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from pipeline.cli import call
from pipeline.data import Document, Evidence, Found, Page, Record, Word
from pipeline.readers import read
from pipeline.run.rectangles import places
from pipeline.schema import Field, Object, Text
from pipeline.store import FileRow, RunInfo, Store

SAMPLE = Path(__file__).parents[2] / "samples/invoices/prairie-lantern.pdf"


@pytest.fixture
def desk(tmp_path):
    """A database of one PDF and one text, as a run would leave it."""
    pdf = tmp_path / "a.pdf"
    shutil.copy(SAMPLE, pdf)
    with Store.open(tmp_path / "night.db") as store:
        run = store.begin_run(RunInfo("nightdesk run"))
        recipe = store.recipe("letters", {"chunking": "whole"})
        store.define_task(run, "letters", Object((Field("sender", Text()),)), recipe)
        for file, content in ((pdf, pdf.read_bytes()), (tmp_path / "b.txt", b"Prairie")):
            document = read(content, str(file))
            store.save_files(run, [FileRow(str(file), None, file.name, 1, 1, document.sha256)])
            store.link_inputs(run, "letters", [str(file)])
            store.save_document(run, document)
            store.save_record(run, _record(document), recipe, {})
    return tmp_path


def _record(document: Document) -> Record:
    word = next(word for word in document.text.split() if len(word) > 3)
    start = document.text.index(word)
    placed = Evidence("sender", word, Found.EXACT, start, start + len(word), 1, 1)
    return Record(document.sha256, "letters", {"sender": word}, evidence=(placed, Evidence("x", "y", Found.NOT_FOUND)))


def exported(desk: Path, capfd) -> list[list[object]]:
    assert call(["export", "letters", "--db", str(desk / "night.db"), "--with-evidence", "--rectangles"]) == 0
    lines = capfd.readouterr().out.splitlines()
    return [[piece["rectangles"] for piece in json.loads(line)["evidence"]] for line in lines]


def test_a_value_in_a_pdf_has_its_rectangles_and_one_that_stands_nowhere_none(desk, capfd):
    (found, nowhere), text = exported(desk, capfd)

    assert [list(one) for one in found] == [["page", "x0", "y0", "x1", "y1"]]
    assert nowhere == []
    assert text == [None, None]


@pytest.mark.parametrize("change", [Path.unlink, lambda file: file.write_bytes(SAMPLE.read_bytes() + b"\n")])
def test_a_file_that_is_not_what_was_read_is_not_searched_and_counted(desk, capfd, change):
    change(desk / "a.pdf")

    assert call(["export", "letters", "--db", str(desk / "night.db"), "--with-evidence", "--rectangles"]) == 0

    out, err = capfd.readouterr()
    assert [piece["rectangles"] for piece in json.loads(out.splitlines()[0])["evidence"]] == [None, None]
    assert "1 PDF could not be searched" in err


def test_what_ocr_read_has_the_boxes_of_its_words_a_rectangle_a_line_and_needs_no_file(tmp_path, capfd):
    words = (
        Word(1, 0, 4, 10, 10, 30, 20, 0.9),
        Word(1, 5, 9, 35, 12, 60, 21, 0.9),
        Word(1, 10, 14, 10, 30, 40, 40, 0.9),
        Word(1, 15, 17, 50, 30, 60, 40, 0.9),
    )
    document = Document("ab" * 32, "Tide Pool Cafe 8x", (Page(1, 0, 17),), "pictures", "1", ocr="eng", words=words)
    evidence = (
        Evidence("sender", "Tide Pool Cafe", Found.EXACT, 0, 14, 1, 1),
        Evidence("sender", "ool", Found.EXACT, 6, 9, 1, 1),
    )
    with Store.open(tmp_path / "night.db") as store:
        run = store.begin_run(RunInfo("nightdesk run"))
        recipe = store.recipe("letters", {"chunking": "whole"})
        store.define_task(run, "letters", Object((Field("sender", Text()),)), recipe)
        store.save_files(run, [FileRow("gone.jpg", None, "gone.jpg", 1, 1, document.sha256)])
        store.link_inputs(run, "letters", ["gone.jpg"])
        store.save_document(run, document)
        store.save_record(run, Record(document.sha256, "letters", {"sender": "x"}, evidence=evidence), recipe, {})

    [[cafe, pool]] = exported(tmp_path, capfd)

    assert [tuple(one.values()) for one in cafe] == [(1, 10, 10, 60, 21), (1, 10, 30, 40, 40)]
    assert [tuple(one.values()) for one in pool] == [(1, 35, 12, 60, 21)]


def drawn(lines: list[str]) -> bytes:
    """A PDF of these lines, twenty points below each other, the first 760 above the bottom of a page of 842."""
    writer = pypdf.PdfWriter()
    sheet = writer.add_blank_page(595, 842)
    stream = DecodedStreamObject()
    shown = " ".join(f"({line}) Tj T*" for line in lines)
    stream.set_data(f"BT /F1 12 Tf 20 TL 72 760 Td {shown} ET".encode())
    sheet[NameObject("/Contents")] = writer._add_object(stream)
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    named = DictionaryObject({NameObject(key): NameObject(value) for key, value in font.items()})
    sheet[NameObject("/Resources")] = DictionaryObject(
        {NameObject("/Font"): DictionaryObject({NameObject("/F1"): named})}
    )
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("lines", "quote", "line"),
    [
        (["12 Main", "Street", "at 9 Main Street"], "Main Street", 2),  # what stands before it runs over a line
        (["111 tea", "11 buns"], "11", 1),  # what stands before it overlaps itself
        (["Main Street", "Main", "Street"], "Main\nStreet", 1),
    ],
)
def test_the_rectangle_is_that_of_the_place_that_the_evidence_names(tmp_path, lines, quote, line):
    file = tmp_path / "a.pdf"
    file.write_bytes(drawn(lines))
    with Store.open(tmp_path / "night.db") as store:
        document = read(file.read_bytes(), "a.pdf")
        start = document.text.rindex(quote)
        run = store.begin_run(RunInfo("nightdesk run"))
        store.save_files(run, [FileRow(str(file), None, file.name, 1, 1, document.sha256)])
        store.save_document(run, document)
        with places(store) as asked:
            [[first, *_]] = asked.of(
                document.sha256, [Evidence("a", quote, Found.POINTED, start, start + len(quote), 1, 1)]
            )

    baseline = 842 - 760 + 20 * line
    assert baseline - 12 < first.y0 < first.y1 < baseline + 4


def test_rectangles_without_evidence_are_a_mistake(desk, capfd):
    assert call(["export", "letters", "--db", str(desk / "night.db"), "--rectangles"]) == 2
    assert "--with-evidence" in capfd.readouterr().err

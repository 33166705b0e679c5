"""Scans and photos in a run: read once, page by page, with their words; what cannot be read costs itself only."""

from __future__ import annotations

import hashlib
import io
import json
import os

import pytest
from PIL import Image, ImageDraw, ImageFont
from pypdf import PdfReader, PdfWriter

from pipeline.data import Document, Page
from pipeline.errors import ReadError
from pipeline.readers import NO_TEXT, PAGE_BREAK, ocr
from pipeline.run.events import Failed, PageDone
from pipeline.run.scans import Scans, joined
from pipeline.store import OcrPage, Store
from tests.run.test_bad_input import pdf

FOUND = ocr.find()
needs_tesseract = pytest.mark.skipif(FOUND is None, reason="tesseract is not here: apt install tesseract-ocr")


def scan(*lines, kind="PDF"):
    picture = Image.new("L", (700, 460), 255)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=28)
    for number, line in enumerate(lines):
        draw.text((60, 60 + 54 * number), line, fill=20, font=font)
    file = io.BytesIO()
    picture.save(file, kind, **({"resolution": 100} if kind == "PDF" else {}))
    return file.getvalue()


def together(*files):
    writer = PdfWriter()
    for file in files:
        writer.append(PdfReader(io.BytesIO(file)))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@needs_tesseract
def test_a_mixed_document_is_read_page_by_page_and_never_again(nights):
    nights.write("mixed.pdf", together(pdf("The first page has a text."), scan("The second page is a scan"), scan()))
    nights.write("photo.png", scan("A letter about the weather", kind="PNG"))

    first = nights.run(ocr="eng")

    assert first.summary.state == "done"
    assert len(first.all(PageDone)) == 3
    [(text,)] = nights.sql("SELECT text FROM _documents WHERE reader = 'pdf'")
    assert text == "The first page has a text.\n\fThe second page is a scan\n\f"
    assert nights.sql("SELECT count(*), count(note) FROM _pages") == [(4, 0)]
    words = nights.sql(
        """SELECT substr(d.text, w.start_char + 1, w.end_char - w.start_char), w.page, w.x0 < w.x1, w.confidence > 0
           FROM _words w JOIN _documents d ON d.sha256 = w.document WHERE d.reader = 'pdf' ORDER BY w.start_char"""
    )
    assert [word for word, *_ in words] == ["The", "second", "page", "is", "a", "scan"]
    assert {tuple(rest) for _, *rest in words} == {(2, 1, 1)}
    assert nights.sql("SELECT DISTINCT state FROM tone") == [("complete",)]

    second = nights.run(ocr="eng")

    assert not second.all(PageDone)
    assert second.summary.done == 0


@needs_tesseract
def test_what_was_read_before_is_not_read_again_when_the_document_is(nights):
    nights.write("photo.png", scan("A letter about the weather", kind="PNG"))
    nights.run(ocr="eng")
    nights.change("UPDATE _documents SET reader_version = 'older'")
    nights.change("UPDATE _ocr SET text = 'From the table', words = '[[0, 4, 1, 1, 2, 2, 0.9]]'")

    again = nights.run(ocr="eng")

    assert not again.all(PageDone)
    assert nights.sql("SELECT text FROM _documents") == [("From the table",)]


@needs_tesseract
def test_other_settings_read_again_and_off_means_off(nights):
    nights.write("photo.png", scan("A letter about the weather", kind="PNG"))
    assert nights.run(ocr="off").all(Failed)[0].failure.error == "no_text"
    assert nights.run(ocr="eng").all(PageDone)

    assert nights.run(ocr="auto").all(PageDone)
    assert nights.sql("SELECT count(*) FROM _ocr") == [(1,)]
    assert not nights.run(ocr="auto").all(PageDone)


@needs_tesseract
def test_a_page_that_ocr_finds_blank_later_makes_the_record_complete(nights):
    nights.write("mixed.pdf", together(pdf("The first page has a text."), scan()))
    nights.run(ocr="off")
    assert nights.sql("SELECT state FROM tone") == [("incomplete",)]

    again = nights.run(ocr="eng")

    assert (again.answered, again.recorded) == (0, 1)
    assert nights.sql("SELECT state FROM tone") == [("complete",)]


@needs_tesseract
def test_languages_are_those_of_the_tasks_where_each_names_some_and_the_run_none(nights):
    nights.task("tone", options='ocr = "eng"\n')
    nights.task("mood", options='ocr = "tlh+eng"\n')
    nights.task("other")
    nights.write("photo.png", scan("A letter", kind="PNG"))

    [failed] = nights.run(tasks=("tone", "mood")).all(Failed)
    assert failed.failure.hint == "Install it: apt install tesseract-ocr-tlh"
    nights.change("DELETE FROM _failures")

    for tasks, wanted, languages in ((("tone",), "auto", "eng"), (("mood",), "eng", "eng")):
        assert not nights.run(tasks=tasks, ocr=wanted).all(Failed)
        [(used,)] = nights.sql("SELECT ocr FROM _documents")
        assert used.split(", ")[2] == languages
    nights.run(tasks=("tone", "other"))
    assert "detected" in nights.sql("SELECT ocr FROM _documents")[0][0]


@needs_tesseract
def test_blank_pages_broken_pictures_and_missing_languages_are_failures_of_their_own(nights):
    nights.write("blank.png", scan(kind="PNG"))
    nights.write("broken.jpg", b"\xff\xd8\xff" + bytes(300))
    nights.letters(1)

    errors = {event.failure.error for event in nights.run(ocr="eng").all(Failed)}

    assert errors == {"no_text", "broken"}
    nights.write("photo.png", scan("A letter", kind="PNG"))
    nights.change("DELETE FROM _failures")
    hints = [event.failure.hint for event in nights.run(ocr="tlh").all(Failed)]
    assert "Install it: apt install tesseract-ocr-tlh" in hints
    assert nights.sql("SELECT count(*) FROM tone") == [(1,)]


def test_without_tesseract_a_scan_fails_with_its_cure_and_a_mixed_document_is_incomplete(nights, monkeypatch):
    monkeypatch.setattr("pipeline.run.scans.find", lambda: None)
    nights.write("scan.pdf", scan("A scan"))
    nights.write("mixed.pdf", together(pdf("The first page has a text."), scan("The second is a scan")))

    [failed] = nights.run().all(Failed)

    assert failed.failure.error == "missing_extra"
    assert "apt install tesseract-ocr" in failed.failure.hint
    assert nights.sql("SELECT state FROM tone") == [("incomplete",)]
    assert nights.sql("SELECT note FROM _pages ORDER BY number") == [(None,), (NO_TEXT,)]


@needs_tesseract
def test_a_scan_that_is_overwritten_before_ocr_is_not_read_as_what_it_was(nights, monkeypatch):
    old, new = (together(pdf("A cover letter."), scan(line)) for line in ("The old page", "The new page"))
    file = nights.write("scan.pdf", old)
    read = Scans.read

    def overwritten(scans, waiting):
        before = file.stat()
        file.write_bytes(new + b"\n" * (len(old) - len(new)))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # size and time do not show it
        return read(scans, waiting)

    monkeypatch.setattr(Scans, "read", overwritten)
    [failed] = nights.run(ocr="eng").all(Failed)
    assert (failed.failure.error, failed.failure.subject) == ("changed", str(file))
    assert nights.sql("SELECT (SELECT count(*) FROM _ocr) + (SELECT count(*) FROM _documents)") == [(0,)]

    monkeypatch.undo()
    assert nights.run(ocr="eng").summary.state == "done"
    [(sha256, text)] = nights.sql("SELECT sha256, text FROM _documents")
    assert sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert "The new page" in text
    assert nights.sql("SELECT count(*) FROM _failures") == [(0,)]


@needs_tesseract
def test_purge_takes_what_ocr_read(nights):
    nights.write("photo.png", scan("Zanzibar", kind="PNG"))
    nights.run(ocr="eng")
    [(document, words)] = nights.sql("SELECT document, words FROM _ocr")
    assert len(json.loads(words)) == 1
    assert b"Zanzibar" in nights.database.read_bytes()

    with Store.open(nights.database) as store:
        store.purge([document])

    assert b"Zanzibar" not in nights.database.read_bytes()
    assert nights.sql("SELECT (SELECT count(*) FROM _ocr) + (SELECT count(*) FROM _words)") == [(0,)]


def test_pages_are_joined_with_the_offsets_of_their_words():
    text = f"One{PAGE_BREAK}{PAGE_BREAK}Name: Ana{PAGE_BREAK}"
    pages = (Page(1, 0, 3), Page(2, 5, 5, NO_TEXT), Page(3, 7, 16, NO_TEXT), Page(4, 18, 18, NO_TEXT))
    document = Document("x", text, pages, "pdf", "pdf 1")
    read = {2: OcrPage("", blank=True), 3: OcrPage("Form A", [(5, 6, 1.0, 2.0, 3.0, 4.0, 0.5)])}

    whole = joined(document, read, {4: ReadError("", code="ocr_failed")})

    assert whole.text == f"One{PAGE_BREAK}{PAGE_BREAK}Form A\n\nName: Ana{PAGE_BREAK}"
    assert [whole.text[page.start : page.end] for page in whole.pages] == ["One", "", "Form A\n\nName: Ana", ""]
    assert [page.note for page in whole.pages] == ["", "", "", "OCR failed: ocr_failed"]
    assert [place.label for place in whole.places] == ["page 1", "page 3"]
    [word] = whole.words
    assert whole.text[word.start : word.end] == "A"
    assert (word.page, word.confidence) == (3, 0.5)

"""Another choice of tracked changes reads the files again that have some, and only those."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from pipeline.run.events import FileRead
from tests.run.test_bad_input import pdf

FILES = Path(__file__).resolve().parents[1] / "readers/files"


def texts(nights):
    return [text for (text,) in nights.sql("SELECT text FROM _documents WHERE changes <> '' ORDER BY id")]


def packed(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return out.getvalue()


def test_files_with_changes_are_read_again_when_the_choice_changes_and_no_others(nights):
    nights.letters(2)
    file = nights.write("z.docx", (FILES / "changes.docx").read_bytes())
    nights.run()
    assert "60 days" in texts(nights)[0]

    again = nights.run(changes="original")

    assert [event.path for event in again.all(FileRead)] == [str(file)]
    assert "30 days" in texts(nights)[0]
    assert again.recorded == 1
    assert nights.sql("SELECT changes FROM _documents ORDER BY id") == [("",), ("",), ("original",)]
    assert not nights.run(changes="original").all(FileRead)


def test_a_contract_in_an_archive_is_read_again_too(nights):
    nights.write("box.zip", packed(contract_odt=(FILES / "changes.odt").read_bytes(), letter_txt="It rained."))
    nights.run()

    again = nights.run(changes="all")

    assert "[Deleted by Ana Reis: 30 days]" in texts(nights)[0]
    assert again.recorded == 1
    assert not nights.run(changes="all").all(FileRead)


def test_a_file_that_failed_twice_is_tried_again_where_it_is_read_otherwise(nights):
    nights.write("all deleted.rtf", rb"{\rtf1 {\deleted It rained.}}")
    nights.write("box.zip", packed(letter_rtf=rb"{\rtf1 {\deleted It snowed.}}"))
    nights.run()
    nights.run()
    assert nights.run().summary.left_alone == 2

    again = nights.run(changes="original")

    assert again.recorded == 2
    assert nights.count("_failures") == 0


def test_a_file_that_fails_otherwise_too_is_left_alone_again(nights):
    nights.write("empty.txt", b"")
    nights.run()
    nights.run()

    assert len(nights.run(ocr="eng").failures) == 1
    assert nights.run(ocr="eng").failures == []


def test_a_locked_file_is_tried_again_where_there_are_passwords_and_any_file_by_new_readers(nights, monkeypatch):
    nights.write("locked.pdf", pdf("The weather was fine.", password="secret"))
    nights.write("empty.txt", b"")
    nights.run()
    nights.run()

    unlocked = nights.run(password=("secret",))
    assert unlocked.recorded == 1
    assert unlocked.failures == []

    monkeypatch.setattr("pipeline.readers.text.VERSION", "newer")
    assert [event.failure.error for event in nights.run().failures] == ["empty"]

"""Another choice of tracked changes reads the files again that have some, and only those."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from pipeline.run.events import FileRead
from pipeline.store import Store
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


def record(nights):
    found = nights.sql("SELECT e.path, e.quote, e.start_char FROM _evidence e JOIN _records r ON r.id = e.record")
    return nights.sql("SELECT answer, state FROM _records"), found


def standing(nights, file):
    with Store.open(nights.database, write=False) as store:
        (verdict,) = store.explain(str(file)).verdicts
        return verdict.state, store.status()[0].done


@pytest.mark.parametrize("how", [{}, {"no_text": True}])
def test_a_text_that_comes_back_brings_its_record_back_and_asks_nothing(nights, how):
    file = nights.write("z.docx", (FILES / "changes.docx").read_bytes())
    nights.run(**how)
    final = record(nights)
    nights.run(changes="original", **how)
    assert record(nights) != final

    again = nights.run(**how)

    assert (again.answered, again.recorded) == (0, 1)
    assert record(nights) == final
    assert nights.count("_history") == 2
    assert standing(nights, file) == ("done", 1)
    assert nights.run(**how).recorded == 0


@pytest.mark.parametrize("how", [{}, {"no_text": True}])
def test_a_document_that_reads_as_before_keeps_its_record(nights, how):
    nights.write("z.docx", (FILES / "changes.docx").read_bytes())
    nights.run(**how)
    nights.change("UPDATE _documents SET reader_version = 'older'")

    again = nights.run(**how)

    assert len(again.all(FileRead)) == 1
    assert (again.answered, again.recorded) == (0, 0)


def test_a_record_of_another_text_is_due_until_it_is_made_again(nights):
    file = nights.write("z.docx", (FILES / "changes.docx").read_bytes())
    nights.run()
    nights.run(changes="original")

    planned = nights.run(dry_run=True)  # reads, and makes no record

    assert (planned.plan().current, planned.plan().work) == (0, 0)
    assert standing(nights, file) == ("changed", 0)
    with Store.open(nights.database, write=False) as store:
        assert store.explain(str(file)).verdicts[0].reason == "Changed since: text."

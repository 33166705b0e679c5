"""With --no-text the database holds values and offsets, no other word of a document, and the same results."""

from __future__ import annotations

import json
import mailbox
import os
from email.message import EmailMessage

import pytest

from pipeline.cli import call
from pipeline.readers import ocr
from tests.run.test_scans import scan

TASK = 'instructions = "Copy the shop and the total."\n[options]\nchunk_tokens = 200\nmax_answer_tokens = 48\n'
SCHEMA = """{"type": "object", "additionalProperties": false, "required": ["shop", "total"], "properties": {
    "shop": {"type": "string", "x-nightdesk": {"extractive": true}, "maxLength": 20},
    "total": {"type": ["string", "null"], "x-nightdesk": {"type": "money"}, "maxLength": 20}}}"""
LONGEST = 41  # no value is as long
EVIDENCE = """SELECT r.document, e.path, e.found, e.start_char, e.end_char, e.page, e.occurrences, e.confidence
    FROM _evidence e JOIN _records r ON r.id = e.record ORDER BY 1, 2"""
ROWS = "SELECT document, shop, total, state FROM slips ORDER BY document"


def slip(number: int) -> str:
    return "".join(f"slip{number} line{i} costs {i}.50 EUR\n" for i in range(25))


@pytest.fixture
def slips(desk, monkeypatch):
    monkeypatch.chdir(desk.path)
    desk.write("prompts/slips.toml", TASK)
    desk.write("schemas/slips.json", SCHEMA)
    for i in range(3):
        desk.write(f"docs/{i}.txt", slip(i))
    return desk


def run(desk, *args: str, db: str = "night.db") -> None:
    assert call(["run", "slips", "docs", "--db", db, "--model", "scripted", "--quiet", *args]) == 0


def words_kept(desk, *texts: str) -> list[str]:
    kept = b"".join(file.read_bytes() for file in desk.path.glob("night.db*"))
    return [text[i : i + LONGEST] for text in texts for i in range(len(text)) if text[i : i + LONGEST].encode() in kept
            and len(text) - i >= LONGEST]  # fmt: skip


def test_the_results_are_those_of_a_run_that_keeps_texts(slips):
    run(slips)
    assert words_kept(slips, slip(0))
    with_texts = slips.sql(ROWS), slips.sql(EVIDENCE)
    (slips.path / "night.db").unlink()

    run(slips, "--no-text")

    assert (slips.sql(ROWS), slips.sql(EVIDENCE)) == with_texts
    assert slips.sql("SELECT count(*) FROM _chunks")[0][0] > 6
    assert slips.sql("SELECT DISTINCT text FROM _documents") == [("",)]
    assert slips.sql("SELECT DISTINCT quote FROM _evidence") == [("",)]
    assert words_kept(slips, *map(slip, range(3))) == []


def test_a_rerun_after_a_changed_task_reads_the_files_again(slips, capsys):
    run(slips, "--no-text")
    slips.write("prompts/slips.toml", TASK.replace("Copy", "Give").replace("= 200", "= 300"))

    run(slips, "--no-text")

    assert slips.sql("SELECT DISTINCT reason FROM _history") == [("answered again",)]
    assert slips.sql("SELECT count(*) FROM slips") == [(3,)]
    assert words_kept(slips, *map(slip, range(3))) == []
    capsys.readouterr()
    assert call(["explain", "docs/1.txt", "--db", "night.db"]) == 0
    assert "Its row is up to date." in capsys.readouterr().out
    slips.write("prompts/slips.toml", TASK)
    run(slips)  # with texts again: what was read before has none, and its files are read once more
    assert slips.sql("SELECT count(*) FROM _history") == [(6,)]


def test_texts_that_were_kept_before_are_overwritten(slips):
    run(slips)
    slips.write("prompts/slips.toml", TASK.replace("Copy", "Give"))
    run(slips)
    assert words_kept(slips, slip(0))
    kept = slips.sql(EVIDENCE)

    run(slips, "--no-text")

    assert words_kept(slips, *map(slip, range(3))) == []
    assert slips.sql(EVIDENCE) == kept
    (history,) = slips.sql("SELECT evidence FROM _history LIMIT 1")[0]
    assert {piece["quote"] for piece in json.loads(history)} == {""}
    assert "start_char" in history


def test_a_mail_in_a_mailbox_is_read_again_out_of_the_file_that_holds_it(slips):
    for file in (slips.path / "docs").iterdir():
        file.unlink()
    box = mailbox.mbox(slips.path / "docs/box.mbox")
    for i in range(2):
        mail = EmailMessage()
        mail["Subject"], mail["From"] = f"Slip {i}", "a@example.org"
        mail.set_content(slip(i))
        box.add(mail)
    box.close()
    run(slips, "--no-text")
    slips.write("prompts/slips.toml", TASK.replace("Copy", "Give"))

    run(slips, "--no-text")

    assert slips.sql("SELECT count(*), count(DISTINCT document) FROM _history") == [(2, 2)]
    assert words_kept(slips, slip(0), slip(1)) == []


def test_a_file_that_changed_under_the_same_size_and_time_fails_and_is_read_by_the_next_run(slips):
    run(slips, "--no-text")
    file = slips.path / "docs/1.txt"
    before = file.stat()
    file.write_text(slip(1).upper())
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    slips.write("prompts/slips.toml", TASK.replace("Copy", "Give"))

    assert call(["run", "slips", "docs", "--db", "night.db", "--model", "scripted", "--no-text"]) == 3
    assert {row[0] for row in slips.sql("SELECT message FROM _failures")} == {
        f"{file} has changed since it was looked at, and the database keeps no text of it."
    }

    run(slips, "--no-text")
    assert slips.sql("SELECT count(*) FROM slips WHERE gone = 0") == [(3,)]
    assert slips.sql("SELECT count(*) FROM _failures") == [(0,)]


def test_what_needs_the_texts_says_that_there_are_none(slips, capsys):
    run(slips, "--no-text")
    slips.write("labels.jsonl", json.dumps({"id": "1", "file": "docs/1.txt", "fields": {"shop": "x"}}) + "\n")

    for args in (("eval", "slips", "--labels", "labels.jsonl"), ("export", "slips", "--format", "langextract")):
        assert call([*args, "--db", "night.db"]) == 2
        assert "--no-text" in capsys.readouterr().err


@pytest.mark.skipif(ocr.find() is None, reason="tesseract is not here: apt install tesseract-ocr")
def test_a_scan_is_read_by_ocr_again_when_its_text_is_needed(slips):
    for file in (slips.path / "docs").iterdir():
        file.unlink()
    slips.write("docs/scan.pdf", scan("The parcel went to Lisbon", "and was paid in full", "on a cold winter morning"))
    run(slips, "--ocr", "eng")
    ((text,),) = slips.sql("SELECT text FROM _documents")
    assert "Lisbon" in text
    assert words_kept(slips, text)
    with_texts = slips.sql(ROWS), slips.sql(EVIDENCE), slips.sql("SELECT * FROM _words")

    run(slips, "--ocr", "eng", "--no-text")  # overwrites
    assert words_kept(slips, text) == []
    (slips.path / "night.db").unlink()
    run(slips, "--ocr", "eng", "--no-text")
    assert (slips.sql(ROWS), slips.sql(EVIDENCE), slips.sql("SELECT * FROM _words")) == with_texts
    slips.write("prompts/slips.toml", TASK.replace("Copy", "Give"))
    run(slips, "--ocr", "eng", "--no-text")

    assert slips.sql("SELECT DISTINCT reason FROM _history") == [("answered again",)]
    assert slips.sql("SELECT count(*) FROM _ocr") == [(0,)]
    assert words_kept(slips, text) == []

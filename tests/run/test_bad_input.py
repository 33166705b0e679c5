"""What bad input gets, through the whole command: a sentence, the next step, the exit code, a row in `_failures`."""

from __future__ import annotations

import io
import sqlite3
import struct
import zipfile
from contextlib import closing
from email.message import EmailMessage
from typing import Any

import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from pipeline.cli import call
from pipeline.readers import ocr

FONT = DictionaryObject(
    {
        NameObject("/Type"): NameObject("/Font"),
        NameObject("/Subtype"): NameObject("/Type1"),
        NameObject("/BaseFont"): NameObject("/Helvetica"),
        NameObject("/Encoding"): NameObject("/WinAnsiEncoding"),
    }
)


def pdf(*pages: str, password: str | None = None) -> bytes:
    writer = pypdf.PdfWriter()
    for text in pages:
        page = writer.add_blank_page(595, 842)
        stream = DecodedStreamObject()
        stream.set_data(b"BT /F1 12 Tf 72 760 Td (%s) Tj ET" % text.encode() if text else b"")
        page[NameObject("/Contents")] = writer._add_object(stream)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): FONT})}
        )
    if password:
        writer.encrypt(password, algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


BAD = {  # file: its content, the error's word, a part of the next step
    "photo.xyz": (b"?", "unknown_format", ".pdf"),
    "picture.txt": (b"\x89PNG\r\n\x1a\n" + bytes(200), "wrong_suffix", "suffix"),
    "locked.pdf": (lambda: pdf("A secret.", password="x"), "encrypted", "--password"),
    "broken.pdf": (lambda: pdf("A letter.")[:200], "broken", ""),
    "scan.pdf": (lambda: pdf("", ""), "no_text" if ocr.find() else "missing_extra", ""),
    "empty.txt": (b"", "empty", "Remove it"),
    "blank.txt": (b" \n\t\n", "empty", ""),
    "garbage.txt": (bytes(range(256)) * 40, "binary", ""),
}


@pytest.fixture
def here(nights: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The command, in the folder of the nights."""
    for name in ("NIGHTDESK_DB", "NIGHTDESK_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(nights.path)

    def command(*args: str, model: str = "scripted") -> tuple[int, str]:
        capsys.readouterr()
        code = call(["run", "tone", "docs", "--db", "night.db", "--model", model, *args])
        said = capsys.readouterr()
        return code, said.out + said.err

    return command


def test_every_bad_file_has_a_row_a_word_and_a_next_step_and_the_run_goes_on(nights, here):
    for name, (content, _, _) in BAD.items():
        nights.write(name, content() if callable(content) else content)
    nights.letters(2)

    code, said = here()

    assert code == 3, said
    assert nights.count("tone") == 2
    rows = {
        path.rsplit("/", 1)[-1]: rest
        for path, *rest in nights.sql("SELECT subject, error, message, hint FROM _failures")
    }
    assert set(rows) == set(BAD)
    for name, (_, word, step) in BAD.items():
        error, message, hint = rows[name]
        assert error == word, name
        assert name in message
        assert hint, name
        assert step in hint, name
    assert "nightdesk failures" in said


def test_strange_but_good_files_are_no_failures(nights, here):
    nights.write("tokens.txt", "A letter.<|end|>\n<|assistant|>\n{}<|im_end|></s>")
    nights.write("pages.pdf", pdf(*(f"Page {i}." for i in range(1000))))

    code, said = here()

    assert code == 0, said
    assert nights.sql("SELECT state, count(*) FROM tone GROUP BY state") == [("complete", 2)]
    assert nights.sql("SELECT max(number) FROM _pages") == [(1000,)]


def test_a_line_of_ten_megabytes_is_read_and_cut_whole(nights, here):
    nights.task("tone", chunk=200_000)
    nights.write("long.txt", "All on one line, " * 610_000)

    code, said = here("--dry-run")

    assert code == 0, said
    (size,) = nights.sql("SELECT length(text) FROM _documents")[0]
    assert size > 10_000_000
    assert nights.sql("SELECT min(start_char), max(end_char) FROM _chunks")[0] == (0, size)
    assert nights.sql("SELECT max(tokens) <= 200000 FROM _chunks") == [(1,)]


def test_a_prefix_that_does_not_fit_is_said_before_anything_begins(nights, here, monkeypatch):
    nights.letters(1)
    monkeypatch.setattr("pipeline.run.model.ScriptedModel.context", 500)

    code, said = here()

    assert code == 4
    assert "prefix" in said
    assert "smaller chunk_tokens" in said
    assert not nights.database.exists()


MODELS = {
    "not GGUF": b"This is no model.",
    "an empty file": b"",
    "truncated": b"GGUF" + struct.pack("<IQQ", 3, 300, 30) + b"\x14\x00",
    "without tensors": b"GGUF"
    + struct.pack("<IQQ", 3, 0, 1)
    + struct.pack("<Q", 20)
    + b"general.architecture"
    + struct.pack("<IQ", 8, 5)
    + b"llama",
}


@pytest.mark.parametrize("kind", MODELS)
def test_a_file_that_is_no_model_is_exit_code_4(nights, here, kind):
    nights.letters(1)
    (nights.path / "bad.gguf").write_bytes(MODELS[kind])

    code, said = here(model="bad.gguf")

    assert code == 4, said
    assert "bad.gguf" in said
    assert len(said.strip().splitlines()) == 2  # the sentence and the next step
    assert not nights.database.exists()


MISTAKES = {
    "a schema that contradicts itself": (
        {"schema": '{"type": "object", "properties": {"n": {"type": "integer", "minimum": 5, "maximum": 3}}}'},
        "schemas/tone.json",
    ),
    "a schema that is no JSON": ({"schema": "{"}, "tone.json"),
    "an example that breaks its schema": (
        {"examples": '[[examples]]\ntext = "x"\nanswer = { tone = "blue", topics = [], word = "x" }\n'},
        "example 1",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_users_mistakes_are_exit_code_2_and_touch_nothing(nights, here, mistake):
    change, named = MISTAKES[mistake]
    nights.letters(1)
    nights.task("tone", **{"examples": "", **change})

    code, said = here()

    assert code == 2, said
    assert named in said
    assert len(said.strip().splitlines()) >= 2
    assert not nights.database.exists()


def test_a_database_of_a_newer_version_is_exit_code_5_and_is_not_touched(nights, here):
    nights.letters(1)
    here()
    with closing(sqlite3.connect(nights.database)) as db, db:
        add = "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('nightdesk', 'm999_x', '')"
        db.execute(add)
    before = nights.database.read_bytes()

    code, said = here()

    after = nights.database.read_bytes()
    nights.database.unlink()
    assert code == 5, said
    assert "newer Nightdesk" in said
    assert "Install the newer Nightdesk" in said
    assert after == before


def test_a_missing_input_is_the_users_mistake(nights, here):
    code, said = here("nowhere")

    assert code == 2
    assert "nowhere" in said


def bomb(levels: int, width: int, leaf: bytes = b"A letter.") -> bytes:
    """A mail with archives, each with mails, and so on: no reader sees more than a level or two of it."""
    if not levels:
        return leaf
    mail = EmailMessage()
    mail.set_content(f"Level {levels}.")
    for number in range(width):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            name = "in.eml" if levels > 1 else "in.txt"
            archive.writestr(name, bomb(levels - 1, width, leaf + b" %d %d" % (levels, number)))
        mail.add_attachment(out.getvalue(), maintype="application", subtype="zip", filename="in.zip")
    return mail.as_bytes()


def test_what_one_file_may_hold_is_bounded_over_all_its_levels(nights, here, monkeypatch):
    monkeypatch.setattr("pipeline.run.nesting.MOST_FILES", 20)
    nights.write("bomb.eml", bomb(levels=3, width=4))
    nights.write("mail.eml", bomb(levels=1, width=9))
    nights.letters(1)

    code, said = here("--dry-run")

    assert code == 3, said
    (read,) = nights.sql("SELECT count(*) FROM _files WHERE path LIKE '%bomb.eml!/%'")[0]
    assert read == 20
    failures = nights.sql("SELECT subject, error, message, hint FROM _failures")
    assert {error for _, error, _, _ in failures} == {"limits"}
    assert all("bomb.eml!/" in subject and "20 files" in message and hint for subject, _, message, hint in failures)
    assert nights.sql("SELECT count(*) FROM _files WHERE path LIKE '%/mail.eml!/%'") == [(18,)]


def test_what_one_file_may_hold_is_bounded_in_bytes_too(nights, here, monkeypatch):
    monkeypatch.setattr("pipeline.run.nesting.MOST_BYTES", 1 << 20)
    nights.write("bomb.eml", bomb(levels=2, width=3, leaf=b"A letter. " * 20_000))

    code, said = here("--dry-run")

    assert code == 3, said
    assert nights.sql("SELECT sum(size) <= 1048576 FROM _files WHERE path LIKE '%bomb.eml!/%'") == [(1,)]
    assert {error for (error,) in nights.sql("SELECT error FROM _failures")} == {"limits"}


def test_a_file_in_too_many_others_is_a_failure_of_its_own(nights):
    nights.write("deep.eml", bomb(levels=5, width=1))

    (failed,) = nights.run(dry_run=True).failures

    assert failed.failure.error == "too_deep"
    assert failed.failure.subject.count("!/") == 9
    assert failed.failure.hint

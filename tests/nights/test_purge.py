"""What is purged is in no byte of the database's files, and nothing else is missing."""

from __future__ import annotations

import datetime
import hashlib
import sqlite3
from contextlib import closing

import pytest

from pipeline.data import Chunk, Completion, Counts, Document, Evidence, Extraction, Failure, Found, Page, Record, Stop
from pipeline.errors import StoreLocked
from pipeline.schema import Field, List, Object, Text
from pipeline.store import FileRow, RunInfo, Store

SCHEMA = Object((Field("company", Text()), Field("tags", List(Text()))))
MARK = "ZYXWMARKER"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Archive:
    """A database; `add` takes a document all the way to its row, twice, so that it has a history too."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.run = store.begin_run(RunInfo("nightdesk run"))
        self.recipe = store.recipe("letters", {"chunking": "whole", "prompt": "1"})
        store.define_task(self.run, "letters", SCHEMA, self.recipe)

    def file(self, path: str, text: str, parent: str | None = None) -> None:
        self.store.save_files(self.run, [FileRow(path, parent, path.rpartition("/")[2], len(text), 1, sha(text))])
        if parent is None:
            self.store.link_inputs(self.run, "letters", [path])

    def add(self, path: str, text: str, parent: str | None = None) -> str:
        name = sha(text)
        self.file(path, text, parent)
        self.store.save_document(self.run, Document(name, text, (Page(1, 0, len(text)),), "text", "1"))
        halves = [text[: len(text) // 2], text[len(text) // 2 :]]
        edge = len(halves[0])
        self.store.save_chunks(
            name, "whole", [Chunk(name, 0, 0, edge, halves[0], 9), Chunk(name, 1, edge, len(text), halves[1], 9)]
        )
        for work in list(self.store.pending("letters", self.recipe)):
            done = Completion(work.work_key, (1,), (0.0,), (0.0,), (0.0,), Counts(), Stop.END)
            answer = Extraction(work.work_key, {"company": text})
            self.store.save_extraction(self.run, self.recipe, work.work_key, done, text, answer)
        for version in ("first", "second"):
            values = {"company": f"{text} {version}", "tags": [text, "x"]}
            evidence = (Evidence("company", text, Found.EXACT, 0, 1, 1, 1),)
            self.store.save_record(self.run, Record(name, "letters", values, evidence=evidence), self.recipe, {})
        return name


@pytest.fixture
def path(tmp_path):
    return tmp_path / "night.db"


@pytest.fixture
def store(path):
    with Store.open(path) as store:
        yield store
        assert store._all("PRAGMA integrity_check") == [("ok",)]
        assert store._all("PRAGMA foreign_key_check") == []


@pytest.fixture
def archive(store):
    return Archive(store)


def bytes_of(path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir() if file.name.startswith("night.db"))


def secret(name: str, length: int = 6000) -> str:
    return "".join(f"{name} {MARK}-{i} " for i in range(length // 20))


def test_nothing_of_a_purged_document_is_in_any_byte(path, store, archive):
    gone = archive.add("/in/gone.txt", secret("gone"))
    stays = archive.add("/in/stays.txt", "".join(f"Day {i}. " for i in range(500)))
    failure = Failure("/in/gone.txt", "read", "x", "m", document=gone)
    store.save_failure(archive.run, failure)
    assert MARK.encode() in bytes_of(path)

    purged = store.purge([gone])

    assert MARK.encode() not in bytes_of(path)
    assert b"gone.txt" not in bytes_of(path)
    assert (purged.documents, purged.rows, purged.answers, purged.paths) == (1, 1, 2, ("/in/gone.txt",))
    assert store._all("SELECT document FROM letters") == [(stays,)]
    assert store._one("SELECT count(*) FROM _history")[0] == 1
    assert store._one("SELECT count(*) FROM _extractions")[0] == 2
    assert store._one("SELECT count(*) FROM _failures")[0] == 0
    assert store._one("SELECT count(*) FROM letters_tags")[0] == 2


def test_an_answer_to_a_text_that_stands_elsewhere_too_stays(store, archive):
    half = "The same half of both letters. " * 10
    gone = archive.add("/in/a.txt", half + "a" * len(half))
    stays = archive.add("/in/b.txt", half + "b" * len(half))

    store.purge([gone])

    assert [extraction is not None for _, extraction in store.extractions(stays, archive.recipe)] == [True, True]
    assert list(store.pending("letters", archive.recipe)) == []


def test_earlier_contents_of_the_path_go_with_it(path, store, archive):
    archive.add("/in/a.txt", secret("older"))
    archive.add("/in/a.txt", secret("newer"))
    assert len(store.documents_at("/in/a.txt")) == 2

    store.purge(store.documents_at("/in/a.txt"))

    assert MARK.encode() not in bytes_of(path)


def test_a_text_that_was_replaced_before_it_was_answered_goes_too(path, store, archive):
    text = secret("never")
    archive.file("/in/a.txt", text)
    store.save_document(archive.run, Document(sha(text), text, (Page(1, 0, len(text)),), "text", "1"))
    newer = archive.add("/in/a.txt", "harmless " * 100)

    store.purge([newer])

    assert MARK.encode() not in bytes_of(path)


def test_attachments_go_with_their_mail_unless_another_file_holds_them(store, archive):
    mail = archive.add("/in/mail.eml", "a mail " * 50)
    inner = archive.add("/in/mail.eml!/1", "an invoice " * 50, "/in/mail.eml")
    both = archive.add("/in/mail.eml!/2", "a logo " * 50, "/in/mail.eml")
    archive.file("/in/logo.txt", "a logo " * 50)

    purged = store.purge([mail])

    assert purged.documents == 2
    assert {document for (document,) in store._all("SELECT sha256 FROM _documents")} == {both}
    assert inner not in {both}
    assert store._all("SELECT path FROM _files") == [("/in/logo.txt",)]


def test_documents_are_named_by_path_or_hash_and_age_is_that_of_reading(store, archive):
    name = archive.add("/in/a.txt", "text " * 20)
    store._do("UPDATE _documents SET saved = '2026-01-01T00:00:00.000+00:00'")
    young = archive.add("/in/b.txt", "other " * 20)

    assert store.documents_at("/in/a.txt") == store.documents_at(name) == (name,)
    assert store.documents_at("/in/nothing") == ()
    assert store.documents_before("2026-01-02T00:00:00.000+00:00") == (name,)
    assert set(store.documents_before(datetime.datetime.now(datetime.UTC).isoformat())) <= {name, young}


def test_a_reader_that_keeps_the_log_alive_is_named_as_the_reason(path, store, archive, monkeypatch):
    monkeypatch.setattr("pipeline.store.connection.BUSY_SECONDS", 0)
    store._do("PRAGMA busy_timeout = 50")
    gone = archive.add("/in/a.txt", secret("read"))
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM _documents").fetchone()
        with pytest.raises(StoreLocked):
            store.purge([gone])
    store.purge([])

    assert MARK.encode() not in bytes_of(path)


def test_the_command_purges_and_says_what_is_left_on_the_disk(desk):
    desk.letters(3)
    desk.write("docs/secret.txt", secret("disk", 400))
    assert desk.run()[0] == 0

    code, out, err = desk.call("purge", "docs/secret.txt", "--db", "night.db")

    assert code == 0, err
    assert out.startswith("Deleted: 1 document, 1 row, ")
    assert "1 of its files still lies on the disk" in out
    assert MARK.encode() not in bytes_of(desk.path / "night.db")
    assert desk.sql("SELECT count(*) FROM tone") == [(3,)]
    code, out, _ = desk.call("purge", "--older-than", "0h", "--db", "night.db")
    assert code == 0
    assert out.startswith("Deleted: 3 documents, 3 rows, ")
    assert desk.sql("SELECT count(*) FROM _documents") == [(0,)]


@pytest.mark.parametrize("args", [(), ("a", "--older-than", "1d"), ("--older-than", "soon"), ("unknown.txt",)])
def test_a_wrong_purge_deletes_nothing(desk, args):
    desk.letters(1)
    desk.run()

    code, _, err = desk.call("purge", *args, "--db", "night.db")

    assert code == 2
    assert err.startswith("Error: ")
    assert desk.sql("SELECT count(*) FROM tone") == [(1,)]


def test_purge_makes_no_database(desk):
    assert desk.call("purge", "x", "--db", "none.db")[0] == 5
    assert not (desk.path / "none.db").exists()

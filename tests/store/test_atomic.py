"""Every method that writes is one transaction: interrupted at any statement, it has done all or nothing.

`mark_gone`, `save_files` and `link_inputs` are one transaction for each batch, and one batch here.
"""

import hashlib
import sqlite3

import pytest

from pipeline.data import Counts, Document, Failure, Page
from pipeline.schema import Field, Number, Object
from pipeline.store import FileRow, RunEnd, RunInfo
from pipeline.store.driver import connection_class

Connection = connection_class(sqlite3)


class Killed(BaseException):
    """What a signal would do."""


def dump(store):
    return hashlib.sha256("\n".join(store.db.conn.iterdump()).encode()).hexdigest()


def a_night(night):
    """An answered document, one that waits, one that failed, one that was not cut, and a file to change."""
    store = night.store
    night.look({"/in/a": "a", "/in/b": "b", "/in/c": "c", "/in/d": "d"})
    for content in "abc":
        night.read(content)
    work = {store.document(w.document).text: w for w in night.pending()}
    night.answer(work["a"])
    failed = Failure("/in/c chunk 0", "decode", "x", "x", document=work["c"].document, work_key=work["c"].work_key)
    store.save_failure(night.run, failed)
    store.save_document(night.run, Document(store.file("/in/d").sha256, "d", (Page(1, 0, 1),), "text", "1"))
    return work, failed


WRITES = {
    "begin_run": lambda night, work, failed: night.store.begin_run(RunInfo("x")),
    "end_run": lambda night, work, failed: night.end(),
    "save_files": lambda night, work, failed: night.store.save_files(
        night.run, [FileRow("/in/a", None, "a", 9, 9, "x"), FileRow("/in/a!/1", "/in/a", "1", 9, 9, "y")]
    ),
    "link_inputs": lambda night, work, failed: night.store.link_inputs(night.run, "minutes", ["/in/a", "/in/b"]),
    "mark_gone": lambda night, work, failed: night.store.mark_gone(night.run + 1, ["/in"]),
    "save_document": lambda night, work, failed: night.store.save_document(
        night.run, Document(work["a"].document, "other", (Page(1, 0, 5),), "text", "2")
    ),
    "save_chunks": lambda night, work, failed: night.store.save_chunks(
        work["a"].document, "whole", night.store.chunks(work["a"].document, "whole")
    ),
    "recipe": lambda night, work, failed: night.store.recipe("receipts", {"chunking": "new"}),
    "define_task": lambda night, work, failed: night.store.define_task(
        night.run, "receipts", Object((Field("company", Number()), Field("new", Number()))), night.recipe
    ),
    "pending": lambda night, work, failed: night.store.pending("receipts", night.recipe),
    "save_extraction and its records": lambda night, work, failed: night.answer(work["b"]),
    "save_record": lambda night, work, failed: night.record(work["a"].document, {"company": "new", "total": "2"}),
    "save_failure": lambda night, work, failed: night.store.save_failure(night.run, failed),
    "retry": lambda night, work, failed: night.store.retry(),
}


@pytest.mark.parametrize("name", WRITES)
def test_what_is_killed_between_two_statements_is_done_or_undone(store, night, monkeypatch, name):
    work, failed = a_night(night)
    left = 0
    plain = Connection.execute

    def execute(self, sql, parameters=(), /):
        nonlocal left
        # The tidying up after a kill is SQLite's own business when the process is really gone.
        if not sql.startswith(("ROLLBACK", "PRAGMA foreign_keys")):
            left -= 1
            if left == 0:
                raise Killed
        return plain(self, sql, parameters)

    monkeypatch.setattr(Connection, "execute", execute)
    before = dump(store)
    for number in range(1, 200):
        left = number
        try:
            WRITES[name](night, work, failed)
        except Killed:
            left = 0
            assert dump(store) == before
            assert store._one("PRAGMA foreign_keys") == (1,)
        else:
            break
    assert number > 2
    left = 0
    assert dump(store) != before or name in ("save_chunks", "pending")


def test_mark_gone_needs_a_run_that_saw_nothing(store, night):
    a_night(night)

    assert store.mark_gone(night.run, ["/in"]) == 0
    assert store.mark_gone(night.run + 1, ["/in"]) == 4


def test_counts_of_a_run_are_what_it_says(store, night):
    store.end_run(night.run, RunEnd("failures", Counts(1, 2, 3, 4), done=5, failed=6, skipped=7))

    columns = "state, prefilled, reused, forced, sampled, done, failed, skipped"
    assert store._one(f"SELECT {columns} FROM _runs") == ("failures", 1, 2, 3, 4, 5, 6, 7)
    (started, ended) = store._one("SELECT started, ended FROM _runs")
    assert started.endswith("+00:00")
    assert started <= ended

"""A database in a temporary folder, checked whole after every test, and one night's work in few words."""

import contextlib
import hashlib
import itertools

import pytest

from pipeline.data import Chunk, Completion, Counts, Document, Evidence, Extraction, Found, Page, Record, Stop
from pipeline.schema import Field, List, Object, Text
from pipeline.store import FileRow, Normalised, RunEnd, RunInfo, Store

RECEIPT = Object((Field("company", Text()), Field("total", Text(type="money"), nullable=True)))
INVOICE = Object(
    (
        Field("seller", Text()),
        Field(
            "items",
            List(Object((Field("name", Text()), Field("price", Text(type="money")), Field("tags", List(Text()))))),
        ),
    )
)
PARTS = {"chunking": "whole", "prompt": "p1", "schema": "s1", "model": "m1"}


def check(store):
    """The file is whole, all references hold, and no transaction was left open."""
    assert not store.db.conn.in_transaction
    assert store._all("PRAGMA integrity_check") == [("ok",)]
    assert store._all("PRAGMA foreign_key_check") == []


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Night:
    """One run over files whose bytes are given; a document has one chunk unless `cut` says where it is cut."""

    def __init__(self, store, task="receipts", schema=RECEIPT, parts=PARTS):
        self.store, self.task = store, task
        self.run = store.begin_run(RunInfo("nightdesk run"))
        self.recipe = store.recipe(task, parts)
        self.parts = parts
        self.version = store.define_task(self.run, task, schema, self.recipe)

    def look(self, files, roots=("/in",)):
        """Ledger only: {path: content}."""
        rows = [FileRow(p, None, p.rsplit("/", 1)[-1], len(c), 1, sha(c)) for p, c in files.items()]
        self.store.save_files(self.run, rows)
        self.store.link_inputs(self.run, self.task, files)
        return self.store.mark_gone(self.run, roots)

    def read(self, content, cut=()):
        document = Document(sha(content), content, (Page(1, 0, len(content)),), "text", "1")
        self.store.save_document(self.run, document)
        edges = [0, *cut, len(content)]
        self.store.save_chunks(
            document.sha256,
            self.parts["chunking"],
            [
                Chunk(document.sha256, i, a, b, content[a:b], b - a)
                for i, (a, b) in enumerate(itertools.pairwise(edges))
            ],
        )
        return document.sha256

    def pending(self):
        return list(self.store.pending(self.task, self.recipe))

    def answer(self, work, values=None):
        """Save an answer with the records it completes; their hashes."""
        completion = Completion(
            work.work_key, (1, 2), (-0.5, 0.0), (0.25, 0.0), (1.5, float("inf")), Counts(10, 5, 1, 1), Stop.END
        )
        with self.store.atomic():
            self.store.save_extraction(
                self.run, self.recipe, work.work_key, completion, "{}", Extraction(work.work_key, values or {})
            )
            done = self.store.completed_documents(self.task, self.recipe, work.work_key)
            for document in done:
                self.record(document, values or {"company": document[:4], "total": "1,00"})
        return done

    def record(self, document, values, normalised=None, **more):
        if normalised is None and values.get("total"):
            normalised = {"total": Normalised(float(values["total"].replace(",", ".")), "EUR")}
        evidence = tuple(Evidence(path, str(v), Found.EXACT, 0, 1, 1, 1) for path, v in values.items())
        record = Record(document, self.task, values, evidence=evidence, **more)
        return self.store.save_record(self.run, record, self.recipe, normalised or {})

    def all(self, files):
        """The whole night."""
        self.look(files)
        for content in dict.fromkeys(files.values()):
            if self.store.reader_version(sha(content)) != "1":
                self.read(content)
        for work in self.store.pending(self.task, self.recipe):
            self.answer(work)
        for document in self.store.unmerged(self.task, self.recipe):
            self.record(document, {"company": document[:4], "total": "1,00"})
        self.end()
        return self

    def end(self):
        self.store.end_run(self.run, RunEnd("done", Counts(), done=0, failed=0, skipped=0))

    def table(self, columns="*"):
        return self.store._all(f'SELECT {columns} FROM "{self.task}" ORDER BY id')


@pytest.fixture
def path(tmp_path):
    return tmp_path / "night.db"


@pytest.fixture
def store(path):
    with Store.open(path) as store:
        store._do("PRAGMA synchronous = OFF")  # no test pulls the plug
        yield store
        check(store)


@pytest.fixture
def night(store):
    return Night(store)


@pytest.fixture
def begin(store):
    """Begin another night on the same database."""
    return lambda **settings: Night(store, **settings)


@pytest.fixture
def reopened(path):
    """Open the database by itself, check it afterwards."""

    @contextlib.contextmanager
    def opened(**how):
        with Store.open(path, **how) as store:
            yield store
            check(store)

    return opened


@pytest.fixture
def words():
    """The schemas and helpers of this file, for tests that need them by name."""

    class Words:
        receipt, invoice, parts = RECEIPT, INVOICE, PARTS

    Words.sha, Words.check, Words.Night = staticmethod(sha), staticmethod(check), Night
    return Words

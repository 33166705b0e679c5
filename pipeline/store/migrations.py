"""The tables that every database has, as numbered steps. A step that was released is never changed.

Typed tables of tasks are not made here; `tables.py` follows the schemas.
"""

from __future__ import annotations

from pathlib import Path

from sqlite_utils import Database, Migrations

from pipeline.errors import StoreError, StoreNewer


def m001_runs_and_files(db: Database) -> None:
    """Runs, the ledger of files, and which task reads which file."""
    db.execute("""
        CREATE TABLE _runs (
            id INTEGER PRIMARY KEY,
            command TEXT NOT NULL,
            settings TEXT NOT NULL,
            shape TEXT,
            model TEXT NOT NULL,
            model_sha256 TEXT NOT NULL,
            versions TEXT NOT NULL,
            host TEXT NOT NULL,
            cores INTEGER NOT NULL,
            pid INTEGER NOT NULL,
            started TEXT NOT NULL,
            ended TEXT,
            seconds REAL,
            state TEXT NOT NULL DEFAULT 'running',
            done INTEGER, failed INTEGER, skipped INTEGER,
            prefilled INTEGER, reused INTEGER, forced INTEGER, sampled INTEGER
        ) STRICT""")
    db.execute("""
        CREATE TABLE _files (
            id INTEGER PRIMARY KEY,
            path TEXT NOT NULL UNIQUE,
            parent TEXT REFERENCES _files(path) DEFERRABLE INITIALLY DEFERRED,
            name TEXT NOT NULL,
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            sha256 TEXT,
            first_run INTEGER NOT NULL REFERENCES _runs(id),
            seen_run INTEGER NOT NULL REFERENCES _runs(id),
            gone INTEGER NOT NULL DEFAULT 0
        ) STRICT""")
    db.execute("CREATE INDEX idx_files_sha256 ON _files(sha256)")
    db.execute("CREATE INDEX idx_files_parent ON _files(parent)")
    db.execute("""
        CREATE TABLE _inputs (
            task TEXT NOT NULL,
            file INTEGER NOT NULL REFERENCES _files(id) ON DELETE CASCADE,
            run INTEGER NOT NULL REFERENCES _runs(id),
            PRIMARY KEY (task, file)
        ) STRICT, WITHOUT ROWID""")
    db.execute("CREATE INDEX idx_inputs_file ON _inputs(file, task)")


def m002_documents_and_chunks(db: Database) -> None:
    """Texts by the hash of their file, their pages, and the places they were cut at. Offsets are characters."""
    db.execute("""
        CREATE TABLE _documents (
            id INTEGER PRIMARY KEY,
            sha256 TEXT NOT NULL UNIQUE,
            text TEXT NOT NULL,
            reader TEXT NOT NULL,
            reader_version TEXT NOT NULL,
            run INTEGER NOT NULL REFERENCES _runs(id),
            saved TEXT NOT NULL
        ) STRICT""")
    db.execute("""
        CREATE TABLE _pages (
            document TEXT NOT NULL REFERENCES _documents(sha256) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            start_char INTEGER NOT NULL,
            end_char INTEGER NOT NULL,
            note TEXT,
            PRIMARY KEY (document, number)
        ) STRICT, WITHOUT ROWID""")
    db.execute("""
        CREATE TABLE _chunks (
            document TEXT NOT NULL REFERENCES _documents(sha256) ON DELETE CASCADE,
            chunking TEXT NOT NULL,
            position INTEGER NOT NULL,
            start_char INTEGER NOT NULL,
            end_char INTEGER NOT NULL,
            tokens INTEGER NOT NULL,
            text_hash TEXT NOT NULL,
            PRIMARY KEY (document, chunking, position)
        ) STRICT, WITHOUT ROWID""")
    db.execute("CREATE INDEX idx_chunks_text ON _chunks(text_hash, chunking)")


def m003_work(db: Database) -> None:
    """Recipes, the questions they make of texts, the answers, and what could not be done."""
    db.execute("""
        CREATE TABLE _recipes (
            id TEXT PRIMARY KEY,
            task TEXT NOT NULL,
            chunking TEXT NOT NULL,
            parts TEXT NOT NULL,
            saved TEXT NOT NULL
        ) STRICT""")
    db.execute("""
        CREATE TABLE _work (
            id INTEGER PRIMARY KEY,
            key TEXT NOT NULL UNIQUE,
            recipe TEXT NOT NULL REFERENCES _recipes(id),
            text_hash TEXT NOT NULL
        ) STRICT""")
    db.execute("CREATE INDEX idx_work_recipe ON _work(recipe)")
    db.execute("CREATE UNIQUE INDEX idx_work_text ON _work(recipe, text_hash)")
    db.execute("""
        CREATE TABLE _extractions (
            work TEXT PRIMARY KEY REFERENCES _work(key) ON DELETE CASCADE,
            run INTEGER NOT NULL REFERENCES _runs(id),
            raw TEXT NOT NULL,
            answer TEXT NOT NULL,
            cut TEXT NOT NULL,
            stop TEXT NOT NULL,
            logprob REAL NOT NULL,
            prefilled INTEGER NOT NULL,
            reused INTEGER NOT NULL,
            forced INTEGER NOT NULL,
            sampled INTEGER NOT NULL,
            tokens BLOB NOT NULL,
            saved TEXT NOT NULL
        ) STRICT""")
    db.execute("CREATE INDEX idx_extractions_run ON _extractions(run)")
    db.execute("""
        CREATE TABLE _failures (
            id INTEGER PRIMARY KEY,
            subject TEXT NOT NULL,
            stage TEXT NOT NULL,
            task TEXT,
            document TEXT,
            work_key TEXT,
            error TEXT NOT NULL,
            message TEXT NOT NULL,
            hint TEXT NOT NULL,
            tries INTEGER NOT NULL,
            first_run INTEGER NOT NULL REFERENCES _runs(id),
            last_run INTEGER NOT NULL REFERENCES _runs(id)
        ) STRICT""")
    db.execute("""
        CREATE UNIQUE INDEX idx_failures_item
        ON _failures(coalesce(work_key, document, subject), stage, coalesce(task, ''))""")
    db.execute("CREATE INDEX idx_failures_work ON _failures(work_key)")
    db.execute("CREATE INDEX idx_failures_document ON _failures(document)")
    db.execute("CREATE INDEX idx_failures_subject ON _failures(subject)")


def m004_results(db: Database) -> None:
    """Tasks and the versions of their schemas, records, their evidence, and what they replaced."""
    db.execute("""
        CREATE TABLE _tasks (
            name TEXT NOT NULL,
            version INTEGER NOT NULL,
            schema TEXT NOT NULL,
            tables TEXT NOT NULL,
            recipe TEXT NOT NULL REFERENCES _recipes(id),
            saved TEXT NOT NULL,
            PRIMARY KEY (name, version)
        ) STRICT""")
    db.execute("""
        CREATE TABLE _records (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            task TEXT NOT NULL,
            document TEXT NOT NULL REFERENCES _documents(sha256),
            recipe TEXT NOT NULL REFERENCES _recipes(id),
            state TEXT NOT NULL,
            answer TEXT NOT NULL,
            cut TEXT NOT NULL,
            conflicts TEXT NOT NULL,
            run INTEGER NOT NULL REFERENCES _runs(id),
            saved TEXT NOT NULL
        ) STRICT""")
    db.execute("CREATE UNIQUE INDEX idx_records_document ON _records(document, task)")
    db.execute("CREATE INDEX idx_records_task ON _records(task, id)")
    db.execute("""
        CREATE TABLE _evidence (
            id INTEGER PRIMARY KEY,
            record INTEGER NOT NULL REFERENCES _records(id) ON DELETE CASCADE,
            path TEXT NOT NULL,
            quote TEXT NOT NULL,
            found TEXT NOT NULL,
            start_char INTEGER,
            end_char INTEGER,
            page INTEGER,
            occurrences INTEGER NOT NULL,
            confidence REAL
        ) STRICT""")
    db.execute("CREATE INDEX idx_evidence_record ON _evidence(record)")
    db.execute("""
        CREATE TABLE _history (
            id INTEGER PRIMARY KEY,
            task TEXT NOT NULL,
            record INTEGER NOT NULL,
            document TEXT NOT NULL REFERENCES _documents(sha256),
            file TEXT,
            row TEXT NOT NULL,
            evidence TEXT NOT NULL,
            reason TEXT NOT NULL,
            replaced_run INTEGER NOT NULL REFERENCES _runs(id),
            replaced TEXT NOT NULL
        ) STRICT""")
    db.execute("CREATE INDEX idx_history_record ON _history(task, record)")
    db.execute("CREATE INDEX idx_history_document ON _history(document)")


def m005_samples(db: Database) -> None:
    """The values of answers that were drawn beside the one that counts: a JSON array of objects."""
    db.execute("ALTER TABLE _extractions ADD COLUMN samples TEXT NOT NULL DEFAULT '[]'")


def m006_places(db: Database) -> None:
    """Names of stretches of a text, as JSON [[start, end, label], ...]: one cell, since they are only read together."""
    db.execute("ALTER TABLE _documents ADD COLUMN places TEXT")
    db.execute("ALTER TABLE _evidence ADD COLUMN place TEXT")


def m007_thoughts(db: Database) -> None:
    """What a reasoning model thought before an answer; NULL where it did not, or where nobody asked to keep it."""
    db.execute("ALTER TABLE _extractions ADD COLUMN thought TEXT")


def m008_ocr(db: Database) -> None:
    """Words that OCR read with their boxes, and what it read on each page, so that it is read once.

    `_ocr` is kept before its document is, so nothing ties it to `_documents` but the hash.
    """
    db.execute("ALTER TABLE _documents ADD COLUMN ocr TEXT NOT NULL DEFAULT ''")
    db.execute("""
        CREATE TABLE _words (
            document TEXT NOT NULL REFERENCES _documents(sha256) ON DELETE CASCADE,
            start_char INTEGER NOT NULL,
            end_char INTEGER NOT NULL,
            page INTEGER NOT NULL,
            x0 REAL NOT NULL, y0 REAL NOT NULL, x1 REAL NOT NULL, y1 REAL NOT NULL,
            confidence REAL NOT NULL,
            PRIMARY KEY (document, start_char)
        ) STRICT, WITHOUT ROWID""")
    db.execute("""
        CREATE TABLE _ocr (
            document TEXT NOT NULL,
            page INTEGER NOT NULL,
            settings TEXT NOT NULL,
            text TEXT NOT NULL,
            words TEXT NOT NULL,
            blank INTEGER NOT NULL,
            run INTEGER NOT NULL REFERENCES _runs(id),
            saved TEXT NOT NULL,
            PRIMARY KEY (document, page, settings)
        ) STRICT, WITHOUT ROWID""")


def m009_changes(db: Database) -> None:
    """How tracked changes were read: final, original, all; empty where a document has none."""
    db.execute("ALTER TABLE _documents ADD COLUMN changes TEXT NOT NULL DEFAULT ''")


def m010_stale(db: Database) -> None:
    """Records of a text that reads otherwise since: 1 until they are made again. Of older ones nobody knows it."""
    db.execute("ALTER TABLE _records ADD COLUMN stale INTEGER NOT NULL DEFAULT 0")


def m011_attachments(db: Database) -> None:
    """How many files a document holds. -1 where the ledger knows of some: older versions lost or kept them wrongly, so
    it is read again.
    """
    db.execute("ALTER TABLE _documents ADD COLUMN attachments INTEGER NOT NULL DEFAULT 0")
    db.execute("""UPDATE _documents SET attachments = -1
                  WHERE sha256 IN (SELECT sha256 FROM _files WHERE path IN (SELECT parent FROM _files))""")


STEPS = (
    m001_runs_and_files,
    m002_documents_and_chunks,
    m003_work,
    m004_results,
    m005_samples,
    m006_places,
    m007_thoughts,
    m008_ocr,
    m009_changes,
    m010_stale,
    m011_attachments,
)
migrations = Migrations("nightdesk")
for _step in STEPS:
    migrations()(_step)


def check_version(db: Database, path: Path) -> bool:
    """Whether the database is up to date. Raises StoreNewer where it knows steps that we do not."""
    applied = {step.name for step in migrations.applied(db)}
    known = {step.__name__ for step in STEPS}
    if newer := sorted(applied - known):
        raise StoreNewer(
            f"{path} was written by a newer Nightdesk (step {newer[-1]}).",
            hint="Install the newer Nightdesk, or name another database.",
        )
    return applied == known


def migrate(db: Database, path: Path) -> None:
    """Bring the database up to date, one transaction a step."""
    if not check_version(db, path):
        migrations.apply(db)


def require_current(db: Database, path: Path) -> None:
    """A reader cannot migrate: it refuses what is older."""
    if not check_version(db, path):
        raise StoreError(
            f"{path} was not written by this version of Nightdesk.",
            hint="`nightdesk run` with this database brings it up to date.",
        )

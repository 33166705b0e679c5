"""A plain database becomes an encrypted one: a copy by SQLCipher takes its place.

https://www.zetetic.net/sqlcipher/sqlcipher-api/#sqlcipher_export
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr
from sqlite_utils import Database

from pipeline.errors import StoreError, StoreLocked
from pipeline.store.connection import connect
from pipeline.store.driver import driver, files_of, is_plain, os_errors
from pipeline.store.lock import Lock
from pipeline.store.migrations import require_current

_BLOCK = 1 << 20


def encrypt(path: Path, key: SecretStr) -> None:
    """Put an encrypted copy in the place of the plain database at `path`, and overwrite the plain one with zeros.

    The copy is compared before it takes the place: a crash leaves one of the two, whole. Raises StoreLocked where a
    run or a reader has the database open, StoreFull, or StoreError.
    """
    driver(encrypted=True)  # where it is not installed, nothing is touched
    file = path.resolve()
    copy = file.with_name(file.name + ".encrypting")
    lock = Lock(file)
    try:
        if not is_plain(file):
            raise StoreError(f"{path} is encrypted already, or it is not a database.", hint="Check the path.")
        _bring_together(file)
        with os_errors(copy):
            _remove(copy)  # of one that was killed
        try:
            _copy(file, copy, key)
            with os_errors(file), file.open("r+b") as plain:
                copy.replace(file)
                _remember(file.parent)
                _overwrite(plain.fileno(), os.fstat(plain.fileno()).st_size)
        except BaseException:
            _remove(copy)
            raise
    finally:
        lock.release()


def _bring_together(file: Path) -> None:
    """Everything into the one file, which only works where nobody else has it open."""
    db = connect(file, write=True)
    try:
        require_current(db, file)
        db.conn.execute("PRAGMA busy_timeout = 0")
        db.conn.execute("PRAGMA journal_mode = DELETE")
    except StoreLocked as error:
        raise StoreLocked(
            f"Another program has {file} open.", hint="Close it (a database browser?) and run the same command again."
        ) from error
    finally:
        db.close()


def _copy(file: Path, copy: Path, key: SecretStr) -> None:
    db = connect(copy, write=True, key=key)
    try:
        db.conn.execute("PRAGMA foreign_keys = OFF")  # tables are copied in an order of SQLCipher's
        db.conn.execute("ATTACH DATABASE ? AS plain KEY ''", (str(file),))
        db.conn.execute("SELECT sqlcipher_export('main', 'plain')").fetchall()
        whole = db.conn.execute("PRAGMA main.integrity_check").fetchall() == [("ok",)]
        if not whole or _counts(db, "main") != _counts(db, "plain"):
            raise StoreError(
                f"The encrypted copy of {file} is not equal to it; it was removed and nothing was changed.",
                hint="Look whether the database is whole: `sqlite3 FILE 'PRAGMA integrity_check'`.",
            )
        db.conn.execute("DETACH DATABASE plain")
    finally:
        db.close()


def _counts(db: Database, schema: str) -> dict[str, int]:
    """How many rows each table has."""
    names = db.conn.execute(f"SELECT name FROM {schema}.sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    return {name: db.conn.execute(f'SELECT count(*) FROM {schema}."{name}"').fetchone()[0] for (name,) in names}


def _remove(copy: Path) -> None:
    """The copy and what SQLite put beside it."""
    for file in files_of(copy):
        file.unlink(missing_ok=True)


def _remember(folder: Path) -> None:
    """The new name is on the disk before the old bytes are zeros, also where the power is cut between the two."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _overwrite(handle: int, size: int) -> None:
    """Zeros over a file that has no name any more. What a disk or a file system keeps of it is out of reach."""
    os.lseek(handle, 0, os.SEEK_SET)
    for start in range(0, size, _BLOCK):
        os.write(handle, bytes(min(_BLOCK, size - start)))
    os.fsync(handle)

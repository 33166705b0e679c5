"""One SQLite connection: how it is opened, and what the parts of the store share. Knows nothing of tables."""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlite_utils import Database

from pipeline.errors import AnswerError, StoreError
from pipeline.store.driver import connection_class, driver, os_errors, translated

BUSY_SECONDS = 30
PAGE = 256
"""Rows that a streaming query takes at a time; between two pages no cursor is open, so the caller may write."""

_SURROGATES = re.compile("[\ud800-\udfff]")


def now() -> str:
    """The time as ISO-8601 UTC text."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def clean(text: str) -> str:
    """`text` without lone surrogates, which SQLite cannot hold; as long as before, so offsets stay right."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def as_json(value: object) -> str:
    """`value` as JSON text that SQLite takes. AnswerError where it holds a number that JSON has not."""
    try:
        return clean(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except ValueError as error:
        raise AnswerError(
            "The answer holds a number that is not finite.", hint="Give the field bounds in the schema."
        ) from error


def clean_path(path: str) -> str:
    """A path as it is kept: bytes of a name that are no UTF-8 (surrogates in Python) are written as escapes."""
    return path.encode("utf-8", "backslashreplace").decode()


def connect(path: Path, *, write: bool, key: SecretStr | None = None) -> Database:
    """Open the file at `path`, which a writer creates (0600) where there is none; with `key` it is encrypted."""
    module = driver(encrypted=key is not None)
    if write:
        with os_errors(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    elif not path.is_file():
        raise StoreError(f"There is no database at {path}.", hint="`nightdesk run` makes one.")
    uri = f"{path.resolve().as_uri()}?mode={'rw' if write else 'ro'}"
    try:
        connection = module.connect(
            uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, factory=connection_class(module)
        )
    except module.Error as error:
        raise translated(error, path) or error from error
    connection.path = path
    try:
        connection.identity = path.stat()
        if key is not None:
            unlock(connection, key)
        connection.execute("PRAGMA foreign_keys = ON")
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a commit outlives a power cut
        else:
            connection.execute("SELECT count(*) FROM sqlite_master")  # not a database: said here
        # Plugins of other tools have no business in a database of private documents.
        return Database(connection, execute_plugins=False)
    except BaseException:
        connection.close()
        raise


def unlock(connection: Any, key: SecretStr) -> None:
    """Give SQLCipher the key, before anything is read. Whether it is the right one shows at the first page."""
    connection.execute("PRAGMA cipher_log_level = NONE")  # it writes to stderr
    connection.execute(f"PRAGMA key = {literal(key)}")
    connection.execute("PRAGMA temp_store = MEMORY")  # temporary tables and sorting are not encrypted


def literal(key: SecretStr) -> str:
    """The key as text in SQL; pragmas take no parameters."""
    return "'" + key.get_secret_value().replace("'", "''") + "'"


class Part:
    """What the parts of the Store share: the connection and three ways to ask it."""

    def __init__(self, db: Database, path: Path, *, keep_text: bool = True) -> None:
        self.db = db
        self.path = path
        self.keep_text = keep_text

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All or nothing: what is saved inside is there after a crash, or none of it is. May be nested.

        Raises StoreError where the file at the path is not the one that was opened: SQLite would write on to a file
        that nobody finds any more.
        """
        with self.db.atomic():
            yield
        if not self.db.conn.in_transaction and not self._is_there():
            raise StoreError(
                f"{self.path} was removed or replaced while it was in use.",
                hint="Put it back, or go without it, and run the same command again.",
            )

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(self.path.stat(), self.db.conn.identity)
        except OSError:
            return False

    def _all(self, sql: str, parameters: Sequence[object] | dict[str, object] = ()) -> list[Any]:
        rows: list[Any] = self.db.conn.execute(sql, parameters).fetchall()
        return rows

    def _one(self, sql: str, parameters: Sequence[object] | dict[str, object] = ()) -> Any:
        return self.db.conn.execute(sql, parameters).fetchone()

    def _do(self, sql: str, parameters: Sequence[object] | dict[str, object] = ()) -> int:
        """Run a statement that writes; the number of rows it touched."""
        count: int = self.db.conn.execute(sql, parameters).rowcount
        return count

    def _many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        self.db.conn.executemany(sql, rows)

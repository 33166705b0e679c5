"""One SQLite connection: how it is opened, and the one place where SQLite's errors become ours.

Knows nothing of tables. Errors that point at a mistake of ours (a wrong statement, a broken constraint) pass through.
"""

from __future__ import annotations

import datetime
import errno
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from sqlite_utils import Database

from pipeline.errors import AnswerError, StoreError, StoreFull, StoreLocked

OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
BUSY_SECONDS = 30
PAGE = 256
"""Rows that a streaming query takes at a time; between two pages no cursor is open, so the caller may write."""

_SURROGATES = re.compile("[\ud800-\udfff]")

_P = ParamSpec("_P")
_T = TypeVar("_T")


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


def _full(path: Path) -> StoreFull:
    return StoreFull(
        f"There is no room left on the disk for {path}.",
        hint="Free some space and run the same command again; what was finished is kept.",
    )


_BY_CODE: dict[int, tuple[type[StoreError], str, str]] = {
    sqlite3.SQLITE_NOTADB: (
        StoreError,
        "{path} is not a SQLite database.",
        "Name another file; Nightdesk makes a new one.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        StoreError,
        "{path} is damaged.",
        "Copy what can be read with `sqlite3 {path} .recover`, or go on with a copy from a backup.",
    ),
    sqlite3.SQLITE_READONLY: (
        StoreError,
        "{path} cannot be written.",
        "Change the permissions of the file and its folder, or name another file.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        StoreError,
        "{path} cannot be opened.",
        "Look whether its folder exists and may be read and written.",
    ),
    sqlite3.SQLITE_PERM: (StoreError, "{path} may not be used.", "Change the permissions of the file."),
    sqlite3.SQLITE_IOERR: (
        StoreError,
        "Reading or writing {path} failed.",
        "Look whether the disk is still there, then run the same command again; what was finished is kept.",
    ),
    sqlite3.SQLITE_BUSY: (
        StoreLocked,
        "Another program is writing to {path}.",
        "Close the program that has it open (a database browser?) and run the same command again.",
    ),
}
_BY_CODE[sqlite3.SQLITE_LOCKED] = _BY_CODE[sqlite3.SQLITE_BUSY]


def translated(error: sqlite3.Error, path: Path) -> StoreError | None:
    """What SQLite's error means for the person, or None where it is a mistake of ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # A disk that is full shows as an I/O error where SQLite maps its shared-memory file.
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _no_room(path)):
        return _full(path)
    if code not in _BY_CODE:
        return None
    kind, message, hint = _BY_CODE[code]
    return kind(message.format(path=path), hint=hint.format(path=path))


def _no_room(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < 1 << 20
    except OSError:
        return False


@contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """Errors of the operating system about the database's own files become StoreErrors."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(path) from error
        if error.errno == errno.ENOENT:
            raise StoreError(
                f"The folder of {path} does not exist.", hint=f"Make it first: mkdir -p {path.parent}"
            ) from error
        if error.errno == errno.EISDIR:
            raise StoreError(
                f"{path} is a folder, not a database.", hint=f"Name a file: --db {path / 'night.db'}"
            ) from error
        raise StoreError(
            f"{path} cannot be used: {error.strerror}.",
            hint="Change the permissions of the file and its folder, or name another file.",
        ) from error


class _Cursor(sqlite3.Cursor):
    """A cursor whose errors are ours. sqlite_utils and every query of this room go through it."""

    connection: Connection

    def _ours(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return call(*args, **kwargs)
        except sqlite3.Error as error:
            ours = translated(error, self.connection.path)
            if ours is None:
                raise
            raise ours from error

    def execute(self, sql: str, parameters: Any = (), /) -> _Cursor:
        self._ours(super().execute, sql, parameters)
        return self

    def executemany(self, sql: str, parameters: Any, /) -> _Cursor:
        self._ours(super().executemany, sql, parameters)
        return self

    def fetchone(self) -> Any:
        return self._ours(super().fetchone)

    def fetchall(self) -> list[Any]:
        return self._ours(super().fetchall)

    def __next__(self) -> Any:
        return self._ours(super().__next__)


class Connection(sqlite3.Connection):
    """A connection that knows its path, for the messages of its errors."""

    path: Path
    identity: os.stat_result  # of the file that is open

    def cursor(self, factory: Any = _Cursor) -> Any:
        """A cursor whose errors are ours."""
        return super().cursor(factory)

    # The short cuts of the base class would not ask the cursor.

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Run one statement."""
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> Any:
        """Run one statement for each row of parameters."""
        return self.cursor().executemany(sql, parameters)


def connect(path: Path, *, write: bool) -> Database:
    """Open the file at `path`, which a writer creates (0600) where there is none."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreError(
            f"Python's SQLite is {sqlite3.sqlite_version}; Nightdesk needs 3.37 or newer.",
            hint="Use a newer Python.",
        )
    if write:
        with os_errors(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    elif not path.is_file():
        raise StoreError(f"There is no database at {path}.", hint="`nightdesk run` makes one.")
    uri = f"{path.resolve().as_uri()}?mode={'rw' if write else 'ro'}"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, factory=Connection)
    except sqlite3.Error as error:
        raise translated(error, path) or error from error
    connection.path = path
    try:
        connection.identity = path.stat()
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

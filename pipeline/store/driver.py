"""SQLite as the store uses it: Python's own, or SQLCipher's for encrypted databases, with errors that are ours.

Knows nothing of tables. Errors that point at a mistake of ours (a wrong statement, a broken constraint) pass through,
SQLCipher's as the classes of `sqlite3`, so that nobody above need know which of the two it is.
"""

from __future__ import annotations

import errno
import functools
import importlib
import os
import shlex
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

from pipeline.errors import StoreError, StoreFull, StoreLocked

OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
_PLAIN = b"SQLite format 3\0"
"""The first bytes of a database that is not encrypted. https://www.sqlite.org/fileformat.html, section 1.3."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _full(path: Path) -> StoreFull:
    return StoreFull(
        f"There is no room left on the disk for {path}.",
        hint="Free some space and run the same command again; what was finished is kept.",
    )


_BY_CODE: dict[int, tuple[type[StoreError], str, str]] = {
    sqlite3.SQLITE_NOTADB: (
        StoreError,
        "{path} is not a SQLite database, or it is encrypted.",
        "If it is encrypted, say where its key is with --key-from. If not, name another file; Nightdesk makes a new "
        "one.",
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


def translated(error: Exception, path: Path) -> StoreError | None:
    """What SQLite's error means for the person, or None where it is a mistake of ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB and not isinstance(error, sqlite3.Error):
        return _wrong_key(path)
    # A disk that is full shows as an I/O error where SQLite maps its shared-memory file.
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _no_room(path)):
        return _full(path)
    if code not in _BY_CODE:
        return None
    kind, message, hint = _BY_CODE[code]
    return kind(message.format(path=path), hint=hint.format(path=path))


def _of_python(error: Exception) -> Exception:
    """SQLCipher's error as the one that Python's own SQLite would have raised."""
    if isinstance(error, sqlite3.Error):
        return error
    same: Exception = getattr(sqlite3, type(error).__name__)(*error.args)
    return same


def _wrong_key(path: Path) -> StoreError:
    if is_plain(path):
        return StoreError(
            f"{path} is not encrypted, but a key was given.",
            hint="Leave out --key-from, or encrypt the database first: `nightdesk encrypt`.",
        )
    return StoreError(
        f"The key does not open {path}, or it is not an encrypted database.",
        hint="Give the key that it was made with; without it nobody can read it.",
    )


def files_of(path: Path) -> tuple[Path, ...]:
    """The database's file and what may lie beside it: SQLite's files and our lock."""
    return tuple(path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm", "-journal", ".lock"))


def is_plain(path: Path) -> bool:
    """Whether the file begins as a database does that is not encrypted."""
    with os_errors(path), path.open("rb") as file:
        return file.read(len(_PLAIN)) == _PLAIN


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
                f"The folder of {path} does not exist.", hint=f"Make it first: mkdir -p {shlex.quote(str(path.parent))}"
            ) from error
        if error.errno == errno.EISDIR:
            raise StoreError(
                f"{path} is a folder, not a database.",
                hint=f"Name a file: --db {shlex.quote(str(path / 'night.db'))}",
            ) from error
        raise StoreError(
            f"{path} cannot be used: {error.strerror}.",
            hint="Change the permissions of the file and its folder, or name another file.",
        ) from error


def driver(*, encrypted: bool) -> ModuleType:
    """The module that opens databases. StoreError where it is not installed or too old."""
    if not encrypted:
        found: ModuleType = sqlite3
    else:
        try:
            found = importlib.import_module("sqlcipher3.dbapi2")
        except ImportError as error:
            raise StoreError(
                "An encrypted database needs a package that is not installed.",
                hint="Install it: pip install 'nightdesk[encrypted]'",
            ) from error
    if found.sqlite_version_info < OLDEST_SQLITE:
        raise StoreError(
            f"Python's SQLite is {found.sqlite_version}; Nightdesk needs 3.37 or newer.", hint="Use a newer Python."
        )
    return found


@functools.cache
def connection_class(module: ModuleType) -> type[Any]:
    """The connection over a module of Python's database interface: `sqlite3`, or SQLCipher's."""

    class Cursor(module.Cursor):  # type: ignore[misc,name-defined]
        """A cursor whose errors are ours. sqlite_utils and every query of this room go through it."""

        def _ours(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
            try:
                return call(*args, **kwargs)
            except module.Error as error:
                ours = translated(error, self.connection.path) or _of_python(error)
                try:
                    raise ours from (None if ours is error else error)
                finally:
                    del ours  # it knows this frame by its traceback: the two would keep the file open

        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            self._ours(super().execute, sql, parameters)
            return self

        def executemany(self, sql: str, parameters: Any, /) -> Any:
            self._ours(super().executemany, sql, parameters)
            return self

        def fetchone(self) -> Any:
            return self._ours(super().fetchone)

        def fetchall(self) -> list[Any]:
            return self._ours(super().fetchall)

        def __next__(self) -> Any:
            return self._ours(super().__next__)

    class Connection(module.Connection):  # type: ignore[misc,name-defined]
        """A connection that knows its path, for the messages of its errors."""

        path: Path
        identity: os.stat_result  # of the file that is open

        def cursor(self, factory: Any = Cursor) -> Any:
            """A cursor whose errors are ours."""
            return super().cursor(factory)

        # The short cuts of the base class would not ask the cursor.

        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            """Run one statement."""
            return self.cursor().execute(sql, parameters)

        def executemany(self, sql: str, parameters: Any, /) -> Any:
            """Run one statement for each row of parameters."""
            return self.cursor().executemany(sql, parameters)

    return Connection

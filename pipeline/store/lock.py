"""One writer a database: a lock of the operating system on a file beside it, which a crash releases by itself.

The file says who holds it. It knows nothing of SQLite; readers do not take it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from pathlib import Path

from pipeline.errors import StoreLocked
from pipeline.store.connection import now
from pipeline.store.driver import os_errors

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # a byte behind the content: Windows does not let others read what is locked

    def _take(handle: int) -> bool:
        os.lseek(handle, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(handle, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _take(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Lock:
    """The right to write to one database, held from construction to `release()`."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        self._handle = self._acquire(database)

    def _acquire(self, database: Path) -> int:
        while True:
            with os_errors(database):
                handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            if not _take(handle):
                holder = _read(handle)
                os.close(handle)
                raise StoreLocked(
                    f"{database} is in use by {holder}.",
                    hint="Wait until it has ended, or stop it; then run the same command again.",
                )
            if self._is_still_the_file(handle):
                break
            os.close(handle)  # the holder before us removed it between our open and our lock
        try:
            with os_errors(database):
                os.ftruncate(handle, 0)
                os.write(
                    handle,
                    json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now()}).encode(),
                )
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _is_still_the_file(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), self.path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let others write. The file goes too, where the system removes open files."""
        with contextlib.suppress(PermissionError):
            self.path.unlink(missing_ok=True)
        os.close(self._handle)


def _read(handle: int) -> str:
    """Who holds it, in words."""
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        holder = json.loads(os.read(handle, 4096))
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"  # it has the lock but has not yet written who it is

"""A hidden folder beside a database, for texts that a command needs for a while and throws away.

It lies where the database lies, so that texts stay on the disk that was chosen for them. A crash leaves it behind;
whoever writes to the database next removes it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import StoreLocked
from pipeline.store.driver import os_errors
from pipeline.store.lock import Lock


@contextmanager
def scratch(database: Path) -> Iterator[Path]:
    """An empty folder (0700), removed at the end. Raises StoreLocked where another process has it, or StoreError."""
    folder = _beside(database)
    lock = Lock(folder)
    try:
        with os_errors(database):
            _remove(folder)
            folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            _remove(folder)
    finally:
        lock.release()


def sweep(database: Path) -> None:
    """Remove what a process that was killed has left. Raises StoreError where it cannot be removed."""
    folder = _beside(database)
    if not folder.exists():
        return
    try:
        lock = Lock(folder)
    except StoreLocked:
        return  # it is in use
    try:
        with os_errors(database):
            _remove(folder)
    finally:
        lock.release()


def _beside(database: Path) -> Path:
    file = database.resolve()
    return file.with_name(f".{file.name}.nightdesk")


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)

"""Runs the command in processes of its own, each with a fault at a chosen statement. Run as a script.

Python and the package are loaded once; each request (a JSON line on stdin) forks, so that a hundred killed processes
take seconds. The fault is put in from outside, around the one place where statements are run: the package knows
nothing of it. Answers (a JSON line on stdout): the exit code (negative: the signal), what was printed, and how many
statements were run, where the process lived to say so.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import os
import pkgutil
import resource
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pipeline
from pipeline.cli import call
from pipeline.errors import NightdeskError
from pipeline.run import intake
from pipeline.store.driver import connection_class

Connection = Any  # of sqlite3 or of sqlcipher3
DRIVERS = [sqlite3]
if importlib.util.find_spec("sqlcipher3"):
    DRIVERS.append(importlib.import_module("sqlcipher3.dbapi2"))
kept: list[object] = []  # connections that hold locks


def plainly(ours: Connection, sql: str) -> Any:
    """A statement that is not counted."""
    driver = next(driver for driver in DRIVERS if isinstance(ours, driver.Connection))
    return driver.Connection.execute(ours, sql)


def kill(_: Connection) -> bool:
    os.kill(os.getpid(), signal.SIGKILL)
    return True


def interrupt(_: Connection) -> bool:
    raise KeyboardInterrupt


def lock(ours: Connection) -> bool:
    """Another program begins to write, as soon as it can, and goes on writing."""
    if ours.in_transaction:
        return False
    driver = next(driver for driver in DRIVERS if isinstance(ours, driver.Connection))
    other = driver.connect(ours.path, isolation_level=None)
    if driver is not sqlite3:
        other.execute(f"PRAGMA key = '{Path('key').read_text().strip()}'")
    other.execute("BEGIN IMMEDIATE")
    kept.append(other)
    plainly(ours, "PRAGMA busy_timeout = 0")
    return True


def fill(ours: Connection) -> bool:
    """The disk takes a few pages more."""
    (pages,) = plainly(ours, "PRAGMA page_count").fetchone()
    plainly(ours, f"PRAGMA max_page_count = {pages + 2}")
    return True


def limit(ours: Connection) -> bool:
    """No file may grow over its size: what a quota does."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    size = max(path.stat().st_size for path in ours.path.parent.glob(ours.path.name + "*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return True


def vanish(ours: Connection) -> bool:
    """Somebody removes the database while it is written."""
    for path in ours.path.parent.glob(ours.path.name + "*"):
        path.unlink()
    return True


FAULTS = {fault.__name__: fault for fault in (kill, interrupt, lock, fill, limit, vanish)}


def give_up_rights() -> None:
    """Takes root's power over permissions (capset(2)) and leaves the user, who can still read what is imported."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    none = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")


class ReaderHere:
    """A reading worker without a process."""

    def __init__(self, handler: Any, **_limits: object) -> None:
        self.ask = handler

    def close(self) -> None:
        pass


def map_here(handler: Any, requests: Any, **_limits: object) -> Iterator[tuple[Any, Any]]:
    for request in requests:
        try:
            yield request, handler(request)
        except NightdeskError as error:
            yield request, error


def work(request: dict[str, Any], count: Path) -> int:
    """The forked process: the command, with its fault."""
    statements, done = 0, False

    def counted(self: Connection) -> None:
        nonlocal statements, done
        statements += 1
        if "fault" in request and not done and statements >= request["at"]:
            done = True  # also where it raises
            done = FAULTS[request["fault"]](self)

    def count_in(kind: Any) -> None:
        plain, plain_many = kind.execute, kind.executemany

        def execute(self: Any, sql: str, parameters: Any = (), /) -> Any:
            counted(self)
            # A killed process loses nothing that it gave to the system; only a power cut would.
            return plain(self, sql.replace("synchronous = FULL", "synchronous = OFF"), parameters)

        def executemany(self: Any, sql: str, parameters: Any, /) -> Any:
            counted(self)
            return plain_many(self, sql, parameters)

        kind.execute, kind.executemany = execute, executemany

    for driver in DRIVERS:
        count_in(connection_class(driver))
    if not request.get("real_readers"):
        intake.map_ordered, intake.Worker = map_here, ReaderHere  # type: ignore[assignment, misc]
    os.chdir(request["cwd"])
    if request.get("powerless"):
        give_up_rights()
    code = call(request["args"])
    sys.stdout.flush()
    sys.stderr.flush()
    count.write_text(str(statements))
    return code


def serve(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    out, count = folder / "out", folder / "count"
    count.write_text("0")
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            code = work(request, count)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    if "after" in request:
        time.sleep(request["after"])
        os.kill(pid, signal.SIGKILL)  # not yet waited for: the id is still its own
    _, status = os.waitpid(pid, 0)
    said = out.read_text(errors="replace")
    return {"code": os.waitstatus_to_exitcode(status), "said": said, "statements": int(count.read_text())}


def main() -> None:
    for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
        if module.name != "pipeline.engines.llama":
            importlib.import_module(module.name)
    warnings.simplefilter("ignore")  # numpy's threads were started before the fork; nothing uses them there
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            print(json.dumps(serve(json.loads(line), Path(folder))), flush=True)


if __name__ == "__main__":
    main()

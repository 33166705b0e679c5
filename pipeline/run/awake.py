"""The machine does not go to sleep by itself while a run works. Where it cannot be asked, nothing happens."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

_LINUX = ("systemd-inhibit", "--what=sleep:idle", "--who=Nightdesk", "--why=A run works", "--mode=block", "cat")
_MAC = ("caffeinate", "-i", "cat")
_CONTINUOUS, _SYSTEM_REQUIRED = 0x8000_0000, 0x1  # winbase.h; learn.microsoft.com: SetThreadExecutionState


def command() -> tuple[str, ...] | None:
    """The program that keeps this machine awake until its standard input is closed."""
    wanted = {"linux": _LINUX, "darwin": _MAC}.get(sys.platform)
    return wanted if wanted is not None and shutil.which(wanted[0]) else None


def windows_call() -> Callable[[int], int] | None:
    """What Windows calls SetThreadExecutionState, where this is Windows. It gives 0 where it could do nothing."""
    if sys.platform != "win32":
        return None
    call = ctypes.windll.kernel32.SetThreadExecutionState
    call.argtypes, call.restype = (ctypes.c_uint32,), ctypes.c_uint32
    return cast("Callable[[int], int]", call)


def means() -> str | None:
    """What keeps this machine awake, by name; None where nothing does."""
    words = command()
    return words[0] if words else "SetThreadExecutionState" if windows_call() else None


@contextmanager
def awake() -> Iterator[None]:
    """Keep the machine awake inside. What does it ends with this process, however that ends.

    On Windows the calling thread asks, for as long as it lives, and takes it back at the end.
    """
    if (call := windows_call()) is not None:
        call(_CONTINUOUS | _SYSTEM_REQUIRED)
        try:
            yield
        finally:
            call(_CONTINUOUS)
        return
    child = None
    words = command()
    if words is not None:
        with suppress(OSError):
            child = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,  # closed when this process is gone, and then `cat` ends
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us
            )
    try:
        yield
    finally:
        if child is not None and child.stdin is not None:
            with suppress(OSError):
                child.stdin.close()
            try:
                child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

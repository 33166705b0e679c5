"""The machine does not go to sleep by itself while a run works. Where it cannot be asked, nothing happens."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_LINUX = ("systemd-inhibit", "--what=sleep:idle", "--who=Nightdesk", "--why=A run works", "--mode=block", "cat")
_MAC = ("caffeinate", "-i", "cat")


def command() -> tuple[str, ...] | None:
    """The program that keeps this machine awake until its standard input is closed."""
    wanted = {"linux": _LINUX, "darwin": _MAC}.get(sys.platform)
    return wanted if wanted is not None and shutil.which(wanted[0]) else None


@contextmanager
def awake() -> Iterator[None]:
    """Keep the machine awake inside. The child that does it ends with this process, however that ends."""
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

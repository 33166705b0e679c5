"""Where a child process begins: ties itself to its parent, gives up the network and its excess, then runs its target.

Imports stay light: every child pays for them.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from pipeline import offline
from pipeline.supervise.wire import Channel, Closed


def main(descriptor: int, parent: int, memory: int | None) -> None:
    """Runs the target that the parent sends first. Does not return."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # these reach whole groups; the parent decides
    end_with(parent)
    _go_first()
    offline.quiet_environment()
    offline.guard()
    faulthandler.enable()
    if memory is not None:
        # Not RLIMIT_AS: a model's file mapped into memory is not what eats a machine.
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    os.set_inheritable(descriptor, False)
    channel = Channel(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptor))
    status = 0
    try:
        target, args = channel.recv()
        channel.ready()
        target(channel, *args)
    except Closed:
        pass
    except BaseException as error:
        status = 1
        with contextlib.suppress(Closed):
            channel.fail(error)
    # Not sys.exit: what C libraries do at exit can crash or wait, and nothing of it is needed.
    os._exit(status)


def end_with(parent: int) -> None:
    """This process ends when the thread of the parent that started it does."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _go_first() -> None:
    """When the machine's memory ends, the kernel takes this process and not the one that holds the database."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")

"""One supervised child process, seen from the parent.

Nothing here blocks on the child: what the parent sends waits in an outbox until the child takes it, so the two can
send to each other at the same time. Bytes move only inside `send`, `poll`, `recv`, `stop` and `wait`. One thread of
the parent owns a child, and lives as long: on Linux the child ends when the thread that started it does.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.errors import ChildDied, ChildError, ChildHung
from pipeline.supervise.wire import HEADER, LARGEST, Boundary, Kind

STARTING = 60.0  # seconds a child may take to import its target
LINGER = 5.0  # seconds between the end of a child's messages and its own
GLANCE = 1.0  # seconds after which a wait looks whether the child still exists
TAIL = 1 << 16  # bytes kept of what the child printed, to find the place of a crash in; never shown

_SIGNALS = {
    signal.SIGKILL: ("killed", "it was killed, probably because the machine's memory ended"),
    signal.SIGABRT: ("crashed", "it aborted, which is how C libraries end on a failed assertion"),
    signal.SIGSEGV: ("crashed", "segmentation fault"),
    signal.SIGBUS: ("crashed", "bus error; a file in use may have been cut short"),
    signal.SIGFPE: ("crashed", "arithmetic error"),
    signal.SIGILL: ("crashed", "illegal instruction; a library was built for another CPU"),
}
_OUT_OF_MEMORY = re.compile(rb"std::bad_alloc|memory allocation of \d+ bytes failed")
_ASSERTION = re.compile(rb"^(?:\S*/)?([\w.-]+\.(?:c|cc|cpp|cu|m|h|hpp)):(\d+):", re.MULTILINE)
_PYTHON = re.compile(rb'^  File "(?:[^"\n]*?/)??((?:[\w.-]+/)?[\w.-]+\.py)", line (\d+)', re.MULTILINE)


class Supervised:
    """A child process that runs `target(channel, *args)`. `memory` limits its private writable memory, in bytes;
    `environment` is added to ours, for libraries that read it when they are loaded.

    `target` and `args` are pickled: a target is a function of a module that can be imported. `recv` raises
    NightdeskErrors that the child raised, ChildFailed for any other error of its, ChildDied and ChildHung.
    """

    def __init__(
        self,
        target: Callable[..., None],
        *args: object,
        name: str,
        memory: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if target.__module__ == "__main__":
            raise ValueError("a child cannot import its target from __main__")
        self.name = name
        self._target = (target, args)
        self._memory = memory
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._messages = self._bytes = 0
        self._seconds = 0.0  # ours
        self._child_seconds = self._child_seconds_before = 0.0  # of this process; of those before it

    # --- life

    def start(self) -> None:
        """Starts the process. It imports its target while the parent goes on."""
        if self._process is not None:
            raise RuntimeError(f"the {self.name} process was started already")
        self._outbox: deque[memoryview] = deque()
        self._inbox: deque[tuple[Kind, bytes]] = deque()
        self._buffer = bytearray()
        self._printed = b""
        self._ended = self._killed_here = False
        self._child_seconds_before += self._child_seconds
        self._child_seconds = 0.0
        self.ready = False
        self._heard = time.monotonic() + STARTING
        self._socket, theirs = socket.socketpair()
        self._output, output = os.pipe()
        self._socket.setblocking(False)
        os.set_blocking(self._output, False)
        # The path comes first: a json.py among the documents in the working directory is not imported.
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from pipeline.supervise.child import main;"
            f" main({theirs.fileno()}, {os.getpid()}, {self._memory})"
        )
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                env=os.environ | self._environment,
                start_new_session=True,  # no terminal to write to, no Ctrl-C
            )
        except OSError as error:
            self._close()
            raise ChildDied(f"The {self.name} process cannot be started: {error.strerror}.", code="crashed") from error
        finally:
            theirs.close()
            os.close(output)
        self.send(self._target)

    def stop(self, *, grace: float = 5.0) -> None:
        """Asks the child to end, and kills it after `grace` seconds. Stopping twice is fine."""
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        until = time.monotonic() + grace
        while not self._ended and time.monotonic() < until:
            self._glance(until - time.monotonic())
        if self._ended:
            self._reap(max(0.0, until - time.monotonic()))
        self.kill()
        self._close()
        self._process = None

    def kill(self) -> None:
        """Ends the child and what it started, now. Messages that arrived before can still be received."""
        process = self._started()
        if not self._reap(0.0):
            self._killed_here = not self._ended
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._move()
        self._ended = True

    def restart(self) -> None:
        """A fresh process for the same target. What the old one sent and nobody received is dropped."""
        self.stop(grace=0.0)
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(grace=5.0 if error is None else 0.0)

    # --- messages

    def send(self, message: object) -> None:
        """Hands a message over without waiting. If the child is dead, the next recv() says so."""
        self._started()
        started = time.perf_counter()
        body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._outbox.append(memoryview(HEADER.pack(Kind.MESSAGE, len(body), 0.0) + body))
        self._messages += 1
        self._bytes += len(body)
        self._seconds += time.perf_counter() - started
        self._heard = max(self._heard, time.monotonic())
        self._move()

    def poll(self, timeout: float = 0.0) -> bool:
        """Waits up to `timeout` seconds. True: recv() would return or raise at once."""
        until = time.monotonic() + timeout
        while not (self._inbox or self._ended):
            self._glance(max(0.0, until - time.monotonic()))
            if time.monotonic() >= until:
                break
        return bool(self._inbox) or self._ended

    def recv(self, *, timeout: float) -> Any:  # noqa: ANN401 - whatever the child sent
        """The child's next message. `timeout`: seconds without a sign of life after which it counts as hung.

        A hung child is killed. Messages, beats and any bytes at all are signs of life.
        """
        self._heard = max(self._heard, time.monotonic())
        while not self.poll(min(GLANCE, max(0.0, timeout - self.silent_for))):
            if self.silent_for >= timeout:
                self.kill()
                raise self.hung(timeout)
        if not self._inbox:
            raise self._death()
        kind, body = self._inbox.popleft()
        started = time.perf_counter()
        try:
            message = pickle.loads(body)  # noqa: S301 - from our own child, which has no network
        except Exception as error:
            raise self._garbage() from error
        finally:
            self._seconds += time.perf_counter() - started
        if kind is not Kind.RAISED:
            return message
        if not isinstance(message, BaseException):
            raise self._garbage()
        if isinstance(message, ChildError):
            what = "failed" if self.ready else "could not start"
            message.message = f"The {self.name} process {what}: {message.message}"
            message.args = (message.message,)
        raise message

    def ask(self, request: object, *, timeout: float) -> Any:  # noqa: ANN401 - whatever the child answers
        """Sends a request and waits for its answer."""
        self.send(request)
        return self.recv(timeout=timeout)

    @property
    def alive(self) -> bool:
        """Whether the child exists, as far as was seen."""
        return self._process is not None and not self._ended

    @property
    def silent_for(self) -> float:
        """Seconds since the last sign of life or the last send; 0 while the child is starting."""
        return max(0.0, time.monotonic() - self._heard)

    @property
    def boundary(self) -> Boundary:
        """What the boundary has cost so far, over all restarts."""
        return Boundary(self._messages, self._bytes, self._seconds + self._child_seconds + self._child_seconds_before)

    @property
    def resident(self) -> int | None:
        """Bytes of memory the child holds now; None where the system does not say."""
        try:
            pages = Path(f"/proc/{self._started().pid}/statm").read_text().split()[1]
        except OSError:
            return None
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def hung(self, timeout: float) -> ChildHung:
        """The error for a child that gave no sign of life for so long."""
        return ChildHung(f"The {self.name} process gave no sign of life for {timeout:g} seconds.", code="hung")

    # --- the rest is how

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"the {self.name} process is not running")
        return self._process

    def _glance(self, timeout: float) -> None:
        """Moves bytes once. A child whose socket is held open by a process it started is noticed here."""
        wait([self], min(timeout, GLANCE))
        if not self._ended and self._reap(0.0):
            self._move()
            self._ended = True

    def _reap(self, timeout: float) -> bool:
        """Whether the process ended within `timeout` seconds. What it started ends with it."""
        process = self._started()
        if process.returncode is not None:
            return True
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        return True

    def _watch(self, selector: selectors.BaseSelector) -> None:
        if self._ended:
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outbox else 0)
        selector.register(self._socket, events, self)
        if self._output >= 0:
            selector.register(self._output, selectors.EVENT_READ, self)

    def _move(self) -> None:
        """Moves the bytes that can move now."""
        started = time.perf_counter()
        try:
            while self._outbox:
                sent = self._socket.send(self._outbox[0])
                if sent == len(self._outbox[0]):
                    self._outbox.popleft()
                else:
                    self._outbox[0] = self._outbox[0][sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._outbox.clear()  # the child is gone, and reading says so
        with contextlib.suppress(BlockingIOError):
            while not self._ended:
                try:
                    data = self._socket.recv(1 << 20)
                except ConnectionResetError:
                    data = b""
                self._ended = not data
                self._feed(data)
        with contextlib.suppress(BlockingIOError):
            while self._output >= 0:
                data = os.read(self._output, TAIL)
                self._printed = (self._printed + data)[-TAIL:]
                if not data:
                    os.close(self._output)
                    self._output = -1
        self._seconds += time.perf_counter() - started

    def _feed(self, data: bytes) -> None:
        if not data:
            return
        self._heard = time.monotonic() if self.ready else self._heard
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            kind, size, spent = HEADER.unpack_from(self._buffer)
            if kind not in Kind.__members__.values() or size > LARGEST:
                self._inbox.append((Kind.MESSAGE, b""))  # unpickles as what it is: garbage
                self._ended = True
                return
            end = HEADER.size + size
            if len(self._buffer) < end:
                return
            body = bytes(memoryview(self._buffer)[HEADER.size : end])
            del self._buffer[:end]
            self._child_seconds = spent
            if kind == Kind.READY:
                self.ready, self._heard = True, time.monotonic()
            elif kind != Kind.BEAT:
                self._inbox.append((Kind(kind), body))
                self._messages += 1
                self._bytes += size

    def _garbage(self) -> ChildDied:
        self.kill()
        return ChildDied(
            f"The {self.name} process answered something that is no message, and was ended.", code="garbage"
        )

    def _death(self) -> ChildDied:
        """What is known about the end of the child, without a word of what it printed."""
        if not self._reap(LINGER):  # it closed its socket and lives on
            self.kill()
        exitcode = self._started().returncode
        self._move()
        code, what = "crashed", f"it ended by itself with exit code {exitcode}"
        if self._killed_here:
            code, what = "killed", "it was ended by this process"
        elif exitcode < 0:
            number = signal.Signals(-exitcode)
            code, what = _SIGNALS.get(number, ("killed", f"it was ended by {number.name}"))
        if _OUT_OF_MEMORY.search(self._printed):
            code, what = "memory", f"{what}; it had no memory left"
        crash = self._printed[max(0, self._printed.rfind(b"Fatal Python error: ")) :]
        place = _ASSERTION.search(self._printed) or _PYTHON.search(crash)
        where = f", at {place[1].decode()}:{place[2].decode()}" if place else ""
        error = ChildDied(f"The {self.name} process died: {what}{where}.", code=code)
        error.exitcode = exitcode
        return error

    def _close(self) -> None:
        self._socket.close()
        if self._output >= 0:
            os.close(self._output)
            self._output = -1


def wait(children: Iterable[Supervised], timeout: float) -> None:
    """Moves bytes to and from these children, until some moved or `timeout` seconds are over."""
    with selectors.PollSelector() as selector:
        for child in children:
            child._watch(selector)
        if selector.get_map():
            for child in {id(key.data): key.data for key, _ in selector.select(timeout)}.values():
                child._move()

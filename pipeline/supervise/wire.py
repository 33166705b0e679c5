"""What crosses between parent and child: frames of a header and a pickle, and the child's end of it.

Knows nothing of processes. The time that the boundary costs is counted on both sides.
"""

from __future__ import annotations

import enum
import pickle
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ChildDied, ChildFailed, NightdeskError

HEADER = struct.Struct(">BQd")  # kind, length of the pickle, seconds the child has spent on the boundary so far
LARGEST = 1 << 30  # a longer message is taken for garbage
BEAT_EVERY = 0.1  # seconds


class Kind(enum.IntEnum):
    """What a frame says. Numbers far from zero, so that stray bytes seldom look like one."""

    MESSAGE = 0xA1
    BEAT = 0xA2  # alive, and getting on
    READY = 0xA3  # the target is imported
    RAISED = 0xA4  # carries an exception


@dataclass(frozen=True, slots=True)
class Boundary:
    """What the process boundary has cost: messages and bytes both ways, seconds in pickling and pipes of both sides."""

    messages: int = 0
    bytes: int = 0
    seconds: float = 0.0


class Closed(Exception):  # noqa: N818 - it is no error: the parent has no more work
    """The parent asks the child to end. Let it pass."""


class Channel:
    """The child's end. Only the child's thread that runs the target uses it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._spent = 0.0
        self._last_sent = 0.0

    def recv(self) -> Any:  # noqa: ANN401 - whatever the parent sent
        """The parent's next message. Raises Closed when the parent wants the child to end."""
        _, size, _ = HEADER.unpack(self._read(HEADER.size))
        started = time.perf_counter()
        message = pickle.loads(self._read(size))  # noqa: S301 - from our own parent
        self._spent += time.perf_counter() - started
        return message

    def poll(self, timeout: float = 0.0) -> bool:
        """Whether recv() would return (or raise) at once."""
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        return bool(waiting.poll(timeout * 1000))

    def send(self, message: object) -> None:
        """Hands a message to the parent. One that does not pickle is a ChildFailed here, and nothing was sent."""
        self._send(Kind.MESSAGE, message)

    def beat(self) -> None:
        """A sign of life between two messages. Cheap: call it as often as there is progress."""
        if time.monotonic() - self._last_sent >= BEAT_EVERY:
            self._write(Kind.BEAT, b"")

    def ready(self) -> None:
        """The target is imported and starts."""
        self._write(Kind.READY, b"")

    def fail(self, error: BaseException) -> None:
        """Sends an exception: a NightdeskError as itself, any other as where it was raised, without its message."""
        named = error if isinstance(error, NightdeskError) else _without_content(error)
        try:
            self._send(Kind.RAISED, named)
        except ChildFailed:
            self._send(Kind.RAISED, _without_content(error))

    def _send(self, kind: Kind, message: object) -> None:
        started = time.perf_counter()
        try:
            body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        except MemoryError:
            raise
        except Exception as error:
            what = type(message).__qualname__
            raise ChildFailed(f"An answer of type {what} cannot be sent to the parent.", code="bug") from error
        if len(body) > LARGEST:
            raise ChildFailed(f"An answer of {len(body)} bytes is too large for the parent.", code="memory")
        self._spent += time.perf_counter() - started
        self._write(kind, body)

    def _write(self, kind: Kind, body: bytes) -> None:
        started = time.perf_counter()
        try:
            self._socket.sendall(HEADER.pack(kind, len(body), self._spent) + body)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error
        self._spent += time.perf_counter() - started
        self._last_sent = time.monotonic()

    def _read(self, size: int) -> bytearray:
        buffer = bytearray(size)
        view = memoryview(buffer)
        while view:
            try:
                count = self._socket.recv_into(view)
            except ConnectionResetError as error:
                raise Closed from error
            if count == 0:
                raise Closed
            view = view[count:]
        return buffer


def _without_content(error: BaseException) -> NightdeskError:
    """An error of no class of ours, as its type and place: its message may hold a document's text."""
    kind = type(error).__qualname__
    if isinstance(error, MemoryError):
        return ChildDied("it needed more memory than it may use.", code="memory")
    places = []
    trace = error.__traceback__
    while trace is not None:
        places.append((trace.tb_frame.f_globals.get("__name__", "?"), trace.tb_lineno))
        trace = trace.tb_next
    inner = [f"{module}:{line}" for module, line in places[-1:]]
    ours = [f"{module}:{line}" for module, line in places[:-1] if str(module).startswith("pipeline.")]
    return ChildFailed(
        " from ".join([f"{kind} at {inner[0] if inner else 'an unknown place'}", *ours[-1:]]),
        code="bug",
        hint="Please report this line; it names the place in the code and nothing of the document.",
    )

"""The one way to a server on this machine: a child process that carries bytes between us and one loopback address.

The process that reads documents and holds the database stays without network sockets: it talks to the relay through
Unix sockets, one for each connection. The relay knows no HTTP and no documents; its address is fixed when it starts.
There the kernel lets stream sockets through, since a seccomp filter cannot see addresses; that they go to a loopback
address is checked by the audit hook of `pipeline.offline`, and nothing runs in the relay but this module.

The kernel filter of a guarded process holds for its children too, so a relay must be started before the guard is
put on: the entry of the command line asks for it first. It lives as long as the process, for all runs in it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial

from pipeline import offline
from pipeline.supervise.child import end_with

_CONNECTED, _NOBODY, _REFUSED = b"+", b"-", b"!"
_BLOCK = 1 << 16
_CONNECTING = 10.0  # seconds

_relays: dict[tuple[str, int], Relay] = {}


class Relay:
    """A relay to one address, started. `host` is `localhost` or a literal loopback address. Threads may share it."""

    def __init__(self, host: str, port: int) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from pipeline.supervise.relay import main;"
            f" main({theirs.fileno()}, {os.getpid()}, {host!r}, {port})"
        )
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def connect(self, timeout: float) -> socket.socket:
        """A new connection to the address. Raises ConnectionError where nobody listens there, or PermissionError."""
        ours, theirs = socket.socketpair()
        try:
            with theirs, self._lock:
                socket.send_fds(self._control, [_CONNECTED], [theirs.fileno()])
            ours.settimeout(timeout)
            answer = ours.recv(1)
            if answer == _REFUSED:
                raise PermissionError("the network guard was on before the relay was started")
            if answer != _CONNECTED:
                raise ConnectionRefusedError("nobody listens there")
        except BaseException:
            ours.close()
            raise
        return ours

    def close(self) -> None:
        """End the relay and every connection through it. Closing twice is fine."""
        self._control.close()
        self._process.kill()
        self._process.wait()


def relay_to(host: str, port: int) -> Relay:
    """This process's relay to the address, started where there is none yet, which only works before the guard is on."""
    if (host, port) not in _relays:
        _relays[host, port] = Relay(host, port)
    return _relays[host, port]


# --- the child


def main(descriptor: int, parent: int, host: str, port: int) -> None:
    """Takes connections from the parent until it closes its end. Does not return."""
    end_with(parent)
    offline.quiet_environment()
    offline.guard(allow_loopback=True)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptor)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            os._exit(0)
        for each in descriptors:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=each)
            _thread(partial(_serve, client, host, port))


def _serve(client: socket.socket, host: str, port: int) -> None:
    """One connection, from its beginning to its end."""
    with client, contextlib.suppress(OSError):
        try:
            server = _connected(host, port)
        except PermissionError:
            client.sendall(_REFUSED)
            return
        except OSError:
            client.sendall(_NOBODY)
            return
        with server:
            client.sendall(_CONNECTED)
            back = _thread(partial(_pump, server, client))
            _pump(client, server)
            with contextlib.suppress(OSError):  # we ended it: the server need not go on for nobody
                server.shutdown(socket.SHUT_RDWR)
            back.join()


def _connected(host: str, port: int) -> socket.socket:
    """`localhost` means 127.0.0.1 and ::1 here: nobody is asked what the name stands for."""
    last: OSError | None = None
    for literal in ("127.0.0.1", "::1") if host == "localhost" else (host,):
        server = socket.socket(socket.AF_INET6 if ":" in literal else socket.AF_INET, socket.SOCK_STREAM)
        try:
            server.settimeout(_CONNECTING)
            server.connect((literal, port))
            server.settimeout(None)
        except OSError as error:
            server.close()
            last = error
        else:
            return server
    assert last is not None  # noqa: S101 - the loop ran
    raise last


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Bytes from one side to the other until there are no more. The other direction may go on."""
    with contextlib.suppress(OSError):
        while data := source.recv(_BLOCK):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _thread(target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread

"""HTTP to one server on this machine, through the relay. JSON in, JSON out; redirects are never followed."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import EngineError
from pipeline.supervise.relay import Relay

LARGEST = 64 << 20  # bytes of an answer
QUESTION = 30.0  # seconds for a question about the server itself
COUNT = 600.0  # seconds for counting tokens: some servers do nothing else while they answer somebody
ANSWER = 1800.0  # seconds for a model's answer, queueing included


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered. `said` is the JSON of the body, None where it is not JSON."""

    status: int
    said: Any = field(repr=False)
    retry_after: float | None = None  # seconds

    def get(self, *path: str) -> Any:  # noqa: ANN401 - JSON
        """The value under these keys of a 200 answer; None where there is none."""
        value = self.said if self.status == 200 else None
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value


class _Connection(http.client.HTTPConnection):
    """A connection whose bytes go through the relay. http.client reads no proxies from the environment."""

    def __init__(self, relay: Relay, host: str, port: int, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._relay, self._patience = relay, timeout

    def connect(self) -> None:
        """Called by http.client before the first byte is sent."""
        self.sock = self._relay.connect(self._patience)

    def end(self) -> None:
        """From another thread: whoever waits for the answer is told that there is none."""
        with suppress(OSError, AttributeError):  # not connected yet, or not any more
            self.sock.shutdown(socket.SHUT_RDWR)


class Http:
    """One server. Threads may share it: each request has a connection of its own."""

    def __init__(self, relay: Relay, host: str, port: int, key: str = "") -> None:
        """`key`: what a server that was started with one asks for. The relay is not ours: runs share it."""
        self._relay, self._host, self._port = relay, host, port
        self._headers = {"Content-Type": "application/json", "Connection": "close"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._lock = threading.Lock()
        self._open: set[_Connection] | None = set()  # None: closed
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def get(self, path: str, timeout: float = QUESTION) -> Reply:
        """GET. Raises OSError or HTTPException where there was no answer."""
        return self._ask("GET", path, None, timeout)

    def post(self, path: str, body: object, timeout: float = COUNT) -> Reply:
        """POST of a JSON body. Raises as `get`."""
        return self._ask("POST", path, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), timeout)

    def close(self) -> None:
        """End every connection, and allow no more."""
        with self._lock:
            ended, self._open = self._open or set(), None
        for connection in ended:
            connection.end()

    def _ask(self, method: str, path: str, body: bytes | None, timeout: float) -> Reply:
        connection = _Connection(self._relay, self._host, self._port, timeout)
        with self._lock:
            if self._open is None:
                raise ConnectionAbortedError("closed")
            self._open.add(connection)
        try:
            connection.request(method, path, body, self._headers)
            with connection.getresponse() as response:
                if 300 <= response.status < 400:
                    raise EngineError(
                        f"The server at {self.url} redirects to another address, which is refused.",
                        hint="Name the address of the program that runs the model itself.",
                    )
                raw = response.read(LARGEST + 1)
                after = response.getheader("Retry-After") or ""
                said = _json(raw) if len(raw) <= LARGEST else None
                return Reply(response.status, said, float(after) if after.isdecimal() else None)
        finally:
            with self._lock:
                if self._open is not None:
                    self._open.discard(connection)
            connection.close()


def _json(raw: bytes) -> Any:  # noqa: ANN401
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None

"""HTTP to one server on this machine, through the relay. JSON in, JSON out; redirects are never followed."""

from __future__ import annotations

import http.client
import json
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


class Http:
    """One server. Threads may share it: each request has a connection of its own."""

    def __init__(self, relay: Relay, host: str, port: int) -> None:
        self._relay, self._host, self._port = relay, host, port
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def get(self, path: str) -> Reply:
        """GET. Raises OSError or HTTPException where there was no answer."""
        return self._ask("GET", path, None, QUESTION)

    def post(self, path: str, body: object, timeout: float = COUNT) -> Reply:
        """POST of a JSON body. Raises as `get`."""
        return self._ask("POST", path, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), timeout)

    def close(self) -> None:
        """End every connection."""
        self._relay.close()

    def _ask(self, method: str, path: str, body: bytes | None, timeout: float) -> Reply:
        connection = _Connection(self._relay, self._host, self._port, timeout)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", "Connection": "close"})
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
            connection.close()


def _json(raw: bytes) -> Any:  # noqa: ANN401
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None

"""An OpenAI-compatible server on loopback, asked with a number of requests at a time."""

from __future__ import annotations

import http.client
import ipaddress
import json
import queue
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.benchmarks.results import Answer
from tests.benchmarks.rivals import NotHereError
from tests.benchmarks.validity import is_valid
from tests.benchmarks.workloads import Question, Workload, messages

TIMEOUT = 600.0


class Server:
    """`/v1/chat/completions` with a JSON schema as response_format. The server is started by whoever measures."""

    def __init__(self, workload: Workload, url: str, *, at_a_time: int) -> None:
        self._workload = workload
        self._at_a_time = self.caches = at_a_time
        self._host, self._port, self._base = address(url)
        self._prefilled: int | None = 0
        self._generated = 0
        self._lock = threading.Lock()
        properties = get(self._host, self._port, "/props") or {}
        self.settings: dict[str, object] = {
            "url": url,
            "requests at a time": at_a_time,
            "slots": properties.get("total_slots"),
            "n_ctx of a slot": (properties.get("default_generation_settings") or {}).get("n_ctx"),
            "model": properties.get("model_path") or get(self._host, self._port, f"{self._base}/models"),
            "build": properties.get("build_info"),
        }

    def answer(self, questions: Iterable[Question], over: Callable[[], bool]) -> Iterator[Answer]:
        """Answers as they come."""
        self._prefilled, self._generated = 0, 0
        source = iter(questions)
        done: queue.SimpleQueue[Answer | BaseException | None] = queue.SimpleQueue()

        def work() -> None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
            try:
                while True:
                    with self._lock:
                        question = None if over() else next(source, None)
                    if question is None:
                        break
                    done.put(self._ask(connection, question))
            except BaseException as error:
                done.put(error)
            finally:
                connection.close()
                done.put(None)

        for _ in range(self._at_a_time):
            threading.Thread(target=work, daemon=True).start()
        working = self._at_a_time
        while working:
            match done.get():
                case None:
                    working -= 1
                case BaseException() as error:
                    raise error
                case answer:
                    yield answer

    def tokens(self) -> tuple[int | None, int]:
        """What the server says it evaluated."""
        return self._prefilled, self._generated

    def close(self) -> None:
        """The server is not ours."""

    def _ask(self, connection: http.client.HTTPConnection, question: Question) -> Answer:
        task = self._workload.tasks[question.task]
        body = {
            "messages": messages(task, question.chunk.text),
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": json.loads(task.schema.json_schema)},
            },
            "temperature": 0,
            "max_tokens": question.most,
        }
        connection.request(
            "POST", f"{self._base}/chat/completions", json.dumps(body), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        raw = response.read()
        if response.status != 200:
            raise NotHereError(f"the server answered {response.status}: {raw[:200].decode('utf-8', 'replace')}")
        said = json.loads(raw)
        choice, usage = said["choices"][0], said["usage"]
        with self._lock:
            evaluated = prompt_evaluated(said)
            self._prefilled = None if evaluated is None or self._prefilled is None else self._prefilled + evaluated
            self._generated += max(0, usage["completion_tokens"] - 1)
        text = choice["message"]["content"] or ""
        return Answer(
            question.key,
            question.document,
            question.task,
            question.chunk.index,
            text,
            prompt_tokens=usage["prompt_tokens"],
            output_tokens=usage["completion_tokens"],
            ended=choice["finish_reason"] == "stop",
            valid=is_valid(task.schema, text),
        )


def get(host: str, port: int, path: str) -> Any:
    """What a server says as JSON; None where it says something else. Raises NotHereError where none answers."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        raw = response.read()
        return json.loads(raw) if response.status == 200 else None
    except OSError as error:
        raise NotHereError(f"no server answers at {host}:{port}: {error}") from error
    except ValueError:
        return None
    finally:
        connection.close()


def prompt_evaluated(said: dict[str, Any]) -> int | None:
    """Prompt tokens that were computed and not taken from a cache; None where the server does not say."""
    timings, usage = said.get("timings") or {}, said.get("usage") or {}
    if "prompt_n" in timings:
        return int(timings["prompt_n"])
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    return None if cached is None else int(usage["prompt_tokens"]) - int(cached)


def address(url: str) -> tuple[str, int, str]:
    """Host, port and base path of a loopback URL. Raises ValueError for any other: documents stay on this machine."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "http" or not host:
        raise ValueError(f"{url} is not an http:// address")
    numbers = {info[4][0] for info in socket.getaddrinfo(host, None)} if host == "localhost" else {host}
    try:
        loopback = all(ipaddress.ip_address(number).is_loopback for number in numbers)
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(f"{host} is not this machine; use 127.0.0.1")
    base = parts.path.rstrip("/")
    return host, parts.port or 80, base if base.endswith("/v1") else f"{base}/v1"

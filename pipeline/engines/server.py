"""An engine that is a server on this machine: N requests at a time, each answer checked like any other.

Prompts come as bytes with turns marked by control tokens (`ByteTokenizer`), which is what they are made back into
messages from; the server applies the model's own template. Completions hold the bytes of the answer and no figures.

A prompt is never cut. Where the server counts tokens, the texts of a prompt are counted there, before it is asked and
again against what it says it read. Where it does not, a byte is taken for a token, which no tokenizer exceeds.
"""

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from http.client import HTTPException
from typing import Any

from pipeline.batching import Halt
from pipeline.data import Completion, Counts, Prompt, Stop
from pipeline.engines import never
from pipeline.engines.dialects import Said, Server, asks_for_a_key, counts_tokens
from pipeline.engines.http import ANSWER, Reply
from pipeline.errors import EngineError, ModelDoesNotFit, SchemaError
from pipeline.models.byte_tokenizer import ASSISTANT, END, SYSTEM, USER, ByteTokenizer

INSTEAD = "leave --engine (or [engine]) out and name the model's file with --model"
"""What to do instead, where a server cannot do something."""

GLANCE = 0.1  # seconds between two looks at `should_stop`
WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds between the tries of one request
LONGEST_WAIT = 60.0  # seconds, whatever Retry-After says
IN_A_ROW = 5  # requests that fail with no answer between them: then it is the server and not a text
A_TURN = 16  # tokens that a template writes around a turn, at most
SLACK = 3  # tokens a turn by which counting texts one by one may be above counting them together
LONGEST_TOKEN = 16  # bytes of text a token stands for at most, on the average of a prompt
_REASON = 300  # characters of what a server says about a schema
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_ROLES = {SYSTEM: "system", USER: "user", ASSISTANT: "assistant"}
# A string, whole or cut, or what is between
_SPACES = re.compile(r'("(?:[^"\\]|\\.)*(?:"|\\?\Z))|\s*([,:])\s*|\s+', re.DOTALL)
_MARKUP = re.compile(
    r"<(?=\||/?s>|/?(?:bos|eos|unk|pad)>|(?:start|end)_of_(?:turn|text|role)|\uff5c|<SYS>|</SYS>|/?think>)|\[(?=/?INST\]|/?SYSTEM_PROMPT)"
)


class ServerTokenizer(ByteTokenizer):
    """Bytes as tokens for prompts and answers; for the size of chunks the server counts, or two bytes are a token."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self.fingerprint = _counting(server.fingerprint, counts=server.counts)

    def count(self, text: str) -> int:
        """Tokens of a document's text. Raises EngineError where the server is gone."""
        if not self._server.counts:
            return (len(text.encode("utf-8", "replace")) + 1) // 2
        return counted(self._server, unmarked(text))


class RememberedTokenizer(ByteTokenizer):
    """Names the cutting of the `ServerTokenizer` of a server of this kind and fingerprint. Counts nothing."""

    def __init__(self, kind: str, fingerprint: str) -> None:
        super().__init__()
        self.fingerprint = _counting(fingerprint, counts=counts_tokens(kind))


def _counting(fingerprint: str, *, counts: bool) -> str:
    """Names the way of counting the tokens of a document."""
    return fingerprint if counts else "two bytes a token"


class ServerEngine:
    """Implements Engine. One thread drives it; its requests run in threads of their own."""

    def __init__(self, server: Server, at_a_time: int) -> None:
        self._server = server
        self._at_a_time = at_a_time
        self._calls = 0
        self._closing = threading.Event()
        self._count = lru_cache(maxsize=256)(lambda text: counted(server, text))  # the shared turns come every time

    @property
    def calls(self) -> int:
        """Requests that were answered so far."""
        return self._calls

    def run(self, prompts: Iterable[Prompt], should_stop: Callable[[], Halt] = never) -> Iterator[Completion]:
        """See Engine. Raises EngineError when the server is gone or fails whatever it is asked."""
        source = iter(prompts)
        todo: queue.SimpleQueue[Prompt | None] = queue.SimpleQueue()
        done: queue.SimpleQueue[Completion | BaseException] = queue.SimpleQueue()
        for _ in range(self._at_a_time):
            threading.Thread(target=self._work, args=(todo, done), daemon=True).start()
        in_flight, failed, more = 0, list[Completion](), True
        try:
            while (halt := should_stop()) is not Halt.NOW:
                while more and halt is Halt.NO and in_flight < self._at_a_time:
                    prompt = next(source, None)
                    more = prompt is not None
                    if prompt is not None:
                        todo.put(prompt)
                        in_flight += 1
                if not in_flight:
                    break
                try:
                    answer = done.get(timeout=GLANCE)
                except queue.Empty:
                    continue
                in_flight -= 1
                if isinstance(answer, BaseException):
                    raise answer
                if answer.stop is Stop.SERVER:
                    failed.append(answer)
                    if len(failed) >= IN_A_ROW:
                        raise EngineError(
                            f"{self._name} failed {IN_A_ROW} times in a row.",
                            hint="See what it says in its own window or log. What was answered is kept.",
                        )
                    continue
                self._calls += 1
                yield from failed
                failed.clear()
                yield answer
            yield from failed
        finally:
            for _ in range(self._at_a_time):
                todo.put(None)

    def close(self) -> None:
        """End what is under way. The server goes on; it is not ours."""
        self._closing.set()
        self._server.http.close()

    @property
    def _name(self) -> str:
        return f"{self._server.kind} at {self._server.http.url}"

    def _work(
        self, todo: queue.SimpleQueue[Prompt | None], done: queue.SimpleQueue[Completion | BaseException]
    ) -> None:
        while (prompt := todo.get()) is not None:
            try:
                done.put(self._answer(prompt))
            except BaseException as error:  # the thread that drives us raises it
                done.put(error)

    def _answer(self, prompt: Prompt) -> Completion:
        server, messages = self._server, messages_of(prompt)
        texts = [message["content"] for message in messages]
        read = sum(map(self._count, texts)) if server.counts else sum(len(text.encode()) for text in texts)
        most = read + A_TURN * len(texts) + prompt.max_tokens
        if server.context is not None and most > server.context:
            return _without_answer(prompt, Stop.TOO_LONG)
        reply = self._ask(server.body(messages, prompt, _plain(json.loads(prompt.constraint.schema))))
        if reply is not None and server.too_long(reply):
            return _without_answer(prompt, Stop.TOO_LONG)
        said = server.read(reply.said) if reply is not None and reply.status == 200 else None
        if said is None:
            return _without_answer(prompt, Stop.SERVER)
        least = read - SLACK * len(texts) if server.counts else read // LONGEST_TOKEN
        if said.prompt < least:
            return _without_answer(prompt, Stop.TOO_LONG)
        return _completion(prompt, said)

    def _ask(self, body: dict[str, Any]) -> Reply | None:
        """The reply, tried again while that makes sense; None where none came. Raises EngineError: it is gone."""
        reply: Reply | None = None
        for wait in (*WAITS, None):
            gone = False
            try:
                reply = self._server.http.post(self._server.chat, body, ANSWER)
                if reply.status not in _AGAIN:
                    return reply
            except TimeoutError:
                return None
            except (OSError, HTTPException) as error:
                reply, gone = None, isinstance(error, ConnectionRefusedError)
            if wait is None or self._closing.wait(min((reply and reply.retry_after) or wait, LONGEST_WAIT)):
                break
        if gone:
            raise _gone(self._server)
        return reply


def allot(server: Server, *, frame: str, turns: int, chunk_tokens: int, answer_tokens: int, task: str) -> int:
    """The tokens that the longest prompt of a task and its answer may take. Raises ModelDoesNotFit.

    `frame` is the text of a prompt without its chunk.
    """
    if server.counts:
        fixed = counted(server, frame) + A_TURN * turns
        chunk = chunk_tokens
    else:
        fixed = len(frame.encode("utf-8", "replace")) + A_TURN * turns
        chunk = 2 * chunk_tokens  # bytes, see ServerTokenizer
    most = fixed + chunk + answer_tokens
    if server.context is not None and most > server.context:
        how = "" if server.counts else " (a byte counted as a token, since this server does not count)"
        raise ModelDoesNotFit(
            f"Task {task}: prefix {fixed:,} + chunk {chunk:,} + answer {answer_tokens:,} tokens = {most:,}{how}, and "
            f"{server.kind} holds {server.context:,} a request.",
            hint="Give the server a larger context, or use smaller chunk_tokens or fewer examples in the task.",
        )
    return most


def try_schema(server: Server, prompt: Prompt, task: str) -> None:
    """Ask for one token, so that a schema which the server refuses is known before a document is sent.

    `prompt` holds no document's text, so what the server says about it can be shown. Raises SchemaError; EngineError
    where the server wants a key or is gone. Everything else is left to the first prompt of the run.
    """
    schema = _plain(json.loads(prompt.constraint.schema))
    try:
        reply = server.http.post(
            server.chat, server.body(messages_of(prompt), replace(prompt, max_tokens=1), schema), ANSWER
        )
    except TimeoutError:
        return
    except (OSError, HTTPException) as error:
        raise _gone(server) from error
    if reply.status in (401, 403):
        raise asks_for_a_key(server.http)
    if reply.status in (400, 422) and not server.too_long(reply):
        told = reply.said.get("error", reply.said) if isinstance(reply.said, dict) else None
        said = told.get("message") if isinstance(told, dict) else told
        reason = said.strip().rstrip(".")[:_REASON] if isinstance(said, str) and said.strip() else "it does not say why"
        raise SchemaError(
            f"{server.kind} at {server.http.url} does not take the schema of the task {task}: {reason}.",
            hint=f"Leave the keyword out of the schema, or {INSTEAD}.",
        )


def messages_of(prompt: Prompt) -> list[dict[str, str]]:
    """The turns of a prompt as messages, chat markup in their texts broken apart: servers parse it everywhere."""
    messages: list[dict[str, str]] = []
    role, text = "", bytearray()
    for token in (token for segment in prompt.segments for token in segment.tokens):
        if token in _ROLES:
            role, text = _ROLES[token], bytearray()
        elif token == END:
            messages.append({"role": role, "content": unmarked(text.decode("utf-8", "replace").strip("\n"))})
        elif token < 256:
            text.append(token)
    return messages


def unmarked(text: str) -> str:
    """The text with a space inside whatever looks like a special token of a known family."""
    return _MARKUP.sub(lambda found: found[0] + " ", text)


def counted(server: Server, text: str) -> int:
    """Tokens of a text, by the server. Raises EngineError where it is gone."""
    try:
        return server.count(text)
    except (OSError, HTTPException) as error:
        raise _gone(server) from error


def _gone(server: Server) -> EngineError:
    return EngineError(
        f"{server.kind} at {server.http.url} does not answer any more.",
        hint="Start it again and run the same command: what was answered is kept.",
    )


def _plain(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """The schema without our own keywords: fields that point into the document are plain strings there."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if not key.startswith("x-")}
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema


def _spaced_as_ours(text: str) -> str:
    """An answer with our own spaces between its parts: one that was cut can then be closed as ours are."""
    return _SPACES.sub(lambda found: found[1] or (f"{found[2]} " if found[2] else ""), text).strip()


def _completion(prompt: Prompt, said: Said) -> Completion:
    tokens = tuple(_spaced_as_ours(said.text).encode("utf-8", "replace"))
    counts = Counts(prefilled=max(0, said.prompt - said.reused), reused=said.reused, sampled=said.output)
    return Completion(prompt.work_key, tokens, (), (), (), counts, Stop.END if said.ended else Stop.LENGTH)


def _without_answer(prompt: Prompt, stop: Stop) -> Completion:
    return Completion(prompt.work_key, (), (), (), (), Counts(), stop)

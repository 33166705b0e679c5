"""The server engine against small HTTP servers that answer as the documentation of each program says.

The real llama-server and llama-cpp-python are in test_real_servers.py.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pipeline.batching import Halt
from pipeline.config import EngineSettings, Shape
from pipeline.data import ConstraintSpec, Prompt, Segment, Stop
from pipeline.engines import server as engine_module
from pipeline.engines.dialects import ANY, Server, recognise
from pipeline.engines.http import Http
from pipeline.engines.server import ServerEngine, ServerTokenizer, allot, messages_of, try_schema, unmarked
from pipeline.engines.shape import Demand
from pipeline.errors import EngineError, ModelDoesNotFit, ModelFileError, SchemaError
from pipeline.loopback import server_address
from pipeline.models.byte_tokenizer import ASSISTANT, END, SYSTEM, USER
from pipeline.run import served
from pipeline.supervise.relay import Relay, relay_to

SCHEMA = '{"type": "object", "properties": {"a": {"type": "string", "x-nightdesk": {"extractive": true}}}}'
ANSWER = '{"a": "b"}'


def tokens_in(text: str) -> int:
    """The tokenizer of the made-up servers: a token for four bytes, and one to begin."""
    return 1 + len(text.encode()) // 4


class Fake:
    """A program that serves a model: its fixed answers by path, and what it says to chats."""

    def __init__(self, fixed: dict[str, Any], chat: Callable[[dict[str, Any]], Any] | None = None) -> None:
        self.fixed = fixed
        self.chat = chat or openai_says()
        self.seen: list[tuple[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.busy = self.most_busy = 0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.answer(self, None)

            def do_POST(self) -> None:
                fake.answer(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler, body: Any) -> None:
        self.seen.append((handler.path, body))
        self.headers.append(dict(handler.headers))
        if handler.path.endswith(("/chat/completions", "/api/chat")):
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
            said = self.chat(body)
            self.busy -= 1
        else:
            said = self.fixed.get(handler.path.partition("?")[0], (404, {"error": "no such path"}))
            said = said(body) if callable(said) else said
        status, content, *headers = said if isinstance(said, tuple) else (200, said)
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        with contextlib.suppress(OSError):
            handler.send_response(status)
            handler.send_header("Content-Length", str(len(raw)))
            for name, value in headers[0].items() if headers else ():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(raw)

    def asked(self) -> list[Any]:
        return [body for path, body in self.seen if path.endswith(("/chat/completions", "/api/chat"))]

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def read_by(body: dict[str, Any]) -> int:
    return sum(tokens_in(message["content"]) + 4 for message in body["messages"])


def openai_says(text: str = ANSWER, *, finish: str = "stop", prompt: int | None = None) -> Callable[[Any], Any]:
    def chat(body: dict[str, Any]) -> Any:
        usage = {"prompt_tokens": read_by(body) if prompt is None else prompt, "completion_tokens": 5}
        return {"choices": [{"message": {"content": text}, "finish_reason": finish}], "usage": usage}

    return chat


def ollama_says(body: dict[str, Any]) -> Any:
    return {
        "message": {"role": "assistant", "content": ANSWER},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": read_by(body),
        "eval_count": 5,
    }


LLAMA_SERVER = {
    "/props": {"default_generation_settings": {"n_ctx": 4096}, "total_slots": 3, "model_path": "/m/x.gguf"},
    "/v1/models": {"data": [{"id": "x.gguf", "meta": {"n_params": 7, "size": 9}}]},
    "/tokenize": lambda body: {"tokens": [0] * tokens_in(body["content"])},
}
KOBOLD = {
    "/api/extra/version": {"result": "KoboldCpp", "version": "1.100", "protected": False},
    "/api/v1/model": {"result": "koboldcpp/kunoichi"},
    "/api/extra/true_max_context_length": {"value": 4096},
    "/api/extra/tokencount": lambda body: {"value": tokens_in(body["prompt"]), "ids": []},
    # It plays the others as well:
    "/props": {"chat_template": "", "default_generation_settings": {"n_ctx": 4096}},
    "/api/version": {"version": "0.7.0"},
    "/api/tags": {"models": [{"name": "kunoichi"}]},
}
TEXT_GENERATION_WEBUI = {
    "/v1/internal/model/info": {"model_name": "kunoichi-7b", "lora_names": []},
    "/v1/internal/token-count": lambda body: {"length": tokens_in(body["text"])},
}
LM_STUDIO = {
    "/api/v0/models": {
        "object": "list",
        "data": [
            {"id": "qwen3-4b", "type": "llm", "state": "loaded", "max_context_length": 32768}
            | {"loaded_context_length": 4096, "quantization": "Q4_K_M", "compatibility_type": "gguf"},
            {"id": "gemma-3", "type": "llm", "state": "not-loaded", "max_context_length": 8192},
            {"id": "nomic", "type": "embeddings", "state": "loaded", "max_context_length": 2048},
        ],
    },
    "/api/extra/version": (200, {"error": "Unexpected endpoint or method. (GET /api/extra/version)"}),
    "/props": (200, {"error": "Unexpected endpoint or method. (GET /props)"}),
}
OLLAMA = {
    "/api/version": {"version": "0.12.6"},
    "/api/tags": {"models": [{"name": "gemma3:4b", "digest": "a2af6cc3eb7f"}]},
    "/api/show": {"model_info": {"general.architecture": "gemma3", "gemma3.context_length": 131072}},
}
LLAMA_CPP_PYTHON = {
    "/openapi.json": {"info": {"title": "\U0001f999 llama.cpp Python API"}},
    "/v1/models": {"data": [{"id": "/m/x.gguf", "object": "model", "owned_by": "me"}]},
    "/extras/tokenize/count": lambda body: {"count": tokens_in(body["input"])},
}
ALL = {
    "KoboldCpp": KOBOLD,
    "text-generation-webui": TEXT_GENERATION_WEBUI,
    "LM Studio": LM_STUDIO,
    "Ollama": OLLAMA,
    "llama-server": LLAMA_SERVER,
    "llama-cpp-python": LLAMA_CPP_PYTHON,
}


@pytest.fixture
def start() -> Iterator[Callable[..., Fake]]:
    fakes = []

    def start(fixed: dict[str, Any], chat: Callable[[dict[str, Any]], Any] | None = None) -> Fake:
        fakes.append(Fake(fixed, chat))
        return fakes[-1]

    yield start
    for fake in fakes:
        fake.stop()


class Direct:
    """In place of a relay, which takes a second to start: what these tests try is behind it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self, timeout: float) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def close(self) -> None:
        pass


@pytest.fixture
def meet() -> Iterator[Callable[..., Server]]:
    https = []

    def meet(fake: Fake, wanted: str = ANY) -> Server:
        https.append(Http(Direct(fake.port), "127.0.0.1", fake.port))
        return recognise(https[-1], wanted)

    yield meet
    for http in https:
        http.close()


def prompt(key: str = "k", document: str = "A letter.", *, answer: int = 50) -> Prompt:
    def turn(role: int, text: str) -> list[int]:
        return [role, *b"\n", *text.encode(), END, *b"\n"]

    tokens = [*turn(SYSTEM, "Say it."), *turn(USER, document), ASSISTANT, *b"\n"]
    return Prompt(key, (Segment.of(tokens),), ConstraintSpec(SCHEMA), answer)


def answers(server: Server, prompts: list[Prompt], *, at_a_time: int = 1) -> dict[str, tuple[Stop, str]]:
    engine = ServerEngine(server, at_a_time)
    return {c.work_key: (c.stop, bytes(c.tokens).decode()) for c in engine.run(prompts)}


@pytest.fixture
def no_waits(monkeypatch):
    monkeypatch.setattr(engine_module, "WAITS", (0.01, 0.01))


@pytest.mark.parametrize("kind", ALL)
def test_each_program_is_recognised_and_answers(start, meet, kind):
    fake = start(ALL[kind], ollama_says if kind == "Ollama" else None)

    server = meet(fake)
    server.prepare(1000)

    assert server.kind == kind
    assert answers(server, [prompt()]) == {"k": (Stop.END, ANSWER)}
    messages = [{"role": "system", "content": "Say it."}, {"role": "user", "content": "A letter."}]
    assert fake.asked()[0]["messages"] == messages


def test_the_schema_is_spelt_as_each_program_wants_it(start, meet):
    bodies = {}
    for kind, fixed in ALL.items():
        fake = start(fixed, ollama_says if kind == "Ollama" else None)
        server = meet(fake)
        server.prepare(1000)
        answers(server, [prompt()])
        bodies[kind] = fake.asked()[0]

    plain = {"type": "object", "properties": {"a": {"type": "string"}}}
    for kind in ("llama-server", "KoboldCpp", "LM Studio"):
        assert bodies[kind]["response_format"]["type"] == "json_schema"
        assert bodies[kind]["response_format"]["json_schema"]["schema"] == plain
    assert bodies["llama-cpp-python"]["response_format"] == {"type": "json_object", "schema": plain}
    assert bodies["Ollama"]["format"] == plain
    assert "root ::=" in bodies["text-generation-webui"]["grammar_string"]
    assert "x-nightdesk" not in json.dumps(bodies)


def test_the_model_is_the_one_that_is_there_or_the_one_that_is_named(start, meet):
    two = {**OLLAMA, "/api/tags": {"models": [{"name": "gemma3:4b"}, {"name": "qwen3:latest"}]}}

    assert meet(start(LM_STUDIO)).model == "qwen3-4b"
    assert meet(start(two), "qwen3").model == "qwen3:latest"
    with pytest.raises(ModelFileError, match="gemma3:4b, qwen3:latest"):
        meet(start(two))
    with pytest.raises(ModelFileError, match="no model gemma-3"):
        meet(start(LM_STUDIO), "gemma-3")
    with pytest.raises(ModelFileError, match="none"):
        meet(start({**KOBOLD, "/api/v1/model": {"result": "inactive"}}))


def test_another_file_of_the_same_name_is_another_model(start, meet):
    other = {**OLLAMA, "/api/tags": {"models": [{"name": "gemma3:4b", "digest": "ffff"}]}}

    assert meet(start(OLLAMA)).fingerprint == meet(start(OLLAMA)).fingerprint != meet(start(other)).fingerprint


@pytest.mark.parametrize(
    "cloud",
    [
        {"/api/tags": {"models": [{"name": "gpt-oss:120b-cloud"}]}},
        {"/api/tags": {"models": [{"name": "kimi-k2:cloud"}]}},
        {"/api/tags": {"models": [{"name": "mine", "remote_host": "https://ollama.com:443"}]}},
        {"/api/show": {"remote_host": "https://ollama.com:443", "remote_model": "gpt-oss:120b", "model_info": {}}},
    ],
)
def test_a_model_in_a_cloud_is_refused_before_anything_is_sent(start, meet, cloud):
    fake = start({**OLLAMA, **cloud}, ollama_says)

    with pytest.raises(EngineError, match="to its cloud"):
        meet(fake)
    assert not fake.asked()


def test_a_server_that_does_not_say_what_it_is_is_refused(start, meet):
    proxy = start({"/v1/models": {"data": [{"id": "gpt-5", "owned_by": "openai"}]}})

    with pytest.raises(EngineError, match="could forward"):
        meet(proxy)
    assert not proxy.asked()


def test_a_redirect_is_refused_and_not_followed(start, meet):
    elsewhere = start(LLAMA_SERVER)
    fake = start({"/api/extra/version": (302, b"", {"Location": f"http://127.0.0.1:{elsewhere.port}/"})})
    chats = start(LLAMA_SERVER, lambda _: (307, b"", {"Location": f"http://127.0.0.1:{elsewhere.port}/"}))

    with pytest.raises(EngineError, match="redirects"):
        meet(fake)
    with pytest.raises(EngineError, match="redirects"):
        answers(meet(chats), [prompt()])
    assert not elsewhere.seen


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://192.168.1.5:8080", "is not this machine"),
        ("http://0.0.0.0:8080", "is not this machine"),
        ("http://models.example.com:8080", "is not this machine"),
        ("http://127.0.0.1.example.com:8080", "is not this machine"),
        ("http://localhost@example.com:8080", "is not this machine"),
        ("http://me@127.0.0.1:8080", "nothing more"),
        ("http://127.0.0.1:8080/proxy?to=elsewhere", "nothing more"),
        ("https://127.0.0.1:8080", "begins with http://"),
        ("http://127.0.0.1", "expected a port"),
    ],
)
def test_any_address_but_one_of_this_machine_is_refused_with_the_reason(url, why):
    with pytest.raises(ValueError, match=why):
        server_address(url)


def test_addresses_of_this_machine_are_taken():
    assert server_address("http://localhost:8080/v1") == ("localhost", 8080)
    assert server_address("http://127.8.9.10:1/") == ("127.8.9.10", 1)
    assert server_address("http://[::1]:11434") == ("::1", 11434)


def test_proxies_of_the_environment_are_ignored(start, meet, monkeypatch):
    proxy = start({})
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")

    assert answers(meet(start(LLAMA_SERVER)), [prompt()])["k"][0] is Stop.END
    assert not proxy.seen


def test_as_many_requests_are_out_as_were_asked_for(start, meet):
    def slow(body: Any) -> Any:
        time.sleep(0.1)
        return openai_says()(body)

    fake = start(LLAMA_SERVER, slow)

    assert len(answers(meet(fake), [prompt(str(i)) for i in range(9)], at_a_time=3)) == 9
    assert fake.most_busy == 3


def test_a_prompt_that_does_not_fit_is_not_sent(start, meet):
    fake = start(KOBOLD)
    long = prompt("long", "word " * 4096)

    assert answers(meet(fake), [long, prompt()]) == {"long": (Stop.TOO_LONG, ""), "k": (Stop.END, ANSWER)}
    assert len(fake.asked()) == 1


@pytest.mark.parametrize("kind", ["KoboldCpp", "text-generation-webui", "LM Studio"])
def test_an_answer_to_a_prompt_that_was_cut_silently_is_refused(start, meet, kind):
    fake = start(ALL[kind], openai_says(prompt=20))

    assert answers(meet(fake), [prompt("cut", "word " * 300)]) == {"cut": (Stop.TOO_LONG, "")}


def test_ollama_is_given_a_context_that_no_tokenizer_exceeds_and_its_count_is_compared(start, meet):
    fake = start(OLLAMA, lambda body: {**ollama_says(body), "prompt_eval_count": 20})
    server = meet(fake)
    document = "word " * 200
    server.prepare(allot(server, frame="Say it.", turns=2, chunk_tokens=500, answer_tokens=50, task="t"))

    assert answers(server, [prompt("cut", document)]) == {"cut": (Stop.TOO_LONG, "")}
    options = fake.asked()[0]["options"]
    assert options["num_ctx"] >= len(document.encode()) + options["num_predict"]
    assert fake.asked()[0]["truncate"] is False


def test_ollama_without_a_count_is_no_answer(start, meet, no_waits):
    def quiet(body: Any) -> Any:
        said = ollama_says(body)
        del said["prompt_eval_count"]
        return said

    server = meet(start(OLLAMA, quiet))
    server.prepare(1000)

    assert answers(server, [prompt()]) == {"k": (Stop.SERVER, "")}


def test_a_task_that_cannot_fit_is_refused_before_the_run(start, meet):
    counting, other = meet(start(LLAMA_SERVER)), meet(start(LM_STUDIO))
    task = {"frame": "x" * 400, "turns": 2, "answer_tokens": 500, "task": "t"}

    assert allot(counting, chunk_tokens=3000, **task) < 4096
    with pytest.raises(ModelDoesNotFit, match="holds 4,096"):
        allot(counting, chunk_tokens=3600, **task)
    with pytest.raises(ModelDoesNotFit, match="a byte counted as a token"):
        allot(other, chunk_tokens=1800, **task)


def test_the_server_counts_chunks_where_it_can(start, meet):
    text = "Señor <|im_end|> " * 10

    assert ServerTokenizer(meet(start(LLAMA_SERVER))).count(text) == tokens_in(unmarked(text))
    assert ServerTokenizer(meet(start(LM_STUDIO))).count("abcde") == 3


def test_a_refusal_for_length_is_the_texts_own_failure(start, meet):
    error = {"error": {"code": 400, "type": "exceed_context_size_error", "message": "too long"}}
    fake = start(LLAMA_SERVER, lambda _: (400, error))

    assert answers(meet(fake), [prompt()]) == {"k": (Stop.TOO_LONG, "")}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(start, meet, no_waits, status):
    tries: list[int] = []

    def flaky(body: Any) -> Any:
        tries.append(1)
        return (status, {"error": "busy"}, {"Retry-After": "0"}) if len(tries) < 3 else openai_says()(body)

    assert answers(meet(start(LLAMA_SERVER, flaky)), [prompt()]) == {"k": (Stop.END, ANSWER)}
    assert len(tries) == 3


@pytest.mark.parametrize("garbage", [b"<html>oops</html>", b"[]", b'{"choices": []}', b'{"choices": [{"message": 3}]}'])
def test_an_answer_that_is_none_costs_its_own_text_only(start, meet, no_waits, garbage):
    def chat(body: Any) -> Any:
        return (200, garbage) if "bad" in body["messages"][1]["content"] else openai_says()(body)

    found = answers(meet(start(LLAMA_SERVER, chat)), [prompt("1"), prompt("2", "bad"), prompt("3")])

    assert {key: stop for key, (stop, _) in found.items()} == {"1": Stop.END, "2": Stop.SERVER, "3": Stop.END}


def test_a_server_that_fails_whatever_it_is_asked_ends_the_run(start, meet, no_waits):
    fake = start(LLAMA_SERVER, lambda _: (400, {"error": {"message": "no grammar today"}}))

    with pytest.raises(EngineError, match="5 times in a row"):
        answers(meet(fake), [prompt(str(i)) for i in range(50)])
    assert len(fake.asked()) <= 6


def test_a_server_that_is_gone_ends_the_run_and_nothing_else(start, meet, no_waits):
    fake = start(LLAMA_SERVER)
    engine = ServerEngine(meet(fake), 1)
    run = engine.run(prompt(str(i), f"Letter {i}") for i in range(9))

    assert next(run).stop is Stop.END
    fake.stop()
    with pytest.raises(EngineError, match="does not answer any more"):
        for _ in run:
            pass


def test_an_answer_that_the_budget_cut_is_marked(start, meet):
    assert answers(meet(start(LLAMA_SERVER, openai_says('{"a": "', finish="length"))), [prompt()]) == {
        "k": (Stop.LENGTH, '{"a": "')
    }


def test_an_answer_that_is_spaced_otherwise_is_spaced_as_ours(start, meet):
    said = '\n{\n  "a" : "b,  c: \\" d",\n  "e":[1 ,\n2],"f": "cut,  he'

    assert answers(meet(start(LLAMA_SERVER, openai_says(said, finish="length"))), [prompt()]) == {
        "k": (Stop.LENGTH, '{"a": "b,  c: \\" d", "e": [1, 2], "f": "cut,  he')
    }


def test_a_schema_that_the_server_refuses_is_known_before_a_document_is_sent(start, meet):
    refusal = {"error": {"code": 400, "message": "JSON schema error at #/properties/a: no."}}
    server = meet(start(LLAMA_SERVER, lambda _: (400, refusal)))

    with pytest.raises(SchemaError, match=r"the schema of the task t: JSON schema error at #/properties/a: no\.$"):
        try_schema(server, prompt(), "t")
    try_schema(meet(start(LLAMA_SERVER)), prompt(), "t")


def test_a_server_that_was_started_with_a_key_is_asked_with_it_or_not_at_all(start):
    fake = start(LLAMA_SERVER)
    plain = fake.answer

    def guarded(handler: Any, body: Any) -> None:
        if handler.headers.get("Authorization") != "Bearer open":
            fake.fixed, fake.chat = {}, lambda _: (401, {"error": {"message": "Invalid API Key"}})
            fake.fixed["/v1/models"] = (401, {})
        else:
            fake.fixed, fake.chat = LLAMA_SERVER, openai_says()
        plain(handler, body)

    fake.answer = guarded  # type: ignore[method-assign]

    def ask(key: str) -> Server:
        return recognise(Http(Direct(fake.port), "127.0.0.1", fake.port, key), ANY)

    assert answers(ask("open"), [prompt()]) == {"k": (Stop.END, ANSWER)}
    for key in ("", "wrong"):
        with pytest.raises(EngineError, match="asks for a key"):
            ask(key)


def test_how_llama_server_was_started_is_not_what_model_it_holds(start, meet):
    def started(*, n_ctx: int = 4096, template: str = "a", adapters: Any = ()) -> str:
        models = {"data": [{"id": "x.gguf", "meta": {"n_params": 7, "n_ctx": n_ctx}}]}
        props = {"default_generation_settings": {"n_ctx": n_ctx}, "total_slots": 3, "chat_template": template}
        return meet(
            start({**LLAMA_SERVER, "/props": props, "/v1/models": models, "/lora-adapters": list(adapters)})
        ).fingerprint

    assert started() == started(n_ctx=512)
    assert len({started(), started(template="b"), started(adapters=[{"id": 0, "path": "l.gguf", "scale": 1.0}])}) == 3


def test_what_a_job_says_of_an_engine_and_a_server_decides_is_said(start, monkeypatch):
    fake = start(LLAMA_SERVER)
    monkeypatch.setattr(served, "relay_to", lambda host, port: Direct(fake.port))
    given = EngineSettings(grammar="outlines_core", shape=Shape(slots=2, threads=4, replicas=2))

    def said(settings: EngineSettings) -> str:
        model = served.ServerModel(ANY, "127.0.0.1", fake.port)
        return model.start(settings, Demand(0, 0, 0, ranked=False))[1]

    assert said(given).endswith("; the server's own, whatever the job says: grammar, replicas, threads")
    assert "whatever" not in said(EngineSettings(shape=Shape(slots=2)))


def test_a_router_loads_the_model_that_is_named(start, meet):
    def props(_: Any) -> Any:
        return {"default_generation_settings": {"n_ctx": 0}, "role": "router"}

    fake = start({**LLAMA_SERVER, "/props": props, "/v1/models": {"data": [{"id": "a"}, {"id": "b"}]}})
    with pytest.raises(ModelFileError, match="has these models: a, b"):
        meet(fake)
    with pytest.raises(ModelFileError, match="cannot load b"):
        meet(fake, "b")
    assert [path for path, _ in fake.seen if path.startswith("/props?")] == ["/props?model=b"]


def test_runs_after_one_another_share_a_relay_and_closing_ends_what_is_out(start, no_waits):
    fake = start(LLAMA_SERVER, lambda _: time.sleep(2))
    relay = relay_to("127.0.0.1", fake.port)
    assert relay_to("127.0.0.1", fake.port) is relay

    http = Http(relay, "127.0.0.1", fake.port)
    ended: list[float] = []

    def wait() -> None:
        with contextlib.suppress(OSError, HTTPException):
            http.post("/v1/chat/completions", {"messages": []}, 60)
        ended.append(time.monotonic())

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not fake.asked():
        time.sleep(0.01)
    began = time.monotonic()
    http.close()
    waiting.join(10)

    assert ended[0] - began < 1.5
    with pytest.raises(OSError, match="closed"):
        http.get("/props")
    assert Http(relay, "127.0.0.1", fake.port).get("/props").status == 200


def test_stopping_drains_or_drops_what_is_out(start, meet):
    def slow(body: Any) -> Any:
        time.sleep(0.3)
        return openai_says()(body)

    prompts = [prompt(str(i)) for i in range(9)]
    halts = iter([Halt.NO, *[Halt.DRAIN] * 1000])
    drained = list(ServerEngine(meet(start(LLAMA_SERVER, slow)), 2).run(prompts, lambda: next(halts)))
    halts = iter([Halt.NO, *[Halt.NOW] * 1000])
    began = time.monotonic()
    engine = ServerEngine(meet(start(LLAMA_SERVER, slow)), 2)
    dropped = list(engine.run(prompts, lambda: next(halts)))
    engine.close()

    assert len(drained) == 2
    assert not dropped
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "forged", ["<|im_end|>", "</s>", "[/INST]", "<start_of_turn>", "<end_of_turn>", "<\uff5cUser\uff5c>"]
)
def test_chat_markup_in_a_document_is_broken_apart(forged):
    messages = messages_of(prompt("k", f"before {forged} after"))

    assert forged not in messages[1]["content"]
    assert messages[1]["content"].replace(" ", "") == f"before{forged}after"
    assert unmarked("a < b, [1] and <b>bold</b>") == "a < b, [1] and <b>bold</b>"


def test_the_relay_works_for_a_process_under_the_guard_and_only_if_it_came_first(start):
    port = start(LLAMA_SERVER).port
    code = f"""
import socket
from pipeline.errors import NetworkRefused
from pipeline.offline import guard
from pipeline.supervise.relay import Relay
early = Relay("localhost", {port})
guard()
from pipeline.engines.http import Http
print(Http(early, "localhost", {port}).get("/props").status)
late = Relay("127.0.0.1", {port})
for attempt in (lambda: late.connect(20), lambda: socket.create_connection(("127.0.0.1", {port}))):
    try:
        attempt()
    except (PermissionError, NetworkRefused) as error:
        print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout.split() == ["200", "PermissionError", "NetworkRefused"], done.stderr


def test_a_relay_where_nobody_listens_says_so(start):
    fake = start({})
    fake.stop()
    relay = Relay("127.0.0.1", fake.port)

    with pytest.raises(ConnectionRefusedError):
        relay.connect(20)
    relay.close()
    relay.close()

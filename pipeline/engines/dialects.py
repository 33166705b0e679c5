"""Programs that serve models on loopback, each with its own spelling: which one is this, and how is it asked?

A server is asked what it is before any text is sent. One that does not say is refused: it could be a proxy that
forwards texts to other machines. What each server says is described in its own documentation:

    KoboldCpp               /api/extra/version, /api/v1/model, /api/extra/true_max_context_length, /api/extra/tokencount
    LM Studio               /api/v0/models (loaded_context_length)
    text-generation-webui   /v1/internal/model/info, /v1/internal/token-count; a GBNF grammar instead of a schema
    llama-server            /props, /tokenize, /lora-adapters, /apply-template; without a model it is a router of models
    Ollama                  /api/version, /api/tags, /api/show, and its own /api/chat, where num_ctx can be set
    llama-cpp-python        /openapi.json, /v1/models, /extras/tokenize/count; the schema in `json_object`
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlencode

from pipeline.data import Prompt, fingerprint
from pipeline.engines.http import ANSWER, Http, Reply
from pipeline.errors import EngineError, ModelFileError

Messages = Sequence[Mapping[str, str]]
ANY = "demo"
"""The model name that a job has when none was named: the one the server holds."""


@dataclass(frozen=True, slots=True)
class Said:
    """A model's answer and what the server tells about it."""

    text: str = field(repr=False)
    ended: bool  # False: the output budget cut it
    prompt: int  # tokens of the prompt that the server read
    reused: int  # of these, from its cache
    output: int


class Server:
    """An OpenAI-compatible chat endpoint. Subclasses say what differs."""

    kind: ClassVar[str]
    counts: ClassVar[bool] = True  # whether it tells how many tokens a text has
    chat: ClassVar[str] = "/v1/chat/completions"
    at_a_time = 1
    context: int | None = None  # tokens of a prompt and its answer; None: the server refuses longer ones itself

    def __init__(self, http: Http, wanted: str) -> None:
        self.http = http
        self.model, self.identity = self._choose(wanted)
        self._open()

    @property
    def fingerprint(self) -> str:
        """Names the model: equal for the same model in the same kind of server."""
        return fingerprint("server", self.kind, self.model, self.identity)

    def models(self) -> Mapping[str, object]:
        """The models that can be asked, each with what tells it from another one of the same name."""
        return {m["id"]: m.get("meta") for m in _list(self.http.get("/v1/models").get("data")) if _text(m.get("id"))}

    def count(self, text: str) -> int:
        """Tokens of a text, a start token perhaps included. Only where `counts`."""
        raise NotImplementedError

    def body(self, messages: Messages, prompt: Prompt, schema: dict[str, Any]) -> dict[str, Any]:
        """The request."""
        return {
            "model": self.model,
            "messages": messages,
            "temperature": prompt.temperature,
            "seed": prompt.seed,
            "max_tokens": prompt.max_tokens,
            "stream": False,
            **self.form(schema),
        }

    def form(self, schema: dict[str, Any]) -> dict[str, Any]:
        """How the answer's schema is spelt."""
        return {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": schema},
            }
        }

    def read(self, said: Any) -> Said | None:  # noqa: ANN401 - JSON
        """The answer in a 200 reply; None where it is not what was expected."""
        reply = Reply(200, said)
        choices = _list(reply.get("choices"))
        text = Reply(200, choices[0] if choices else None).get("message", "content")
        prompt = _number(reply.get("usage", "prompt_tokens"))
        if not isinstance(text, str) or prompt is None:
            return None
        return Said(
            text,
            choices[0].get("finish_reason") != "length",
            prompt,
            _number(reply.get("usage", "prompt_tokens_details", "cached_tokens")) or 0,
            _number(reply.get("usage", "completion_tokens")) or 0,
        )

    def rendered(self, messages: Messages) -> str | None:  # noqa: ARG002 - most do not tell
        """The prompt that the server makes of these messages; None where it does not tell."""
        return None

    def too_long(self, reply: Reply) -> bool:
        """Whether the server refused a prompt because of its length."""
        error = reply.said.get("error") if isinstance(reply.said, dict) else None
        said = json.dumps(error) if error else ""
        return reply.status == 400 and ("exceed_context_size" in said or "context_length_exceeded" in said)

    def prepare(self, most: int) -> None:
        """Called before the first prompt with the tokens that the longest one and its answer may take."""

    def _open(self) -> None:
        """Ask what else is needed, once the model is known."""

    def _choose(self, wanted: str) -> tuple[str, object]:
        models = self.models()
        names = ", ".join(sorted(models)) or "none"
        if wanted == ANY:
            if len(models) != 1:
                raise ModelFileError(
                    f"{self.kind} at {self.http.url} has these models: {names}.", hint="Name one of them with --model."
                )
            return next(iter(models.items()))
        if wanted not in models:
            raise ModelFileError(
                f"{self.kind} at {self.http.url} has no model {wanted}. It has: {names}.",
                hint="Load it there, or name another one with --model.",
            )
        return wanted, models[wanted]

    def _counted(self, reply: Reply, *path: str) -> int:
        number = _number(reply.get(*path))
        if number is None:
            raise EngineError(f"{self.kind} at {self.http.url} does not count tokens.", hint="Is a model loaded there?")
        return number


class LlamaServer(Server):
    """llama-server of llama.cpp, with one model or as a router of several. It refuses prompts that are too long."""

    kind = "llama-server"

    @staticmethod
    def recognised(http: Http) -> bool:
        """Whether it is one."""
        return isinstance(http.get("/props").get("default_generation_settings"), dict)

    def count(self, text: str) -> int:
        """See Server."""
        asked = {"model": self.model, "content": text, "parse_special": True}
        tokens = self.http.post("/tokenize", asked).get("tokens")
        return self._counted(Reply(200, {"n": len(tokens) if isinstance(tokens, list) else None}), "n")

    def form(self, schema: dict[str, Any]) -> dict[str, Any]:
        """See Server. Models that think are told not to; penalties would forbid copying."""
        return {
            **super().form(schema),
            "chat_template_kwargs": {"enable_thinking": False},
            "cache_prompt": True,
            "repeat_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "dry_multiplier": 0.0,
        }

    def rendered(self, messages: Messages) -> str | None:
        """See Server."""
        asked = {"model": self.model, "messages": messages, "chat_template_kwargs": {"enable_thinking": False}}
        prompt = self.http.post("/apply-template", asked).get("prompt")
        return prompt if isinstance(prompt, str) else None

    def _open(self) -> None:
        """A router loads the model with the first question about it, which may take minutes."""
        which = urlencode({"model": self.model})
        props = self.http.get(f"/props?{which}", ANSWER)
        self.at_a_time = _number(props.get("total_slots")) or 1
        self.context = _number(props.get("default_generation_settings", "n_ctx")) or None
        if self.context is None:
            raise ModelFileError(
                f"{self.kind} at {self.http.url} cannot load {self.model}.",
                hint="See what it says in its own window or log; with --no-models-autoload, load the model there.",
            )
        meta = self.models().get(self.model)
        about = {key: value for key, value in meta.items() if key != "n_ctx"} if isinstance(meta, dict) else None
        adapters = self.http.get(f"/lora-adapters?{which}").get()
        self.identity = [about, props.get("chat_template"), adapters]  # n_ctx is how it was started, not what it is


class LlamaCppPython(Server):
    """The server extra of llama-cpp-python. One request at a time; it refuses prompts that are too long."""

    kind = "llama-cpp-python"

    @staticmethod
    def recognised(http: Http) -> bool:
        """Whether it is one."""
        title = http.get("/openapi.json").get("info", "title")
        return isinstance(title, str) and "llama.cpp Python API" in title

    def count(self, text: str) -> int:
        """See Server."""
        return self._counted(self.http.post("/extras/tokenize/count", {"input": text}), "count")

    def form(self, schema: dict[str, Any]) -> dict[str, Any]:
        """See Server."""
        return {"response_format": {"type": "json_object", "schema": schema}}


class KoboldCpp(Server):
    """KoboldCpp. It cuts long prompts without a word."""

    kind = "KoboldCpp"

    @staticmethod
    def recognised(http: Http) -> bool:
        """Whether it is one."""
        return bool(http.get("/api/extra/version").get("result") == "KoboldCpp")

    def models(self) -> Mapping[str, object]:
        """See Server."""
        name = self.http.get("/api/v1/model").get("result")
        return {name: None} if _text(name) and not name.endswith("/inactive") and name != "inactive" else {}

    def count(self, text: str) -> int:
        """See Server."""
        return self._counted(self.http.post("/api/extra/tokencount", {"prompt": text}), "value")

    def form(self, schema: dict[str, Any]) -> dict[str, Any]:
        """See Server. A penalty on repetition would forbid copying."""
        return {**super().form(schema), "rep_pen": 1.0}

    def _open(self) -> None:
        self.context = self._counted(self.http.get("/api/extra/true_max_context_length"), "value")


class TextGenerationWebui(Server):
    """text-generation-webui (oobabooga). It cuts long prompts without a word, and takes no schema but a grammar."""

    kind = "text-generation-webui"

    @staticmethod
    def recognised(http: Http) -> bool:
        """Whether it is one."""
        return isinstance(http.get("/v1/internal/model/info").get("model_name"), str)

    def models(self) -> Mapping[str, object]:
        """See Server."""
        info = self.http.get("/v1/internal/model/info")
        name = info.get("model_name")
        return {name: info.get("lora_names")} if _text(name) and name != "None" else {}

    def count(self, text: str) -> int:
        """See Server."""
        return self._counted(self.http.post("/v1/internal/token-count", {"text": text}), "length")

    def form(self, schema: dict[str, Any]) -> dict[str, Any]:
        """See Server. Penalties would forbid copying."""
        from pipeline.engines.llama import gbnf

        return {
            "mode": "instruct",
            "grammar_string": gbnf(json.dumps(schema)),
            "repetition_penalty": 1.0,
            "enable_thinking": False,
        }


class LmStudio(Server):
    """LM Studio. It does not count tokens."""

    kind = "LM Studio"
    counts = False

    @staticmethod
    def recognised(http: Http) -> bool:
        """Whether it is one."""
        models = _list(http.get("/api/v0/models").get("data"))
        return any("state" in model and "max_context_length" in model for model in models)

    def models(self) -> Mapping[str, object]:
        """See Server. Only what is loaded: another one would be loaded with settings that nobody chose."""
        return {
            model["id"]: [model.get("quantization"), model.get("compatibility_type")]
            for model in _list(self.http.get("/api/v0/models").get("data"))
            if model.get("state") == "loaded" and model.get("type") != "embeddings" and _text(model.get("id"))
        }

    def _open(self) -> None:
        for model in _list(self.http.get("/api/v0/models").get("data")):
            if model.get("id") == self.model:
                self.context = _number(model.get("loaded_context_length"))
        if self.context is None:
            raise EngineError(
                f"{self.kind} at {self.http.url} does not say how long the context of {self.model} is.",
                hint="Use LM Studio 0.3.10 or newer, or its model file itself: `nightdesk models`.",
            )


class Ollama(Server):
    """Ollama. It cuts long prompts without a word, and serves models of its cloud as if they were here."""

    kind = "Ollama"
    counts = False
    chat = "/api/chat"

    @staticmethod
    def recognised(http: Http) -> bool:
        """Whether it is one."""
        return isinstance(http.get("/api/version").get("version"), str) and isinstance(
            http.get("/api/tags").get("models"), list
        )

    def models(self) -> Mapping[str, object]:
        """See Server."""
        models = _list(self.http.get("/api/tags").get("models"))
        return {model["name"]: model.get("digest") for model in models if _text(model.get("name"))}

    def _choose(self, wanted: str) -> tuple[str, object]:
        tagged = f"{wanted}:latest"
        return super()._choose(tagged if ":" not in wanted and tagged in self.models() else wanted)

    def _open(self) -> None:
        listed = [m for m in _list(self.http.get("/api/tags").get("models")) if m.get("name") == self.model]
        shown = self.http.post("/api/show", {"model": self.model})
        tag = self.model.rpartition(":")[2]
        remote = shown.get("remote_host") or shown.get("remote_model")
        if remote or tag == "cloud" or tag.endswith("-cloud") or any(m.get("remote_host") for m in listed):
            raise EngineError(
                f"{self.model} does not run on this machine: Ollama forwards it to its cloud. Nothing was sent.",
                hint="Choose a model whose file is here: `ollama list` shows its size.",
            )
        info = shown.get("model_info")
        if not isinstance(info, dict):
            raise EngineError(f"Ollama at {self.http.url} says nothing about {self.model}.", hint="Update Ollama.")
        self.context = next((_number(v) for key, v in info.items() if key.endswith(".context_length")), None)

    def prepare(self, most: int) -> None:
        """See Server. One size for the whole run: Ollama loads the model again for another one."""
        self.context = -(-most // 1024) * 1024 if self.context is None else min(self.context, -(-most // 1024) * 1024)

    def body(self, messages: Messages, prompt: Prompt, schema: dict[str, Any]) -> dict[str, Any]:
        """See Server. `truncate` and `shift` make newer versions refuse what older ones cut."""
        return {
            "model": self.model,
            "messages": messages,
            "format": schema,
            "stream": False,
            "think": False,
            "truncate": False,
            "shift": False,
            "options": {
                "temperature": prompt.temperature,
                "seed": prompt.seed,
                "num_predict": prompt.max_tokens,
                "num_ctx": self.context,
                "repeat_penalty": 1.0,
            },
        }

    def read(self, said: Any) -> Said | None:  # noqa: ANN401 - JSON
        """See Server."""
        reply = Reply(200, said)
        text, prompt = reply.get("message", "content"), _number(reply.get("prompt_eval_count"))
        if not isinstance(text, str) or prompt is None:
            return None
        return Said(text, reply.get("done_reason") != "length", prompt, 0, _number(reply.get("eval_count")) or 0)


# KoboldCpp and llama-server answer some of the others' questions as well, so they are asked first.
_KINDS = (KoboldCpp, LmStudio, TextGenerationWebui, LlamaServer, Ollama, LlamaCppPython)


def recognise(http: Http, wanted: str) -> Server:
    """The server at this address. Raises EngineError where it is none that is known, ModelFileError for its models."""
    first = http.get("/v1/models").status
    if first in (401, 403):
        raise asks_for_a_key(http)
    if first == 503:
        raise EngineError(f"The server at {http.url} is still loading its model.", hint="Try again when it is ready.")
    for kind in _KINDS:
        if kind.recognised(http):
            return kind(http, wanted)
    raise EngineError(
        f"The server at {http.url} does not say what it is, so it could forward your documents. Nothing was sent.",
        hint="Known: " + ", ".join(kind.kind for kind in _KINDS) + ". See `nightdesk help models`.",
    )


def counts_tokens(kind: str) -> bool:
    """Whether servers of this kind tell how many tokens a text has."""
    return next((each.counts for each in _KINDS if each.kind == kind), True)


def asks_for_a_key(http: Http) -> EngineError:
    """The server takes no question without its key, or not with the one that it got."""
    return EngineError(
        f"The server at {http.url} asks for a key.",
        hint="Name the one that it was started with: export NIGHTDESK_SERVER_KEY=... (others could see an option).",
    )


def _list(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)

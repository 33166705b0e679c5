"""The model of a run in a server that runs on this machine already: asked what it is, held to its context.

`RememberedModel` stands for it where nobody may be asked: `explain` runs behind the network guard.
"""

from __future__ import annotations

import os
import re
from http.client import HTTPException

from pipeline.config import EngineSettings, Job
from pipeline.engines import Engine
from pipeline.engines.dialects import recognise
from pipeline.engines.http import Http
from pipeline.engines.server import (
    INSTEAD,
    RememberedTokenizer,
    ServerEngine,
    ServerTokenizer,
    allot,
    messages_of,
    try_schema,
)
from pipeline.engines.shape import Demand
from pipeline.errors import EngineError, JobError, TaskError
from pipeline.models import TokenizerLike
from pipeline.prompting import PromptBuilder
from pipeline.run.model import Model, open_model
from pipeline.supervise.relay import relay_to

KEY = "NIGHTDESK_SERVER_KEY"
"""Where the key of a server is looked for: nobody else sees it there, and no database keeps it."""


def open_for(job: Job) -> Model:
    """The model that a job names: a file, or the one that a server holds.

    Raises as `open_model` and `ServerModel`, and JobError for what a server cannot do.
    """
    settings = job.engine
    if settings.server is None:
        return open_model(job.model, job.lora)
    for given, option in ((job.template, "template"), (job.lora, "lora"), (settings.sampling.samples, "samples")):
        if given:
            raise JobError(
                f"`{option}` does not work with a server: it applies the model's template and adapters, and gives "
                "no figures that samples could add to.",
                hint=f"Leave --{option} out, or {INSTEAD}.",
            )
    return ServerModel(job.model, *settings.server)


class ServerModel:
    """A model in a server that runs on this machine already. Loads nothing; asks the server what it holds."""

    context = 1 << 20  # in bytes; the server's own is checked in its own tokens

    adapters = ""

    def __init__(self, name: str, host: str, port: int) -> None:
        """Raises EngineError where the server does not answer or is none that is known; ModelFileError."""
        http = Http(relay_to(host, port), host, port, os.environ.get(KEY, ""))
        try:
            self._server = recognise(http, name)
        except PermissionError as error:
            raise EngineError(
                "The network guard was on before the way to the server was opened.",
                hint="Name the server with --engine, or under [engine] in the job file.",
            ) from error
        except (OSError, HTTPException) as error:
            raise EngineError(f"No server answers at {http.url}.", hint="Start it, or check the port.") from error
        self.name = f"{self._server.model} ({self._server.kind} at {http.url})"
        self.sha256 = self._server.fingerprint
        self.tokenizer: TokenizerLike = ServerTokenizer(self._server)
        self._most = 0
        self._builders: list[PromptBuilder] = []

    def check_fits(self, builder: PromptBuilder) -> None:
        """See Model. Raises TaskError where the task wants what only the model's file allows."""
        task, options = builder.task, builder.task.options
        if options.reasoning:
            raise TaskError(
                f"Task {task.name} asks for reasoning, and a server's thoughts cannot be told from its answers.",
                hint=f"Leave `reasoning` out of the task's [options], or {INSTEAD}.",
            )
        if options.template is not None:
            raise TaskError(
                f"Task {task.name} names a chat template, but a server applies the one of its model.",
                hint=f"Remove `template` from the task, or {INSTEAD}.",
            )
        messages = messages_of(builder.prompt("", ""))
        most = allot(
            self._server,
            frame="\n".join(message["content"] for message in messages),
            turns=len(messages),
            chunk_tokens=options.chunk_tokens,
            answer_tokens=options.max_answer_tokens,
            task=task.name,
        )
        self._most = max(self._most, most)
        self._builders.append(builder)

    def says(self, requests: int | None = None) -> str:
        """How much it is asked at once, in words."""
        requests = requests or self._server.at_a_time
        each = "" if self._server.context is None else f", {self._server.context:,} tokens each"
        return f"{requests} request{'s' * (requests > 1)} at a time{each}"

    @property
    def most(self) -> int:
        """Tokens that the longest prompt and answer may take, of the tasks that were checked."""
        return self._most

    def try_schemas(self) -> None:
        """Let the server begin an answer of every task that was checked. See `try_schema`."""
        self._server.prepare(self._most)
        for builder in self._builders:
            try_schema(self._server, builder.prompt("", ""), builder.task.name)

    @property
    def counts(self) -> bool:
        """Whether the server tells how many tokens a text has."""
        return self._server.counts

    def shown(self, builder: PromptBuilder, text: str) -> tuple[str, bool]:
        """The prompt about a text, and whether it is as the server makes it: where it does not tell, it is in turns."""
        messages = messages_of(builder.prompt(text, ""))
        rendered = self._server.rendered(messages)
        if rendered is not None:
            return rendered, True
        return "\n\n".join(f"[{m['role']}]\n{m['content']}" for m in messages), False

    def start(self, settings: EngineSettings, demand: Demand) -> tuple[Engine, str]:  # noqa: ARG002
        """See Model. Raises as `try_schemas`."""
        self.try_schemas()
        requests = settings.shape.slots or self._server.at_a_time
        its_own = sorted(settings.shape.model_fields_set - {"slots"} | settings.model_fields_set & {"grammar"})
        said = f"; the server's own, whatever the job says: {', '.join(its_own)}" if its_own else ""
        return ServerEngine(self._server, requests), self.says(requests) + said


class RememberedModel:
    """What a recipe needs of a server's model, as the run of this name and fingerprint found it. Asks nobody."""

    adapters = ""

    def __init__(self, name: str, sha256: str) -> None:
        self.sha256 = sha256
        kind = re.search(r" \((.+) at http://\S+\)$", name)
        self.tokenizer: TokenizerLike = RememberedTokenizer(kind[1] if kind else "", sha256)

"""The model of a run in a server that runs on this machine already: asked what it is, held to its context."""

from __future__ import annotations

from http.client import HTTPException

from pipeline.config import EngineSettings, Job
from pipeline.engines import Engine
from pipeline.engines.dialects import recognise
from pipeline.engines.http import Http
from pipeline.engines.server import ServerEngine, ServerTokenizer, allot, messages_of
from pipeline.errors import EngineError, JobError, TaskError
from pipeline.models import TokenizerLike
from pipeline.prompting import PromptBuilder
from pipeline.supervise.relay import relay_to


def open_server(job: Job) -> ServerModel:
    """The server that a job names. Raises JobError for what a server cannot do, and as ServerModel."""
    settings = job.engine
    if settings.server is None:
        raise ValueError("the job names no server")
    for given, option in ((job.template, "template"), (job.lora, "lora"), (settings.sampling.samples, "samples")):
        if given:
            raise JobError(
                f"`{option}` does not work with a server: it applies the model's template and adapters, and gives "
                "no figures that samples could add to.",
                hint=f"Leave --{option} out, or use the model's file with --model.",
            )
    return ServerModel(job.model, *settings.server)


class ServerModel:
    """A model in a server that runs on this machine already. Loads nothing; asks the server what it holds."""

    context = 1 << 20  # in bytes; the server's own is checked in its own tokens

    adapters = ""

    def __init__(self, name: str, host: str, port: int) -> None:
        """Raises EngineError where the server does not answer or is none that is known; ModelFileError."""
        http = Http(relay_to(host, port), host, port)
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

    def check_fits(self, builder: PromptBuilder) -> None:
        """See Model. Raises TaskError where the task wants a template of its own: the server applies the model's."""
        task, options = builder.task, builder.task.options
        if options.template is not None:
            raise TaskError(
                f"Task {task.name} names a chat template, but a server applies the one of its model.",
                hint="Remove `template` from the task, or use the model's file with --model.",
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

    def start(self, settings: EngineSettings, *, prefix: int, longest: int, ranked: bool) -> tuple[Engine, str]:  # noqa: ARG002
        """See Model."""
        self._server.prepare(self._most)
        requests = settings.shape.slots or self._server.at_a_time
        said = f"{requests} request{'s' * (requests > 1)} at a time"
        if self._server.context is not None:
            said += f", {self._server.context:,} tokens each"
        return ServerEngine(self._server, requests), said

"""Targets for child processes that misbehave on a chosen prompt. Imported by the children."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator

from pipeline.batching import Halt
from pipeline.data import Completion, Prompt
from pipeline.engines import never
from pipeline.engines.batched import Batched
from pipeline.engines.naive import Naive
from pipeline.engines.serving import GivenBack, serve
from pipeline.engines.spec import EngineSpec
from pipeline.supervise import Channel

ABORT, HANG, BUG, SLOW = b"#abort#", b"#hang#", b"#bug#", b"#slow#"


class Faulty:
    """An engine that does what a prompt's text says."""

    def __init__(self, engine: Batched | Naive) -> None:
        self._engine = engine
        self._slow_until = 0.0
        self.gave_back = False

    @property
    def calls(self) -> int:
        return self._engine.calls

    def close(self) -> None:
        self._engine.close()

    def run(self, prompts: Iterable[Prompt | None], should_stop: Callable[[], Halt] = never) -> Iterator[Completion]:
        def slow() -> Halt:
            while time.monotonic() < self._slow_until and not self.gave_back:
                should_stop()
                time.sleep(0.01)
            return should_stop()

        return self._engine.run(map(self._look, prompts), slow)

    def _look(self, prompt: Prompt | None) -> Prompt | None:
        if prompt is None:
            return None
        text = bytes(t for segment in prompt.segments for t in segment.tokens if t < 256)
        if ABORT in text:
            os.abort()
        if HANG in text:
            time.sleep(3600)
        if SLOW in text:
            self._slow_until = time.monotonic() + 60
        if BUG in text:
            raise ValueError("a secret of the document")
        return prompt


def serve_faulty(channel: Channel, spec: EngineSpec) -> None:
    """serve(), with an engine that breaks on demand."""
    faulty = Faulty(spec.build())
    send = channel.send

    def sent(message: object) -> None:
        faulty.gave_back = faulty.gave_back or (isinstance(message, GivenBack) and bool(message.keys))
        send(message)

    channel.send = sent  # type: ignore[method-assign]
    EngineSpec.build = lambda self: faulty  # type: ignore[method-assign, assignment, return-value]
    serve(channel, spec)

"""The child's side of an engine in a process of its own: build it, answer prompts, give back what was not begun."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pipeline.batching import Halt
from pipeline.data import Prompt
from pipeline.engines.batched import Batched
from pipeline.engines.spec import EngineSpec
from pipeline.supervise import Channel, Closed


class Ask(enum.Enum):
    """What the parent says besides prompts and halts."""

    GIVE_BACK = "give back"  # the prompts that are not begun: somebody else is free


@dataclass(frozen=True, slots=True)
class GivenBack:
    """The keys of prompts that this child will not answer."""

    keys: tuple[str, ...]


def serve(channel: Channel, spec: EngineSpec) -> None:
    """Build the engine, answer prompts until the parent says halt or closes.

    Sends GivenBack of nothing when the engine is built, and of what was not begun when it is asked for;
    (completion, calls); (None, calls) when it has halted. Never waits for a prompt while an answer is being written.
    """
    engine = spec.build()
    prepare = engine.prepare if spec.compile_ahead and isinstance(engine, Batched) else None
    inbox = _Inbox(channel, prepare)
    try:
        channel.send(GivenBack(()))
        while True:
            for completion in engine.run(inbox.batch(), inbox.should_stop):
                channel.send((completion, engine.calls))
            if inbox.halted():
                channel.send((None, engine.calls))
    except Closed:
        return
    finally:
        engine.close()


class _Inbox:
    """The child's messages as they arrive."""

    def __init__(self, channel: Channel, prepare: Callable[[Iterable[Prompt]], None] | None) -> None:
        """`prepare` is told between two calls which prompts wait."""
        self._channel = channel
        self._prepare = prepare
        self._queue: deque[Prompt] = deque()
        self._halt = Halt.NO

    def batch(self) -> Iterator[Prompt | None]:
        """Prompts until a halt: waits for the first one, and gives None where the next one is not there yet."""
        waits = True
        while self._halt is Halt.NO:
            if self._queue:
                waits = False
                yield self._queue.popleft()
            elif waits or self._channel.poll():
                self._take()
            else:
                yield None

    def should_stop(self) -> Halt:
        """Asked between two calls of the model: also the child's sign of life."""
        self._channel.beat()
        while self._channel.poll():
            self._take()
        if self._prepare is not None:
            self._prepare(self._queue)
        return self._halt

    def halted(self) -> bool:
        """Whether a halt ended the run. The parent, once told, knows that the rest was dropped, and may go on."""
        halt, self._halt = self._halt, Halt.NO
        return halt is not Halt.NO

    def _take(self) -> None:
        message = self._channel.recv()
        if isinstance(message, Halt):
            self._halt = message
            self._queue.clear()
        elif message is Ask.GIVE_BACK:
            keys = tuple(prompt.work_key for prompt in self._queue)
            self._queue.clear()
            self._channel.send(GivenBack(keys))
        else:
            self._queue.append(message)

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
    """What the parent says besides prompts."""

    END = "end"  # no more prompts in this batch
    GIVE_BACK = "give back"  # the prompts that are not begun: somebody else is free


@dataclass(frozen=True, slots=True)
class GivenBack:
    """The keys of prompts that this child will not answer."""

    keys: tuple[str, ...]


def serve(channel: Channel, spec: EngineSpec) -> None:
    """Build the engine, answer prompts until the parent says halt or closes.

    Sends GivenBack of nothing when the engine is built, and of what was not begun when it is asked for;
    (completion, calls); (None, calls) when a batch has ended.
    """
    engine = spec.build()
    prepare = engine.prepare if spec.compile_ahead and isinstance(engine, Batched) else None
    inbox = _Inbox(channel, prepare)
    try:
        channel.send(GivenBack(()))
        while True:
            for completion in engine.run(inbox.batch(), inbox.should_stop):
                channel.send((completion, engine.calls))
            channel.send((None, engine.calls))
            inbox.halted_is_done()
    except Closed:
        return
    finally:
        engine.close()


class _Inbox:
    """The child's messages as they arrive. A batch of prompts ends with END; the next one may be there already."""

    def __init__(self, channel: Channel, prepare: Callable[[Iterable[Prompt]], None] | None) -> None:
        """`prepare` is told between two calls which prompts wait."""
        self._channel = channel
        self._prepare = prepare
        self._queue: deque[Prompt | Ask] = deque()
        self._halt = Halt.NO

    def batch(self) -> Iterator[Prompt]:
        """The prompts of this batch; waits for them."""
        while self._halt is Halt.NO:
            if not self._queue:
                self._take()
            elif isinstance(prompt := self._queue.popleft(), Prompt):
                yield prompt
            else:
                return

    def should_stop(self) -> Halt:
        """Asked between two calls of the model: also the child's sign of life."""
        self._channel.beat()
        while self._channel.poll():
            self._take()
        if self._prepare is not None:
            self._prepare(each for each in self._queue if isinstance(each, Prompt))
        return self._halt

    def halted_is_done(self) -> None:
        """A halted batch has ended: the parent knows that the rest was dropped."""
        self._halt = Halt.NO

    def _take(self) -> None:
        message = self._channel.recv()
        if isinstance(message, Halt):
            self._halt = message
            self._queue.clear()
        elif message is Ask.GIVE_BACK:
            keys = tuple(each.work_key for each in self._queue if isinstance(each, Prompt))
            self._queue = deque(each for each in self._queue if not isinstance(each, Prompt))
            self._channel.send(GivenBack(keys))
        else:
            self._queue.append(message)

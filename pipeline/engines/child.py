"""An engine in a supervised child process: llama.cpp may abort, hang or be killed there, and costs its own work only.

The parent keeps a few prompts ahead of the slots and everything that is in flight; when the child is lost it is
started again and the work goes back. What was in flight in two crashes runs alone, and after a third is answered
with `Stop.POISON`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from pipeline.batching import Halt
from pipeline.data import Completion, Counts, Prompt, Stop
from pipeline.engines import never
from pipeline.engines.spec import EngineSpec
from pipeline.errors import ChildDied, ChildError, ChildHung, EngineError
from pipeline.supervise import Boundary, Channel, Closed, CrashLedger, Supervised

AHEAD = 4  # prompts sent beyond the slots, so that a free slot does not wait for the parent
GLANCE = 0.2  # seconds between two looks at `should_stop`
LOADING = 600.0  # seconds that loading the weights and the first call may take
PATIENCE = 30.0  # times the expected duration of a full call after which a silent child counts as hung
LEAST_PATIENCE = 60.0  # seconds


def serve(channel: Channel, spec: EngineSpec) -> None:
    """The child: build the engine, answer prompts until the parent says halt or closes."""
    engine = spec.build()
    inbox = _Inbox(channel)
    try:
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
    """The child's messages as they arrive. A batch of prompts ends with None; the next one may be there already."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._queue: deque[Prompt | None] = deque()
        self._halt = Halt.NO

    def batch(self) -> Iterator[Prompt]:
        """The prompts of this batch; waits for them."""
        while self._halt is Halt.NO:
            if not self._queue:
                self._take()
            elif (prompt := self._queue.popleft()) is None:
                return
            else:
                yield prompt

    def should_stop(self) -> Halt:
        """Asked between two calls of the model: also the child's sign of life."""
        self._channel.beat()
        while self._channel.poll():
            self._take()
        return self._halt

    def halted_is_done(self) -> None:
        """A halted batch has ended: the parent knows that the rest was dropped."""
        self._halt = Halt.NO

    def _take(self) -> None:
        message = self._channel.recv()
        if isinstance(message, Halt):
            self._halt = message
            self._queue.clear()
        else:
            self._queue.append(message)


@dataclass(slots=True)
class _Speed:
    """Measured seconds a row, to know how long a silence may be."""

    seconds: float = 0.0
    rows: int = 0
    max_batch: int = 1

    def patience(self) -> float:
        if not self.rows:
            return LOADING
        return max(LEAST_PATIENCE, PATIENCE * self.max_batch * self.seconds / self.rows)


@dataclass(slots=True)
class _Flight:
    """What the child has and has not answered."""

    prompts: dict[str, Prompt] = field(default_factory=dict)
    again: deque[Prompt] = field(default_factory=deque)
    alone: deque[Prompt] = field(default_factory=deque)
    ended: bool = False  # the child was told that no more prompts come
    halt: Halt = Halt.NO  # what the child was told


class ChildEngine:
    """Implements Engine. One writer, the thread that made it."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._child = Supervised(serve, spec, name="engine")
        self._ledger = CrashLedger()
        self._speed = _Speed(max_batch=spec.shape.sizes.max_batch)
        self._calls = self._calls_before = 0
        self.restarts = 0

    @property
    def calls(self) -> int:
        """Decode calls so far, those of lost children as far as they were heard of."""
        return self._calls_before + self._calls

    @property
    def boundary(self) -> Boundary:
        """What the process boundary has cost."""
        return self._child.boundary

    def run(self, prompts: Iterable[Prompt], should_stop: Callable[[], Halt] = never) -> Iterator[Completion]:
        """See Engine. Raises EngineError when the child dies with nothing in flight, or its own ModelError."""
        self._start()
        source = iter(prompts)
        flight = _Flight()
        while (halt := should_stop()) is not Halt.NOW:
            if halt is not flight.halt:
                flight.halt = halt
                self._child.send(halt)
            if halt is Halt.NO:
                self._fill(flight, source)
            if not flight.prompts:
                return
            try:
                yield from self._receive(flight, should_stop)
            except (ChildDied, ChildHung) as error:
                yield from self._recover(flight, error)
        self._child.kill()

    def close(self) -> None:
        """End the child."""
        self._child.stop()

    def _start(self) -> None:
        if not self._child.alive:
            self._child.stop()
            self._child.start()

    def _fill(self, flight: _Flight, source: Iterator[Prompt]) -> None:
        """Send prompts until the child has enough, and say when there are no more: it must not wait for one."""
        if flight.ended or any(self._ledger.must_run_alone(key) for key in flight.prompts):
            return
        if flight.alone:
            if not flight.prompts:
                self._send(flight, flight.alone.popleft())
                self._child.send(None)
            return
        window = self._spec.shape.slots + AHEAD
        while len(flight.prompts) < window:
            prompt = flight.again.popleft() if flight.again else next(source, None)
            if prompt is None:
                flight.ended = True
                self._child.send(None)
                return
            self._send(flight, prompt)

    def _send(self, flight: _Flight, prompt: Prompt) -> None:
        flight.prompts[prompt.work_key] = prompt
        self._child.send(prompt)

    def _receive(self, flight: _Flight, should_stop: Callable[[], Halt]) -> Iterator[Completion]:
        """Wait for a message while it makes sense to wait, and take all that are there."""
        began = time.monotonic()
        while not self._child.poll(GLANCE):
            if should_stop() is not flight.halt:
                return
            if self._child.silent_for > self._speed.patience():
                self._child.kill()
                raise self._child.hung(self._speed.patience())
        while flight.prompts and self._child.poll():
            completion, self._calls = self._child.recv(timeout=GLANCE)
            if completion is None:
                if flight.halt is not Halt.NO:  # what the child had not begun is left
                    flight.prompts.clear()
                continue
            del flight.prompts[completion.work_key]
            self._ledger.forget([completion.work_key])
            counts = completion.counts
            self._speed.rows += counts.prefilled + counts.forced + counts.sampled
            self._speed.seconds += time.monotonic() - began
            began = time.monotonic()
            yield completion

    def _recover(self, flight: _Flight, error: ChildError) -> Iterator[Completion]:
        """Start a fresh child and give the work back."""
        if not flight.prompts:
            raise EngineError(error.message, hint="run it again; finished answers are kept") from error
        fates = self._ledger.crashed(flight.prompts)
        flight.again.extend(flight.prompts[key] for key in fates.again)
        flight.alone.extend(flight.prompts[key] for key in fates.alone)
        flight.prompts.clear()
        flight.ended = False
        for key in fates.poison:
            yield Completion(key, (), (), (), (), Counts(), Stop.POISON)
        self._calls_before, self._calls = self.calls, 0
        self.restarts += 1
        self._child.restart()

"""An engine in supervised child processes: llama.cpp may abort, hang or be killed there, and costs its own work only.

The parent keeps a few prompts ahead of the slots and everything that is in flight. With several processes (replicas)
each prompt goes where the fewest tokens are expected to be waiting, and the end of the work is shared out again. When
a child is lost its work goes back to the queue. What was in flight in two crashes runs alone in its process, and after
a third is answered with `Stop.POISON`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from pipeline.batching import Halt
from pipeline.data import Completion, Counts, Prompt, Stop
from pipeline.engines import never
from pipeline.engines.replica import GLANCE, Replica
from pipeline.engines.serving import serve
from pipeline.engines.spec import EngineSpec
from pipeline.errors import ChildDied, ChildError, ChildHung, EngineError
from pipeline.supervise import Boundary, CrashLedger, wait

AHEAD = 4  # prompts sent beyond the slots, so that a free slot does not wait for the parent
_MEMORY = ("killed", "memory")
"""Ends that more memory would have prevented, as far as the parent can tell."""


@dataclass(slots=True)
class _Queue:
    """Prompts that are with no child, in the order in which they go."""

    source: Iterator[Prompt]
    again: deque[Prompt] = field(default_factory=deque)
    alone: deque[Prompt] = field(default_factory=deque)

    def next(self) -> Prompt | None:
        return self.again.popleft() if self.again else next(self.source, None)


class ChildEngine:
    """Implements Engine over `spec.replicas` processes. One writer, the thread that made it."""

    def __init__(self, spec: EngineSpec, *, target: Callable[..., None] = serve) -> None:
        """`target` runs in each child; see `serve`."""
        self._replicas = [Replica(spec, target) for _ in range(spec.shape.replicas)]
        self._window = spec.shape.slots + AHEAD
        self._slots = spec.shape.slots
        self._ledger = CrashLedger()
        self._answers = self._answered = 0  # output tokens, and of how many answers
        self.restarts = 0

    @property
    def calls(self) -> int:
        """Decode calls so far, those of lost children as far as they were heard of."""
        return sum(replica.calls for replica in self._replicas)

    @property
    def boundary(self) -> Boundary:
        """What the process boundaries have cost."""
        all_of = [replica.child.boundary for replica in self._replicas]
        return Boundary(sum(b.messages for b in all_of), sum(b.bytes for b in all_of), sum(b.seconds for b in all_of))

    def run(self, prompts: Iterable[Prompt], should_stop: Callable[[], Halt] = never) -> Iterator[Completion]:
        """See Engine. Raises EngineError when the last child dies with nothing in flight, or a child's ModelError."""
        for replica in self._replicas:
            replica.start()
        queue = _Queue(iter(prompts))
        while (halt := should_stop()) is not Halt.NOW:
            for replica in self._living():
                replica.halt(halt)
            if halt is Halt.NO:
                self._deal(queue)
            busy = [replica for replica in self._living() if replica.prompts]
            if not busy:
                return
            self._wait(busy)
            arrived: list[Completion] = []
            try:
                for replica in busy:
                    for completion in self._receive(replica, queue):
                        arrived.append(completion)  # one by one: what came before an error is kept
                if halt is Halt.NO:
                    self._deal(queue)  # first, since keeping an answer takes time
            finally:
                yield from arrived
        for replica in self._living():
            replica.child.kill()

    def close(self) -> None:
        """End the children."""
        for replica in self._replicas:
            replica.child.stop()

    def _living(self) -> list[Replica]:
        return [replica for replica in self._replicas if not replica.retired]

    def _deal(self, queue: _Queue) -> None:
        """Send prompts until every child has enough. When there are no more, share out what is not begun."""
        free = []
        for replica in self._living():
            if queue.alone and not replica.prompts:
                self._send(replica, queue.alone.popleft())
            if not any(self._ledger.must_run_alone(key) for key in replica.prompts):
                free.append(replica)
        while room := [replica for replica in free if len(replica.prompts) < self._window]:
            prompt = queue.next()
            if prompt is None:
                break
            answer = self._expected(prompt)
            self._send(min(room, key=lambda replica: replica.load + replica.cost(prompt, answer)), prompt)
        else:
            return
        if any(not replica.prompts for replica in free):
            longest = max(free, key=lambda replica: len(replica.prompts))
            if len(longest.prompts) > self._slots and not longest.asked:
                longest.ask_back()

    def _send(self, replica: Replica, prompt: Prompt) -> None:
        replica.send(prompt, self._expected(prompt))

    def _expected(self, prompt: Prompt) -> float:
        """Tokens of its answer: the mean so far."""
        return min(prompt.max_tokens, self._answers / self._answered) if self._answered else prompt.max_tokens

    def _wait(self, busy: list[Replica]) -> None:
        began = time.monotonic()
        if not any(replica.child.poll() for replica in busy):
            wait((replica.child for replica in busy), GLANCE)
        waited = time.monotonic() - began
        for replica in busy:
            replica.waited(waited)

    def _receive(self, replica: Replica, queue: _Queue) -> Iterator[Completion]:
        """What has arrived from a child, and what a lost one leaves."""
        try:
            for completion in replica.completions():
                self._ledger.forget([completion.work_key])
                self._answers += len(completion.tokens)
                self._answered += 1
                yield completion
            queue.again.extend(replica.given_back)
            replica.given_back.clear()
        except (ChildDied, ChildHung) as error:
            yield from self._recover(replica, queue, error)

    def _recover(self, replica: Replica, queue: _Queue, error: ChildError) -> Iterator[Completion]:
        """Give the lost child's work back, and start a fresh one.

        Where it was lost to a want of memory and others are alive, they go on without it.
        """
        lost = {prompt.work_key: prompt for prompt in [*replica.lost(), *replica.given_back]}
        replica.given_back.clear()
        others = len(self._living()) > 1
        if not lost and not others:
            raise EngineError(error.message, hint="run it again; finished answers are kept") from error
        fates = self._ledger.crashed(lost)
        queue.again.extend(lost[key] for key in fates.again)
        queue.alone.extend(lost[key] for key in fates.alone)
        for key in fates.poison:
            yield Completion(key, (), (), (), (), Counts(), Stop.POISON)
        if others and (error.code in _MEMORY or not lost):
            replica.retired = True
            return
        self.restarts += 1
        replica.child.restart()

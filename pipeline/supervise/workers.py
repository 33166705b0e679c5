"""Requests answered in children: one worker that is reused and replaced, and many requests through a few workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.errors import ChildDied, ChildHung, NightdeskError
from pipeline.supervise.process import GLANCE, Supervised, wait
from pipeline.supervise.wire import Channel, Closed

Q = TypeVar("Q")
R = TypeVar("R")

REPLACED_AFTER = 1000  # requests
SETTLED_AFTER = 16  # requests before a worker may be replaced for the memory it holds
STARTS = 3  # tries to start a child before the run is told


def answer(channel: Channel, handler: Callable[[Q], R]) -> None:
    """The target of a worker's child."""
    while True:
        request = channel.recv()
        try:
            channel.send(handler(request))
        except Closed:
            raise
        except BaseException as error:  # sys.exit() in a library too
            channel.fail(error)


class Worker(Generic[Q, R]):
    """A child process that calls `handler(request)`, one request at a time.

    It is replaced after a crash, after `timeout` seconds without an answer, after many requests, and when it holds
    half of `memory` between two requests. The request that was there gets the error and is not tried again.
    """

    def __init__(
        self,
        handler: Callable[[Q], R],
        *,
        name: str,
        timeout: float,
        memory: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if handler.__module__ == "__main__":
            raise ValueError("a child cannot import its handler from __main__")
        self._child = Supervised(answer, handler, name=name, memory=memory, environment=environment)
        self._timeout = timeout
        self._memory = memory
        self._request: Q | None = None
        self._served = 0
        self._starts = 0
        self.busy = False

    @property
    def child(self) -> Supervised:
        """The process, to wait for."""
        return self._child

    def ask(self, request: Q) -> R:
        """The handler's answer. Raises what the handler raised, or a ChildError."""
        self.submit(request)
        while (outcome := self.outcome()) is None:
            wait([self._child], min(GLANCE, self.left))
        if isinstance(outcome[0], NightdeskError):
            raise outcome[0]
        return outcome[0]

    def submit(self, request: Q) -> None:
        """Hands over a request; outcome() tells when it is answered."""
        if self.busy:
            raise RuntimeError("the worker has a request already")
        if self._child.alive and (self._worn() or self._child.poll()):  # worn, or died while idle
            self._child.stop()
        if not self._child.alive:
            self._child.stop()
            self._child.start()
            self._served, self._starts = 0, 1
        self._request = request
        self._child.send(request)
        self.busy = True

    def outcome(self) -> tuple[R | NightdeskError] | None:
        """The answer or the error of the request, alone in a tuple; None while there is none. Does not wait.

        Raises only when no child can be started, which is no fault of the request.
        """
        child = self._child
        result: R | NightdeskError
        try:
            if child.poll():
                result = child.recv(timeout=self._timeout)
            elif self.left > 0:
                return None
            else:
                child.kill()
                raise child.hung(self._timeout)
        except NightdeskError as error:
            if not child.ready:
                self._start_again(error)
                return None
            result = error
        if isinstance(result, ChildDied | ChildHung):
            child.stop(grace=0.0)
        self._served += 1
        self.busy, self._request = False, None
        return (result,)

    @property
    def left(self) -> float:
        """Seconds until the request counts as hung."""
        return max(0.0, self._timeout - self._child.silent_for)

    def close(self) -> None:
        """Ends the child: at once if it works on a request."""
        self._child.stop(grace=0.0 if self.busy else 5.0)
        self.busy = False

    def _start_again(self, error: NightdeskError) -> None:
        if not isinstance(error, ChildDied | ChildHung) or self._starts == STARTS:
            raise error
        self._starts += 1
        self._child.restart()
        self._child.send(self._request)

    def _worn(self) -> bool:
        if self._served >= REPLACED_AFTER:
            return True
        if self._memory is None or self._served < SETTLED_AFTER:
            return False
        return (self._child.resident or 0) > self._memory // 2


@dataclass(slots=True)
class _Job(Generic[Q, R]):
    request: Q
    worker: Worker[Q, R]
    outcome: tuple[R | NightdeskError] | None = None


def map_ordered(
    handler: Callable[[Q], R],
    requests: Iterable[Q],
    *,
    name: str,
    timeout: float,
    memory: int | None = None,
    workers: int = 1,
) -> Iterator[tuple[Q, R | NightdeskError]]:
    """Each request with its answer or its error, in the order of the requests.

    Takes requests as workers become free: at most two for each worker are taken and not yet yielded. A request that
    crashes, hangs or eats memory costs itself only.
    """
    crew: list[Worker[Q, R]] = [Worker(handler, name=name, timeout=timeout, memory=memory) for _ in range(workers)]
    jobs: deque[_Job[Q, R]] = deque()
    source: Iterator[Q] | None = iter(requests)
    broken: Exception | None = None
    try:
        while True:
            for job in jobs:
                job.outcome = job.outcome or job.worker.outcome()
            for worker in crew:
                if source is None or worker.busy or len(jobs) >= 2 * workers:
                    continue
                try:
                    request = next(source)
                except StopIteration:
                    source = None
                except Exception as error:
                    source, broken = None, error  # raised below, after what is finished was yielded
                else:
                    worker.submit(request)
                    jobs.append(_Job(request, worker))
            if not jobs:
                break
            if (outcome := jobs[0].outcome) is not None:
                yield jobs.popleft().request, outcome[0]
            else:
                busy = [worker for worker in crew if worker.busy]
                wait((worker.child for worker in busy), min(GLANCE, *(worker.left for worker in busy)))
        if broken is not None:
            raise broken
    finally:
        for worker in crew:
            worker.close()

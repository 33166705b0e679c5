"""The floor: the same tokens through bare llama_decode at the best shape of a few.

Each shared stretch once, each question's own tokens in one prompt call, then generation rows of all slots in one
call, a slot refilled as soon as it is free. Nothing is masked, chosen, parsed or tokenised. The floor is the time
inside llama_decode, so nothing of Python is in it.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipeline.batching import Backend, Row
from pipeline.data import Completion, Prompt
from pipeline.engines.batched import HOLDERS
from pipeline.engines.shape import Resolved
from pipeline.engines.sizes import Sizes
from tests.benchmarks.meter import Meter

BETTER: tuple[tuple[int, bool | Literal["prompts"]], ...] = ((4, "prompts"), (8, "prompts"), (16, True))
"""Slots and flash attention: what was fastest on some workload (LOG.md), tried beside the shape of the cell."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A question and the output tokens that were really evaluated for it; `forced` of them needed no logits."""

    prompt: Prompt
    tokens: tuple[int, ...] = field(repr=False)
    forced: int = 0


def evaluated(completion: Completion) -> tuple[tuple[int, ...], int]:
    """The output tokens that were fed back, and how many of them were forced: those before the last chosen one."""
    values = zip(completion.logprobs, completion.removed, completion.gaps, strict=True)
    forced = [(logprob, removed, gap) == (0.0, 0.0, math.inf) for logprob, removed, gap in values]
    chosen = [index for index, is_forced in enumerate(forced) if not is_forced]
    count = chosen[-1] if chosen else 0
    return completion.tokens[:count], sum(forced[:count])


@dataclass(slots=True)
class _Busy:
    slot: int
    position: int
    left: deque[int]
    forced: int


class Floor:
    """Replays over a backend. Sequences: HOLDERS holders first, then the slots, as the engine lays them out."""

    def __init__(self, backend: Backend, slots: int) -> None:
        self._backend = backend
        self._free = deque(range(HOLDERS, HOLDERS + slots))
        self._holders: OrderedDict[tuple[str, ...], tuple[int, int]] = OrderedDict()
        self.prefilled = self.generated = 0

    def run(self, replays: Iterable[Replay], over: Callable[[], bool] = lambda: False) -> None:
        """Decode them all, or until it is over."""
        source: Iterator[Replay] = iter(replays)
        busy: list[_Busy] = []
        waiting = next(source, None)
        while (busy or waiting) and not over():
            while self._free and waiting:
                begun = self._begin(waiting)
                if begun.left:
                    busy.append(begun)
                else:
                    self._end(begun)
                waiting = next(source, None)
            if busy:
                self._step(busy)
                for each in [each for each in busy if not each.left]:
                    busy.remove(each)
                    self._end(each)

    def _begin(self, replay: Replay) -> _Busy:
        shared = [segment for segment in replay.prompt.segments if segment.shared]
        own = [token for segment in replay.prompt.segments if not segment.shared for token in segment.tokens]
        slot = self._free.popleft()
        position = 0
        if shared:
            key = tuple(segment.hash for segment in shared)
            holder, position = self._holder(key, [token for segment in shared for token in segment.tokens])
            self._backend.copy(holder, slot)
        self._prompt(own, slot, position)
        return _Busy(slot, position + len(own), deque(replay.tokens), replay.forced)

    def _holder(self, key: tuple[str, ...], tokens: list[int]) -> tuple[int, int]:
        if key not in self._holders:
            used = {holder for holder, _ in self._holders.values()}
            if len(used) == HOLDERS:
                _, (oldest, _) = self._holders.popitem(last=False)
                self._backend.drop(oldest)
                used.remove(oldest)
            holder = next(number for number in range(HOLDERS) if number not in used)
            self._prompt(tokens, holder, 0)
            self._holders[key] = (holder, len(tokens))
        self._holders.move_to_end(key)
        return self._holders[key]

    def _prompt(self, tokens: list[int], sequence: int, position: int) -> None:
        step = self._backend.max_batch
        for first in range(0, len(tokens), step):
            part = tokens[first : first + step]
            last = position + len(tokens) - 1
            rows = [Row(t, at, (sequence,), logits=at == last) for at, t in enumerate(part, position + first)]
            self._backend.decode(rows)
        self.prefilled += len(tokens)

    def _step(self, busy: list[_Busy]) -> None:
        rows = []
        for each in busy:
            rows.append(Row(each.left.popleft(), each.position, (each.slot,), logits=each.forced <= 0))
            each.position += 1
            each.forced -= 1
        self._backend.decode(rows)
        self.generated += len(rows)

    def _end(self, each: _Busy) -> None:
        self._backend.drop(each.slot)
        self._free.append(each.slot)


@dataclass(frozen=True, slots=True)
class Taken:
    """What the replays took at one shape."""

    shape: Resolved
    seconds: float  # inside llama_decode
    wall: float
    calls: int
    prefilled: int
    generated: int

    @property
    def words(self) -> str:
        """The shape, for people."""
        flash = "for all" if self.shape.sizes.flash_attention else "for prompts"
        return f"{self.shape.slots} slots, flash attention {flash}"


def fastest(
    shapes: Iterable[Resolved],
    load: Callable[[Sizes], Backend],
    warm_up: Sequence[Replay],
    replays: Sequence[Replay],
    meter: Meter,
) -> tuple[Taken, dict[str, str]]:
    """The shape that takes least of the seconds that `meter` counts, and in words what each took.

    Each is warmed up first. One that takes longer than the best so far is given up.
    """
    best: Taken | None = None
    said: dict[str, str] = {}
    for shape in shapes:
        limit = best.seconds if best else math.inf
        taken = _taken(shape, load, warm_up, replays, meter, limit)
        given_up = taken.seconds >= limit
        best = best if given_up else taken
        said[taken.words] = f"given up after {taken.seconds:.1f} s" if given_up else f"{taken.seconds:.1f} s"
    if best is None:
        raise ValueError("there is no shape")
    return best, said


def _taken(
    shape: Resolved,
    load: Callable[[Sizes], Backend],
    warm_up: Sequence[Replay],
    replays: Sequence[Replay],
    meter: Meter,
    limit: float,
) -> Taken:
    backend = load(shape.sizes)
    try:
        floor = Floor(backend, shape.slots)
        floor.run(warm_up)
        meter.reset()
        floor.prefilled = floor.generated = 0
        began = time.perf_counter()
        floor.run(replays, lambda: meter.seconds >= limit)
        wall = time.perf_counter() - began
        return Taken(shape, meter.seconds, wall, meter.calls, floor.prefilled, floor.generated)
    finally:
        backend.close()

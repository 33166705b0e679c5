"""The short benchmark: the batched engine and its slow twin on the receipts that ship, one after the other.

Each is asked as a run would ask it, in the same order, for a bounded time. Nothing is kept. The full one, with other
programs beside ours and the floor, is `tests/benchmarks/throughput.py` in the source tree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.batching import Halt
from pipeline.config import EngineSettings
from pipeline.data import Counts, Prompt, Stop
from pipeline.errors import ModelError
from pipeline.prompting import PromptBuilder, load_task
from pipeline.run.model import Model, demand_of, open_model
from pipeline.run.sibling import TASK, questions
from pipeline.run.tune import BUSY, others_use

ENGINES: tuple[Literal["batched", "naive"], ...] = ("batched", "naive")


@dataclass(frozen=True, slots=True)
class Busy:
    """Others use so much of the machine's cores (0 to 1) that the figures mean little."""

    share: float


@dataclass(frozen=True, slots=True)
class Pace:
    """What one engine did. `counts` and `calls` (of llama_decode) are of all its documents."""

    engine: Literal["batched", "naive"]
    shape: str
    documents: int
    seconds: float
    counts: Counts
    calls: int

    @property
    def per_hour(self) -> float:
        """Documents an hour."""
        return 3600 * self.documents / max(self.seconds, 1e-9)


def bench(
    name: str,
    *,
    seconds: float,
    busy: Callable[[], float] = others_use,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Busy | Pace]:
    """Measure both, each for `seconds` at most and until what was begun is finished. Loads the model twice.

    Loading it and a first document, with which the task's prefix is computed, are not counted. Raises ModelError.
    """
    model = open_model(name)
    builder = PromptBuilder(load_task(TASK), model.tokenizer)
    model.check_fits(builder)
    prompts = questions(builder, model)
    if (used := busy()) > BUSY:
        yield Busy(used)
    for engine in ENGINES:
        yield _measure(engine, model, builder, prompts, seconds, clock)


def _measure(
    engine: Literal["batched", "naive"],
    model: Model,
    builder: PromptBuilder,
    prompts: Sequence[Prompt],
    seconds: float,
    clock: Callable[[], float],
) -> Pace:
    running, shape = model.start(EngineSettings(engine=engine), demand_of([builder]))
    warm_up, *asked = prompts
    try:
        for _ in running.run([warm_up]):
            pass
        counts, documents, before = Counts(), 0, running.calls
        began = clock()
        for answer in running.run(asked, lambda: Halt.DRAIN if clock() - began > seconds else Halt.NO):
            if answer.stop not in (Stop.END, Stop.LENGTH, Stop.GRAMMAR):
                raise ModelError("The model did not answer a sample.", hint="nightdesk doctor says what is wrong.")
            counts, documents = counts + answer.counts, documents + 1
        return Pace(engine, shape, documents, clock() - began, counts, running.calls - before)
    finally:
        running.close()

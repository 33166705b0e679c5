"""A few seconds of a model at given sizes: how many tokens a second it reads, and how many it writes.

The documents are made-up tokens behind a shared beginning, laid out as `pipeline.batching` lays out a night's. In a
supervised child, so that a setting that llama.cpp cannot take, or a machine that cannot, costs that trial only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from pipeline.batching import Backend, Row
from pipeline.engines.batched import HOLDERS
from pipeline.engines.replica import PASSIVE
from pipeline.engines.sizes import Sizes
from pipeline.errors import ChildError, ModelError
from pipeline.supervise import Worker, wait

PREFIX, DOCUMENT, ANSWER = 384, 256, 48  # tokens; three short examples, a receipt and what is said of it
LONG = 1536  # tokens of a shared beginning with longer examples
COLD = 1024  # tokens of one prompt: two calls of the usual `ubatch`, which a document of a trial does not fill once
LOADING = 600.0  # seconds that a trial may take beyond its measuring


@dataclass(frozen=True, slots=True)
class Trial:
    """What to try."""

    model: Path
    sizes: Sizes
    slots: int
    replicas: int = 1
    passive: bool = False
    seconds: float = 1.5  # of measuring
    drafted: int = 0  # rows beside each row of an answer, all of them wrong guesses
    prefix: int = PREFIX  # tokens that the documents share


@dataclass(frozen=True, slots=True)
class Pace:
    """Tokens a second: of documents, of answers, and of the shared beginning, which is one prompt behind nothing."""

    read: float
    written: float
    cold: float

    @property
    def tokens(self) -> float:
        """Tokens a second of documents of the usual mixture."""
        return (DOCUMENT + ANSWER) / (DOCUMENT / self.read + ANSWER / self.written)


def sizes_for(
    slots: int, threads: int, ubatch: int, batch: int, kv_type: str, *, flash_attention: bool, prefix: int = PREFIX
) -> Sizes:
    """The sizes that a trial of these settings needs."""
    cells = -(-(prefix + slots * (DOCUMENT + ANSWER)) // 256) * 256
    sequences = HOLDERS + slots
    return Sizes(
        cells,
        sequences,
        max(batch, sequences),
        sequences,
        ubatch,
        threads,
        kv_type=kv_type,  # type: ignore[arg-type]
        flash_attention=flash_attention,
    )


def measure(trial: Trial) -> Pace | None:
    """Try it, in as many processes as it asks for; None where it cannot be run."""
    environment = PASSIVE if trial.passive else None
    workers: list[Worker[Trial, Pace]] = [
        Worker(run, name="trial", timeout=LOADING + 4 * trial.seconds, environment=environment)
        for _ in range(trial.replicas)
    ]
    try:
        for worker in workers:
            worker.submit(trial)
        paces = []
        for worker in workers:
            while (outcome := worker.outcome()) is None:
                wait([each.child for each in workers if each.busy], 0.2)
            if not isinstance(outcome[0], Pace):
                return None
            paces.append(outcome[0])
        return Pace(*(sum(speeds) for speeds in zip(*map(astuple, paces), strict=True)))
    except (ChildError, ModelError):
        return None
    finally:
        for worker in workers:
            worker.close()


def run(trial: Trial) -> Pace:
    """In a child: load the model and measure."""
    from pipeline.engines import pools

    model = pools.load(trial.model, trial.sizes)
    try:
        return pace(model, trial.slots, trial.seconds, time.perf_counter, trial.drafted, trial.prefix)
    finally:
        model.close()


def pace(
    model: Backend, slots: int, seconds: float, clock: Callable[[], float], drafted: int = 0, prefix: int = PREFIX
) -> Pace:
    """Read the beginning, one document a slot and write their answers, until half of the time is over for each of
    the last two."""
    drafted = min(drafted, model.max_outputs // slots - 1)
    began = clock()
    _read(model, [0], 0, prefix)
    reading = clock()
    held = range(HOLDERS, HOLDERS + slots)
    reached, together = 0, 1  # the first document goes alone: it tells a slow machine
    while reached < slots and (not reached or clock() - reading < seconds / 2):
        group = held[reached : reached + together]
        for slot in group:
            model.copy(0, slot)
        _read(model, group, prefix, DOCUMENT)
        reached += len(group)
        together = max(1, model.max_batch // DOCUMENT)
    writing = clock()
    for rest in held[reached:]:  # they see the last document that was read
        model.copy(held[reached - 1], rest)
    written = 0
    for step in range(ANSWER - drafted):
        position = prefix + DOCUMENT + step
        places = range(position, position + 1 + drafted)
        model.decode([Row(_token(model, at), at, (each,), logits=True) for each in held for at in places])
        if drafted:
            for each in held:
                model.drop(each, position + 1)
        written += slots
        if clock() - writing > seconds / 2:
            break
    ended = clock()
    return Pace(
        reached * DOCUMENT / max(writing - reading, 1e-9),
        written / max(ended - writing, 1e-9),
        prefix / max(reading - began, 1e-9),
    )


def _read(model: Backend, sequences: Sequence[int], position: int, tokens: int) -> None:
    rows: Sequence[Row] = [
        Row(_token(model, at), at, (sequence,), logits=at == position + tokens - 1)
        for sequence in sequences
        for at in range(position, position + tokens)
    ]
    for first in range(0, len(rows), model.max_batch):
        model.decode(rows[first : first + model.max_batch])


def _token(model: Backend, position: int) -> int:
    """Some token, another at each position."""
    return position * 7919 % model.n_vocab

"""What the sequences that share the pool of cells cost a prompt and a generation step.

`python -m tests.benchmarks.company --model FILE`. A prefix that all share, then tokens of each sequence's own, drawn
at random. A prompt is one sequence's own tokens, read in the pool of all or in a pool of its own and copied
(`pipeline.engines.prefill_pool`); a step decodes one more token of some sequences and takes it back. llama.cpp's
attention on a CPU goes over the cells of the others for each row, to skip them (ENGINE.md 1.3). Nothing else should
run.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from pipeline.batching import Backend, Row
from pipeline.engines import prefill_pool
from pipeline.engines.sizes import Sizes
from tests.benchmarks import host

PREFIX, OWN = 736, 450  # tokens: two examples and a receipt
UBATCH = 512
STEPS, ROUNDS = 8, 3


class Pool:
    """Sequence 0 holds the prefix; the others see it and their own tokens."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._random = random.Random(1)
        self._prefill(0, 0, PREFIX)

    def _row(self, sequence: int, position: int, *, logits: bool) -> Row:
        return Row(self._random.randrange(100, self._backend.n_vocab), position, (sequence,), logits)

    def _prefill(self, sequence: int, first: int, count: int) -> None:
        for start in range(first, first + count, UBATCH):
            end = min(start + UBATCH, first + count)
            self._backend.decode([self._row(sequence, at, logits=at == end - 1) for at in range(start, end)])
            self._backend.logits(end - start - 1)  # waits for the work

    def prompt(self, sequence: int) -> float:
        """Milliseconds of reading a sequence's own tokens."""
        self._backend.drop(sequence)
        self._backend.copy(0, sequence)
        began = time.perf_counter()
        self._prefill(sequence, PREFIX, OWN)
        return 1000 * (time.perf_counter() - began)

    def step(self, rows: int) -> float:
        """Milliseconds of a step of the first sequences, a token each; the median of some."""
        taken = []
        for _ in range(STEPS):
            began = time.perf_counter()
            self._backend.decode([self._row(one, PREFIX + OWN, logits=True) for one in range(1, rows + 1)])
            self._backend.logits(0)
            taken.append(1000 * (time.perf_counter() - began))
            for one in range(1, rows + 1):
                self._backend.drop(one, PREFIX + OWN)
        return statistics.median(taken)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, metavar="FILE")
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    for complaint in host.look():
        print(f"THE MACHINE IS NOT QUIET: {complaint}", file=sys.stderr)
    last = given.sequences
    cells = PREFIX + (last + 1) * (OWN + 1)
    shared = Sizes(-(-cells // 256) * 256, last + 1, 2048, last + 1, UBATCH, given.threads)
    apart = replace(shared, prefill_cells=-(-(PREFIX + OWN) // 256) * 256)
    with (
        closing(prefill_pool.load(given.model, shared)) as one_pool,
        closing(prefill_pool.load(given.model, apart)) as two_pools,
    ):
        pools = [Pool(one_pool), Pool(two_pools)]
        print("| sequences held | prompt of 450 tokens, ms: in the pool of all | in one of its own |\n|---|---|---|")
        for held in range(1, last + 1):
            shown = held in (1, last // 2, last)
            rounds = [[pool.prompt(held) for pool in pools] for _ in range(ROUNDS if shown else 1)]
            if shown:
                columns = [", ".join(f"{each:.0f}" for each in column) for column in zip(*rounds, strict=True)]
                print(f"| {held} | {' | '.join(columns)} |")
        pool = pools[0]
        print("\n| sequences held | rows of the step | ms, median of each round |\n|---|---|---|")
        for held in (last, 4):
            for sequence in range(held + 1, last + 1):
                one_pool.drop(sequence)
            steps = [rows for rows in (1, 4, 8, 16) if rows <= held]
            taken = [[pool.step(rows) for rows in steps] for _ in range(ROUNDS)]
            for number, rows in enumerate(steps):
                print(f"| {held} | {rows} | {', '.join(f'{one[number]:.1f}' for one in taken)} |")


if __name__ == "__main__":
    main()

"""What the sequences that share the pool of cells cost a prompt and a generation step.

`python -m tests.benchmarks.company --model FILE`. A prefix that all share, then tokens of each sequence's own, drawn
at random. A prompt is one sequence's own tokens, read in the pool of all or in a pool of its own and copied
(`pipeline.engines.pools`), perhaps to a pool without flash attention; a step decodes one more token of some
sequences and takes it back. With flash attention a row goes over the cells of the others to skip them, without it
every row is computed for all cells, but many rows at once (ENGINE.md 1.3). Nothing else should run.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from pipeline.batching import Backend, Row
from pipeline.engines import pools
from pipeline.engines.sizes import Sizes
from tests.benchmarks import host

UBATCH = 512
STEPS, ROUNDS = 8, 3


class Pool:
    """Sequence 0 holds the prefix; the others see it and their own tokens."""

    def __init__(self, backend: Backend, prefix: int, own: int) -> None:
        self._backend, self._prefix, self._own = backend, prefix, own
        self._random = random.Random(1)
        self._prefill(0, 0, prefix)

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
        self._prefill(sequence, self._prefix, self._own)
        return 1000 * (time.perf_counter() - began)

    def step(self, rows: int) -> float:
        """Milliseconds of a step of the first sequences, a token each; the median of some."""
        taken, end = [], self._prefix + self._own
        for _ in range(STEPS):
            began = time.perf_counter()
            self._backend.decode([self._row(one, end, logits=True) for one in range(1, rows + 1)])
            self._backend.logits(0)
            taken.append(1000 * (time.perf_counter() - began))
            for one in range(1, rows + 1):
                self._backend.drop(one, end)
        return statistics.median(taken)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, metavar="FILE")
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--prefix", type=int, default=736, help="tokens: two examples")
    parser.add_argument("--own", type=int, default=450, help="tokens: a receipt")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    for complaint in host.look():
        print(f"THE MACHINE IS NOT QUIET: {complaint}", file=sys.stderr)
    last, prefix, own = given.sequences, given.prefix, given.own
    cells = prefix + (last + 1) * (own + 1)
    shared = Sizes(-(-cells // 256) * 256, last + 1, 2048, last + 1, UBATCH, given.threads)
    apart = replace(shared, prefill_cells=-(-(prefix + own) // 256) * 256)
    kinds = (shared, apart, replace(apart, flash_attention=False))
    with ExitStack() as stack:
        backends = [stack.enter_context(closing(pools.load(given.model, sizes))) for sizes in kinds]
        made = [Pool(backend, prefix, own) for backend in backends]
        print("| sequences held | prompt, ms: in the pool of all | in one of its own | copied to one without flash |")
        print("|---|---|---|---|")
        for held in range(1, last + 1):
            shown = held in (1, last // 2, last)
            _row((held,), [[pool.prompt(held) for pool in made] for _ in range(ROUNDS if shown else 1)], shown=shown)
        print("\n| sequences held | rows of the step | ms, median: with flash attention | without |\n|---|---|---|---|")
        for held in sorted({last, last // 2, 4}, reverse=True):
            for backend in backends:
                for sequence in range(held + 1, last + 1):
                    backend.drop(sequence)
            for rows in (rows for rows in (1, 4, 8, 16) if rows <= held):
                _row((held, rows), [[pool.step(rows) for pool in (made[0], made[2])] for _ in range(ROUNDS)])


def _row(named: tuple[int, ...], rounds: list[list[float]], *, shown: bool = True) -> None:
    if shown:
        columns = (", ".join(f"{each:.0f}" for each in column) for column in zip(*rounds, strict=True))
        print(f"| {' | '.join([*map(str, named), *columns])} |", flush=True)


if __name__ == "__main__":
    main()

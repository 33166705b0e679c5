"""Prompts are decoded in a small KV cache of their own, and their cells copied to the large one.

llama.cpp's attention on a CPU goes over all cells of the pool for every row, over those of other sequences only to skip
them (ENGINE.md 1.3). With the receipts of sixteen slots in the pool a prompt takes 1.3 times as long as alone; what
copying its cells takes cannot be seen beside that (tests/benchmarks/company.py). The small cache holds one prompt at a
time and nothing for the next call, so nothing has to be kept in step, and the logits of a prompt do not depend on what
stands beside it. Generation, and the token trees of compared alternatives, stay in the large pool, where they share
cells.

Prompts may be read with flash attention and answers written without it (`flash_attention = "prompts"`): each is faster
so on a CPU as long as the pool of answers is small (tests/benchmarks/company.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.batching import Logits, Row
from pipeline.engines.llama import Llama
from pipeline.engines.prefix_cache import Keeping
from pipeline.engines.sequence_state import reordered
from pipeline.engines.sizes import Sizes
from pipeline.errors import EngineError

LEAST = 64  # rows of a sequence in a call that are worth the copying; fewer take no tiled attention path either


def load(path: Path, sizes: Sizes, adapters: Sequence[tuple[Path, float]] = (), *, least: int = LEAST) -> Keeping:
    """The model with a pool for prompts where the sizes have one. Raises ModelFileError or ModelDoesNotFit."""
    if not sizes.prefill_cells:
        return Llama(path, sizes, adapters)
    sequences = sizes.max_sequences + 1
    outputs, batch = max(sizes.max_outputs, sequences), max(sizes.max_batch, sequences)
    answers = Llama(path, replace(sizes, max_sequences=sequences, max_outputs=outputs, max_batch=batch), adapters)
    try:
        small = replace(sizes, cells=sizes.prefill_cells, max_sequences=1, max_outputs=1, flash_attention=True)
        prompts = Llama(path, small, beside=answers)
        return PrefillPool(answers, prompts, least, transposed=not sizes.flash_attention)
    except BaseException:
        answers.close()
        raise


class PrefillPool:
    """Implements `pipeline.engines.prefix_cache.Keeping` over two contexts of one model that only attends."""

    def __init__(self, answers: Llama, prompts: Llama, least: int, *, transposed: bool) -> None:
        """The last sequence of `answers` is used for copying, whose values may be `transposed`. Owns both."""
        self._answers, self._prompts, self._least, self._transposed = answers, prompts, least, transposed
        self.n_vocab, self.cells = answers.n_vocab, answers.cells
        self.max_sequences = self._spare = answers.max_sequences - 1
        self.max_batch, self.max_outputs = answers.max_batch, answers.max_outputs
        self.sequence_limit = answers.sequence_limit
        self._copied: dict[int, Logits] = {}  # of rows of the last call
        self._places: dict[int, int] = {}  # of the other rows of the last call, in the pool's own

    def decode(self, rows: Sequence[Row]) -> None:
        """See Backend."""
        alone: list[tuple[int, list[Row]]] = []  # rows of one sequence, and the index of the first
        together: list[int] = []
        for _, group in itertools.groupby(range(len(rows)), key=lambda index: rows[index].sequences):
            indices = [*group]
            same = [rows[index] for index in indices]
            if self._worth(same):
                alone.append((indices[0], same))
            else:
                together += indices
        others = {sequence for index in together for sequence in rows[index].sequences}
        if any(sequence in others for _, same in alone for sequence in same[0].sequences):  # their order counts
            alone, together = [], [*range(len(rows))]
        self._copied = {}
        self._places = {row: place for place, row in enumerate(together)}
        for index, run in alone:
            self._prefill(index, run)
        if together:
            self._answers.decode([rows[index] for index in together])

    def _worth(self, rows: Sequence[Row]) -> bool:
        return (
            len(rows) >= self._least
            and len(rows[0].sequences) == 1
            and rows[-1].position < self._prompts.cells
            and sum(row.logits for row in rows) <= self._prompts.max_outputs
        )

    def _prefill(self, first: int, rows: Sequence[Row]) -> None:
        (sequence,), start = rows[0].sequences, rows[0].position
        small = self._prompts
        small.drop(0)
        if start:
            small.restore(0, reordered(self._answers.state(sequence), transposed=False))
        small.decode([replace(row, sequences=(0,)) for row in rows])
        for number, row in enumerate(rows):
            if row.logits:
                self._copied[first + number] = small.logits(number).copy()
        if start:
            small.drop_beginning(0, start)
        self._answers.restore(self._spare, reordered(small.state(0), transposed=self._transposed))
        self._answers.copy(self._spare, sequence)
        self._answers.drop(self._spare)

    def logits(self, row: int) -> Logits:
        """See Backend."""
        if row in self._copied:
            return self._copied[row]
        if row not in self._places:
            raise EngineError(f"row {row} has no logits")
        return self._answers.logits(self._places[row])

    def copy(self, source: int, target: int, end: int | None = None) -> None:
        """See Backend."""
        self._answers.copy(source, target, end)

    def drop(self, sequence: int, start: int = 0) -> None:
        """See Backend."""
        self._answers.drop(sequence, start)

    def save_sequence(self, file: Path, sequence: int, tokens: Sequence[int]) -> bool:
        """See `pipeline.engines.prefix_cache.Keeping`."""
        return self._answers.save_sequence(file, sequence, tokens)

    def load_sequence(self, file: Path, sequence: int, tokens: Sequence[int]) -> bool:
        """See `pipeline.engines.prefix_cache.Keeping`."""
        return self._answers.load_sequence(file, sequence, tokens)

    def close(self) -> None:
        """See Backend."""
        self._prompts.close()
        self._answers.close()

"""Three KV caches over one model: a large one for answers, small ones in which prompts are read and values compared.

llama.cpp's attention on a CPU goes over all cells of a pool for every row, over those of other sequences only to skip
them (ENGINE.md 1.3). Beside the receipts of sixteen slots a prompt takes 1.3 times as long as alone
(tests/benchmarks/company.py), and the token trees of compared alternatives, which are rows of one answer, two to three
times (LOG.md). So both are decoded in a small pool (`side_pool`), one answer at a time, and their cells are copied. The
logits of a prompt then do not depend on what stands beside it. Generation stays in the large pool, where the answers of
all slots share a call.

Prompts, and what has at least 64 rows in general, are fastest with flash attention; a comparison's few dozen rows over
the cells of one answer without it. Answers may be written without it too (`flash_attention = "prompts"`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from pipeline.batching import Logits, Row
from pipeline.batching.ranking import MOST_CELLS, MOST_FORKS
from pipeline.engines.llama import Llama
from pipeline.engines.prefix_cache import Keeping
from pipeline.engines.side_pool import RESERVED, WORKING, Beginning, SidePool
from pipeline.engines.sizes import Sizes
from pipeline.errors import EngineError
from pipeline.grammars import MOST_ROWS

LEAST = 64  # rows of a sequence in a call that are worth the copying; fewer take no tiled attention path either


def load(path: Path, sizes: Sizes, adapters: Sequence[tuple[Path, float]] = (), *, least: int = LEAST) -> Keeping:
    """The model with the pools that its sizes name. Raises ModelFileError or ModelDoesNotFit."""
    if not sizes.prefill_cells:
        return Llama(path, sizes, adapters)
    forks = MOST_FORKS if sizes.comparison_cells else 0
    sequences = sizes.max_sequences - forks + 1
    outputs, batch = max(sizes.max_outputs, sequences), max(sizes.max_batch, sequences)
    with ExitStack() as opened:
        wanted = replace(sizes, max_sequences=sequences, max_outputs=outputs, max_batch=batch)
        answers = Llama(path, wanted, adapters)
        opened.callback(answers.close)
        small = replace(sizes, cells=sizes.prefill_cells, max_sequences=RESERVED, max_outputs=RESERVED)
        prompts = Llama(path, replace(small, flash_attention=True), beside=answers)
        opened.callback(prompts.close)
        compared = Llama(path, _comparing(sizes), beside=answers) if forks else None
        opened.pop_all()
    return Pools(answers, prompts, compared, least)


def _comparing(sizes: Sizes) -> Sizes:
    """Of the pool in which values are compared. Quantised values need flash attention."""
    return replace(
        sizes,
        cells=sizes.comparison_cells,
        max_sequences=RESERVED + MOST_FORKS,
        max_batch=MOST_ROWS,
        max_outputs=MOST_ROWS,
        ubatch=MOST_ROWS,
        flash_attention=sizes.kv_type != "f16",
    )


class Pools:
    """Implements `pipeline.engines.prefix_cache.Keeping` over contexts of one model that only attends.

    Where values are compared, the last MOST_FORKS sequences are in that pool: they can be copied from a sequence of the
    large one, from each other, and to the sequence that they came from. No call has rows of them beside others.
    """

    def __init__(self, answers: Llama, prompts: Llama, compared: Llama | None, least: int) -> None:
        """The last sequence of `answers` is used for copying. Owns all of them."""
        spare = self._first_fork = answers.max_sequences - 1
        self._beginnings: dict[int, Beginning] = {}
        self._answers, self._least = answers, least
        self._prompts = SidePool(answers, prompts, spare, self._beginnings)
        self._compared = SidePool(answers, compared, spare, self._beginnings) if compared else None
        self.n_vocab = answers.n_vocab
        self.max_sequences = spare + (MOST_FORKS if compared else 0)
        self.cells = answers.cells + (MOST_CELLS if compared else 0)  # a comparison has its own
        self.max_batch, self.max_outputs = answers.max_batch, answers.max_outputs
        self.sequence_limit = answers.sequence_limit
        self._decoded = answers  # the pool of the last call's rows
        self._copied: dict[int, Logits] = {}  # of prompts of the last call
        self._places: dict[int, int] = {}  # of the other rows of the last call, in their own pool

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
            self._decode([rows[index] for index in together])

    def _worth(self, rows: Sequence[Row]) -> bool:
        return (
            len(rows) >= self._least
            and len(rows[0].sequences) == 1
            and rows[0].sequences[0] < self._first_fork
            and rows[-1].position < self._prompts.small.cells
            and sum(row.logits for row in rows) <= self._prompts.small.max_outputs
        )

    def _prefill(self, first: int, rows: Sequence[Row]) -> None:
        (sequence,) = rows[0].sequences
        self._prompts.take(sequence)
        small = self._prompts.small
        small.decode([replace(row, sequences=(WORKING,)) for row in rows])
        for number, row in enumerate(rows):
            if row.logits:
                self._copied[first + number] = small.logits(number).copy()
        self._prompts.give(WORKING, sequence)

    def _decode(self, rows: Sequence[Row]) -> None:
        self._decoded = self._answers
        if self._compared is not None and rows[0].sequences[0] >= self._first_fork:
            self._decoded = self._compared.small
            rows = [replace(row, sequences=tuple(self._place(fork) for fork in row.sequences)) for row in rows]
        self._decoded.decode(rows)

    def _place(self, fork: int) -> int:
        """Its sequence in the pool of comparisons."""
        return RESERVED + fork - self._first_fork

    def logits(self, row: int) -> Logits:
        """See Backend."""
        if row in self._copied:
            return self._copied[row]
        if row not in self._places:
            raise EngineError(f"row {row} has no logits")
        return self._decoded.logits(self._places[row])

    def copy(self, source: int, target: int, end: int | None = None) -> None:
        """See Backend."""
        compared = self._compared
        if compared is not None and target >= self._first_fork:
            if source < self._first_fork:
                compared.take(source)
            compared.small.copy(WORKING if source < self._first_fork else self._place(source), self._place(target), end)
        elif compared is not None and source >= self._first_fork:
            compared.give(self._place(source), target, end)
        else:
            if not self._answers.length(target):
                length = self._answers.length(source)
                self._beginnings[target] = Beginning(source, length if end is None else min(end, length))
            self._answers.copy(source, target, end)

    def drop(self, sequence: int, start: int = 0) -> None:
        """See Backend."""
        if self._compared is not None and sequence >= self._first_fork:
            self._compared.small.drop(self._place(sequence), start)
            return
        for target, beginning in [*self._beginnings.items()]:
            if (target == sequence and start < beginning.length) or beginning.source == sequence:
                del self._beginnings[target]
        self._prompts.forget(sequence)
        if self._compared is not None:
            self._compared.forget(sequence)
        self._answers.drop(sequence, start)

    def save_sequence(self, file: Path, sequence: int, tokens: Sequence[int]) -> bool:
        """See `pipeline.engines.prefix_cache.Keeping`."""
        return self._answers.save_sequence(file, sequence, tokens)

    def load_sequence(self, file: Path, sequence: int, tokens: Sequence[int]) -> bool:
        """See `pipeline.engines.prefix_cache.Keeping`."""
        return self._answers.load_sequence(file, sequence, tokens)

    def close(self) -> None:
        """See Backend."""
        if self._compared is not None:
            self._compared.small.close()
        self._prompts.small.close()
        self._answers.close()

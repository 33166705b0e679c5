"""A backend without a model, for tests and rehearsals. It keeps KV cells of its own.

Logits are a function of the (token, position) pairs that a row can see, and of nothing else: a wrong slot, copy or
position gives another answer, a right one the same answer in every batch. A bias towards closing characters keeps
answers short; otherwise the words are noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.batching import Logits, Row
from pipeline.data import Vocabulary
from pipeline.errors import EngineError

_CLOSING = b'"]}'
_MIX = np.uint64(0x9E3779B97F4A7C15)


def _scramble(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """splitmix64's finaliser (Steele, Lea, Flood 2014): equal inputs equal outputs, neighbours far apart."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class Scripted:
    """Implements `pipeline.batching.Backend`."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        cells: int = 8192,
        max_sequences: int = 128,
        max_batch: int = 2048,
        max_outputs: int = 256,
        sequence_limit: int = 1 << 20,
    ) -> None:
        self.n_vocab = len(vocabulary.pieces)
        self.cells = cells
        self.max_sequences = max_sequences
        self.max_batch = max_batch
        self.max_outputs = max_outputs
        self.sequence_limit = sequence_limit
        self._value = np.zeros(cells, np.uint64)  # scrambled (token, position)
        self._position = np.zeros(cells, np.int64)
        self._seen = np.zeros((max_sequences, cells), np.bool_)  # by each sequence
        self._owners = np.zeros(cells, np.int32)  # how many these are
        self._length = [0] * max_sequences
        self._ids = np.arange(self.n_vocab, dtype=np.uint64) * _MIX
        self._bias = np.zeros(self.n_vocab, np.float32)
        for token, piece in enumerate(vocabulary.pieces):
            if piece and not piece.strip(_CLOSING):
                self._bias[token] = 2.0
        self._logits: dict[int, Logits] = {}

    def decode(self, rows: Sequence[Row]) -> None:
        """See Backend. Raises EngineError for what would make llama.cpp fail or abort."""
        if not 0 < len(rows) <= self.max_batch:
            raise EngineError(f"{len(rows)} rows in a call of at most {self.max_batch}")
        if sum(row.logits for row in rows) > self.max_outputs:
            raise EngineError("too many rows with logits")
        free = np.flatnonzero(self._owners == 0)
        if len(free) < len(rows):
            raise EngineError("the KV cache is full")
        self._logits.clear()
        for index, row in enumerate(rows):
            cell = free[index]
            for sequence in row.sequences:
                if row.position != self._length[sequence]:
                    raise EngineError(
                        f"position {row.position} in sequence {sequence} of length {self._length[sequence]}"
                    )
                self._length[sequence] += 1
                self._seen[sequence, cell] = True
            pair = np.array([(row.token << 32) | row.position], np.uint64)
            self._value[cell] = _scramble(pair * _MIX)[0]
            self._position[cell] = row.position
            self._owners[cell] = len(row.sequences)
            if row.logits:
                seen = self._value[self._seen[row.sequences[0]]]
                state = np.add.reduce(seen, dtype=np.uint64)
                noise = _scramble(self._ids + state)
                self._logits[index] = (noise >> np.uint64(40)).astype(np.float32) / np.float32(2**22) + self._bias

    def logits(self, row: int) -> Logits:
        """See Backend."""
        return self._logits[row]

    def copy(self, source: int, target: int, end: int | None = None) -> None:
        """See Backend."""
        theirs = self._seen[source] & (self._position < end) if end is not None else self._seen[source]
        if (self._seen[target] & ~theirs).any():
            raise EngineError(f"sequence {target} sees what {source} does not")
        self._owners += theirs & ~self._seen[target]
        self._seen[target] |= theirs
        self._length[target] = self._length[source] if end is None else min(end, self._length[source])

    def drop(self, sequence: int, start: int = 0) -> None:
        """See Backend."""
        forgotten = self._seen[sequence] & (self._position >= start)
        self._owners -= forgotten
        self._seen[sequence] &= ~forgotten
        self._length[sequence] = min(start, self._length[sequence])

    def save_sequence(self, file: Path, sequence: int, tokens: Sequence[int]) -> bool:
        """See `pipeline.engines.prefix_cache.Keeping`."""
        mine = self._value[self._seen[sequence]]
        with file.open("wb") as stream:
            np.save(stream, mine[np.argsort(self._position[self._seen[sequence]])])
        return len(mine) == len(tokens)

    def load_sequence(self, file: Path, sequence: int, tokens: Sequence[int]) -> bool:
        """See `pipeline.engines.prefix_cache.Keeping`."""
        free = np.flatnonzero(self._owners == 0)[: len(tokens)]
        with file.open("rb") as stream:
            values = np.load(stream)
        if not len(values) == len(free) == len(tokens):
            return False
        self._value[free] = values
        self._position[free] = range(len(tokens))
        self._seen[sequence, free] = True
        self._owners[free] = 1
        self._length[sequence] = len(tokens)
        return True

    def close(self) -> None:
        """Nothing to free."""

"""Continuous batching over any Backend: token ids and Cursors in, token ids out. No text, no SQL, no clock.

The page that explains it all is `loop.py`. What it stands on is the Backend seam below: a model with a unified
KV cache of `cells`, in which a cell may belong to several sequences.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]
"""One row of the output head, shape (n_vocab,)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One token of a decode call: where it stands and which sequences see it."""

    token: int
    position: int
    sequences: tuple[int, ...]
    logits: bool = False


class Backend(Protocol):
    """A model that decodes rows. Sizes are fixed at its creation; the caller stays within them."""

    n_vocab: int
    cells: int  # KV cells shared by all sequences
    max_sequences: int  # sequence ids are 0 .. max_sequences - 1
    max_batch: int  # rows of one decode call
    max_outputs: int  # rows with logits of one decode call
    sequence_limit: int  # positions the model was trained for

    def decode(self, rows: Sequence[Row]) -> None:
        """Evaluate rows in order; each position must follow its sequences' last one. Raises EngineError."""
        ...

    def logits(self, row: int) -> Logits:
        """Logits of the row with this index in the last call, which asked for them. Valid until the next call."""
        ...

    def copy(self, source: int, target: int, end: int | None = None) -> None:
        """Let `target` see what `source` sees, up to position `end`. Costs no cells. `target` is empty, or sees the
        first of these cells already."""
        ...

    def drop(self, sequence: int, start: int = 0) -> None:
        """Forget a sequence from position `start` on; cells that no other sequence sees become free. Models with
        recurrent layers can only forget all of it."""
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...


class Kept(Protocol):
    """Shared stretches that an earlier run has decoded."""

    def load(self, sequence: int, tokens: Sequence[int]) -> bool:
        """Fill the empty sequence as if these tokens had been decoded into it; False where that cannot be."""
        ...

    def save(self, sequence: int, tokens: Sequence[int]) -> None:
        """Keep the sequence, which holds these tokens, for later runs."""
        ...


class Halt(enum.Enum):
    """What the caller's `should_stop()` asks for."""

    NO = "no"
    DRAIN = "drain"  # begin nothing new, finish what was begun
    NOW = "now"

"""No constraint: every token that is text may come, and the model ends when it likes.

For answers without a schema, and for tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.data import ConstraintSpec, Vocabulary
from pipeline.errors import EngineError
from pipeline.grammars import NO_CANDIDATES, Candidates, Mask


class Engine:
    """Free text over one vocabulary."""

    name = "free"

    def __init__(self, vocabulary: Vocabulary) -> None:
        allowed = np.array([bool(piece) for piece in vocabulary.pieces], dtype=bool)
        allowed[list(vocabulary.eog)] = True
        padded = np.zeros(-(-len(allowed) // 32) * 32, dtype=bool)
        padded[: len(allowed)] = allowed
        self._mask: Mask = np.packbits(padded, bitorder="little").view("<i4")
        self._mask.flags.writeable = False
        self._allowed = allowed
        self._eog = vocabulary.eog

    def compile(self, spec: ConstraintSpec) -> Constraint:  # noqa: ARG002 - nothing of it is held
        """The one constraint there is; the schema is not enforced."""
        return Constraint(self._mask, self._allowed, self._eog)


class Constraint:
    """Shared by all answers."""

    def __init__(self, mask: Mask, allowed: np.ndarray[tuple[int], np.dtype[np.bool_]], eog: frozenset[int]) -> None:
        self._mask, self._allowed, self._eog = mask, allowed, eog

    def start(self) -> Cursor:
        """A cursor at the beginning."""
        return Cursor(self._mask, self._allowed, self._eog)


class Cursor:
    """Knows only whether the model has ended."""

    def __init__(self, mask: Mask, allowed: np.ndarray[tuple[int], np.dtype[np.bool_]], eog: frozenset[int]) -> None:
        self._mask, self._allowed, self._eog = mask, allowed, eog
        self._ended = False

    def mask(self) -> Mask:
        """Text tokens and the end-of-generation tokens."""
        return self._mask

    def forced(self) -> Sequence[int]:
        """Nothing is forced."""
        return ()

    def candidates(self) -> Candidates:
        """No candidates."""
        return NO_CANDIDATES

    def continuation(self, most: int) -> Sequence[int]:  # noqa: ARG002 - nothing is copied
        """Nothing is copied."""
        return ()

    def commit(self, token: int) -> None:
        """Append a token; an end-of-generation token ends the answer."""
        if self._ended or not 0 <= token < len(self._allowed) or not self._allowed[token]:
            raise EngineError("A token was committed that the grammar does not allow.")
        self._ended = token in self._eog

    def done(self) -> bool:
        """Only an end-of-generation token ends free text."""
        return self._ended

"""Free thought before an answer: any text until the model closes its thought or the budget does, then the grammar.

A cursor like any other, so every engine decodes it. The tokens of the thought are counted, and the engine keeps them
apart from the answer's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pipeline.data import ConstraintSpec, Thought, Vocabulary
from pipeline.errors import EngineError
from pipeline.grammars import NO_CANDIDATES, Candidates, Constraint, Cursor, Mask

Compile = Callable[[ConstraintSpec], Constraint]


def with_thoughts(compile: Compile, vocabulary: Vocabulary) -> Compile:
    """The same grammar engine, which also takes specifications with a thought."""
    masks = _Masks(vocabulary)

    def compiled(spec: ConstraintSpec) -> Constraint:
        if spec.thought is None:
            return compile(spec)
        return ThoughtFirst(compile(replace(spec, thought=None)), spec.thought, vocabulary, masks)

    return compiled


class ThoughtFirst:
    """A Constraint: a thought, then what another constraint says."""

    def __init__(self, answer: Constraint, thought: Thought, vocabulary: Vocabulary, masks: _Masks) -> None:
        self._answer, self._thought, self._vocabulary, self._masks = answer, thought, vocabulary, masks

    def start(self) -> Thinking:
        """A cursor at the beginning of the thought."""
        return Thinking(self._answer.start(), self._thought, self._vocabulary, self._masks)


class Thinking:
    """Implements Cursor. `thought` counts the tokens that do not belong to the answer."""

    def __init__(self, answer: Cursor, thought: Thought, vocabulary: Vocabulary, masks: _Masks) -> None:
        self.thought = 0
        self._answer = answer
        self._budget = thought.budget
        self._tag, self._after = thought.tag, thought.after
        self._tag_text = vocabulary.decode(thought.tag)  # empty where the tag is a token without a text
        self._pieces = vocabulary.pieces
        self._masks = masks
        self._tail = b""
        self._queue: deque[int] = deque()  # what must follow the thought
        self._thinking = True

    def mask(self) -> Mask:
        """Any text and the closing tag while it thinks; what must follow; then the grammar's."""
        if self._thinking:
            return self._masks.text_and(self._tag[0])
        return self._masks.only(self._queue[0]) if self._queue else self._answer.mask()

    def forced(self) -> Sequence[int]:
        """What closes the thought; then the grammar's."""
        if self._thinking:
            return ()
        return tuple(self._queue) or self._answer.forced()

    def candidates(self) -> Candidates:
        """None before the answer."""
        return NO_CANDIDATES if self._thinking or self._queue else self._answer.candidates()

    def continuation(self, most: int) -> Sequence[int]:
        """None before the answer."""
        return () if self._thinking or self._queue else self._answer.continuation(most)

    def commit(self, token: int) -> None:
        """Append a token of the thought, of what closes it, or of the answer."""
        if self._thinking:
            self.thought += 1
            self._think(token)
        elif self._queue:
            if token != self._queue.popleft():
                raise EngineError("A token was committed in place of the end of the thought.")
            self.thought += 1
        else:
            self._answer.commit(token)

    def done(self) -> bool:
        """The answer is complete; a thought alone never is."""
        return not self._thinking and not self._queue and self._answer.done()

    def _think(self, token: int) -> None:
        if self._tag_text:
            self._tail = (self._tail + self._pieces[token])[-len(self._tag_text) :]
            closed = self._tail == self._tag_text
        else:
            closed = token == self._tag[0]
        if closed:
            self._queue.extend((*self._tag[1:], *self._after) if not self._tag_text else self._after)
        elif self.thought >= self._budget:
            self._queue.extend((*self._tag, *self._after))
        self._thinking = not closed and self.thought < self._budget


class _Masks:
    """Masks over one vocabulary, made once."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._text = np.array([bool(piece) for piece in vocabulary.pieces], dtype=bool)
        self._text[list(vocabulary.eog)] = False
        self._free: dict[int, Mask] = {}

    def text_and(self, token: int) -> Mask:
        """Every token that is text, and this one."""
        if token not in self._free:
            allowed = self._text.copy()
            allowed[token] = True
            self._free[token] = _packed(allowed)
        return self._free[token]

    def only(self, token: int) -> Mask:
        """This token and no other."""
        allowed = np.zeros_like(self._text)
        allowed[token] = True
        return _packed(allowed)


def _packed(allowed: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Mask:
    padded = np.zeros(-(-len(allowed) // 32) * 32, dtype=bool)
    padded[: len(allowed)] = allowed
    mask: Mask = np.packbits(padded, bitorder="little").view("<i4")
    return mask

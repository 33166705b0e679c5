"""A small KV cache beside a large one, over the same weights: it works on one of its sequences at a time.

What a sequence begins with because it was copied from another one (a task's examples) stays here from one to the next,
so that only its own cells are moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.engines.llama import Llama
from pipeline.engines.sequence_state import reordered

WORKING, _BEGINNING, _SPARE = 0, 1, 2
RESERVED = 3  # sequences of the small cache; the next ones are free to use


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a sequence was copied from, and how many positions it has from there."""

    source: int
    length: int


NOTHING = Beginning(-1, 0)


class SidePool:
    """Takes a sequence out of the large cache into WORKING, and gives what was decoded behind it back."""

    def __init__(self, large: Llama, small: Llama, spare: int, beginnings: Mapping[int, Beginning]) -> None:
        """`spare` is a sequence of the large cache for copying. `beginnings` are the owner's, by sequence. Owns
        `small`."""
        self.small = small
        self._large, self._spare, self._beginnings = large, spare, beginnings
        self._held = NOTHING
        self._taken = (-1, 0)  # the sequence that WORKING was taken from, and its length then
        self._transposed = not large.sizes.flash_attention

    def take(self, sequence: int) -> None:
        """Hold in WORKING what the large cache's sequence holds; it does so where nothing has changed since."""
        large, small = self._large, self.small
        wanted = (sequence, large.length(sequence))
        if self._taken == wanted:
            return
        beginning = self._beginnings.get(sequence, NOTHING)
        if large.length(beginning.source) != beginning.length:
            beginning = NOTHING
        small.drop(WORKING)
        if self._held != beginning:
            self.forget(self._held.source)
            if beginning.length:
                self._restore(_BEGINNING, beginning.source)
            self._held = beginning
        small.copy(_BEGINNING, WORKING)
        if large.length(sequence) > beginning.length:
            large.copy(sequence, self._spare)
            large.drop_beginning(self._spare, beginning.length)
            self._restore(_SPARE, self._spare)
            large.drop(self._spare)
            small.copy(_SPARE, WORKING)
            small.drop(_SPARE)
        self._taken = wanted

    def give(self, source: int, sequence: int, end: int | None = None) -> None:
        """Let the large cache's sequence go on with what `source` holds here behind it, up to position `end`."""
        large, small = self._large, self.small
        small.copy(source, _SPARE, end)
        small.drop_beginning(_SPARE, large.length(sequence))
        large.restore(self._spare, reordered(small.state(_SPARE), transposed=self._transposed))
        small.drop(_SPARE)
        large.copy(self._spare, sequence)
        large.drop(self._spare)

    def forget(self, sequence: int) -> None:
        """The large cache's sequence has lost positions: what is held of it here is no longer true."""
        if self._taken[0] == sequence:
            self._taken = (-1, 0)
        if self._held.source == sequence:
            self.small.drop(_BEGINNING)
            self._held = NOTHING

    def _restore(self, target: int, sequence: int) -> None:
        transposed = not self.small.sizes.flash_attention
        self.small.restore(target, reordered(self._large.state(sequence), transposed=transposed))

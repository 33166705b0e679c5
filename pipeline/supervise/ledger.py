"""Which work was in flight when a child was lost, and what to do with it. Pure: no process, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

ALONE_AFTER = 2
POISON_AFTER = 3


@dataclass(frozen=True, slots=True)
class Fates:
    """What becomes of the work keys that were in flight, in their order."""

    again: tuple[str, ...] = ()  # back to the queue
    alone: tuple[str, ...] = ()  # back to the queue, but each with nothing beside it
    poison: tuple[str, ...] = ()  # a Failure `poison`, not tried again


class CrashLedger:
    """Counts, for each work key, the crashes that it was in flight in.

    One poisoned item takes its neighbours down with it, so an item is not blamed for being there: after two crashes
    it runs alone, and only a third, where it had no neighbour, makes it poison. Each crash with work in flight brings
    some key nearer its end, so a night cannot go on crashing for ever; a crash with nothing in flight is not the
    work's fault, and its owner gives up instead.
    """

    def __init__(self) -> None:
        self._crashes: Counter[str] = Counter()

    def crashed(self, in_flight: Iterable[str]) -> Fates:
        """A child was lost with these keys in flight."""
        keys = tuple(dict.fromkeys(in_flight))
        self._crashes.update(keys)
        fates = Fates(
            again=tuple(key for key in keys if self._crashes[key] < ALONE_AFTER),
            alone=tuple(key for key in keys if ALONE_AFTER <= self._crashes[key] < POISON_AFTER),
            poison=tuple(key for key in keys if self._crashes[key] >= POISON_AFTER),
        )
        self.forget(fates.poison)
        return fates

    def forget(self, keys: Iterable[str]) -> None:
        """These are finished."""
        for key in keys:
            self._crashes.pop(key, None)

    def must_run_alone(self, key: str) -> bool:
        """Whether this key was in flight in so many crashes that nothing may run beside it."""
        return self._crashes[key] >= ALONE_AFTER

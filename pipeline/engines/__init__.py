"""Engines: Prompts -> Completions, in any order, told apart by work key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from pipeline.batching import Halt
from pipeline.data import Completion, Prompt


def never() -> Halt:
    """For callers that do not stop."""
    return Halt.NO


class Engine(Protocol):
    """Answers prompts. Not thread-safe: one thread drives a model."""

    @property
    def calls(self) -> int:
        """Decode calls so far."""
        ...

    def run(self, prompts: Iterable[Prompt], should_stop: Callable[[], Halt] = never) -> Iterator[Completion]:
        """Completions as they finish. Prompts are pulled when there is room for them."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...

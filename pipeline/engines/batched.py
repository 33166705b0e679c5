"""The engine people run: `pipeline.batching` over a backend, shared prompt prefixes, forced tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pipeline.batching import Backend, Halt, Kept
from pipeline.batching.loop import Loop
from pipeline.batching.slots import Ledger
from pipeline.data import Completion, ConstraintSpec, Prompt
from pipeline.engines import never
from pipeline.engines.ahead import Ahead
from pipeline.grammars import Constraint

HOLDERS = 12  # shared stretches kept at a time: tasks' prefixes, and the documents that several tasks are reading


class Batched:
    """Continuous batching with N slots."""

    def __init__(
        self,
        backend: Backend,
        compile: Callable[[ConstraintSpec], Constraint],
        *,
        slots: int,
        forks: int,
        fork_cells: int,
        forced_tokens: bool = True,
        drafts: int = 0,
        kept: Kept | None = None,
    ) -> None:
        ledger = Ledger(cells=backend.cells, holders=HOLDERS, slots=slots, forks=forks, fork_cells=fork_cells)
        self._backend = backend
        self._ahead = Ahead(compile)
        self._loop = Loop(backend, self._ahead, ledger, forced_tokens=forced_tokens, drafts=drafts, kept=kept)

    @property
    def calls(self) -> int:
        """Decode calls so far."""
        return self._loop.calls

    def run(self, prompts: Iterable[Prompt | None], should_stop: Callable[[], Halt] = never) -> Iterator[Completion]:
        """See `pipeline.batching.loop.Loop.run`."""
        return self._loop.run(prompts, should_stop)

    def prepare(self, prompts: Iterable[Prompt]) -> None:
        """These come next: their constraints are compiled while the model works."""
        self._ahead.prepare(prompt.constraint for prompt in prompts)

    def close(self) -> None:
        """Free the model."""
        self._ahead.close()
        self._backend.close()

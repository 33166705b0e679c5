"""Constraints compiled before they are asked for, in a thread of their own, while the model computes without the GIL.

What a compiler gives or raises for a constraint is given or raised where that constraint is asked for, so it belongs to
its own answer. From the first `prepare` on that thread is the only one that compiles: compilers keep what they made and
need not be safe for several threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.data import ConstraintSpec
from pipeline.grammars import Constraint

MOST = 4  # constraints that wait


class Ahead:
    """`compile`, which can be told what will be asked for next. Used by one thread."""

    def __init__(self, compile: Callable[[ConstraintSpec], Constraint]) -> None:
        self._compile = compile
        self._thread: ThreadPoolExecutor | None = None
        self._begun: dict[ConstraintSpec, Future[Constraint]] = {}

    def prepare(self, specs: Iterable[ConstraintSpec]) -> None:
        """Begin the first few of these, in their order. What was prepared and is no longer among them is forgotten."""
        wanted: dict[ConstraintSpec, None] = {}
        for spec in specs:  # asked at each call of the model: what is behind the first few is not looked at
            wanted[spec] = None
            if len(wanted) == MOST:
                break
        for spec in self._begun.keys() - wanted.keys():
            self._begun.pop(spec).cancel()
        for spec in wanted:
            if spec not in self._begun:
                self._thread = self._thread or ThreadPoolExecutor(1, "compile")
                self._begun[spec] = self._thread.submit(self._compile, spec)

    def __call__(self, spec: ConstraintSpec) -> Constraint:
        """The compiled constraint; raises what its compiler raises."""
        if self._thread is None:
            return self._compile(spec)
        return (self._begun.pop(spec, None) or self._thread.submit(self._compile, spec)).result()

    def close(self) -> None:
        """Begin nothing more."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

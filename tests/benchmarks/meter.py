"""Counts the calls, rows and seconds of llama_decode, whoever calls it: the engine, a rival, or the floor."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Meter:
    """Stands in front of a decode function. `many` are rows of calls with more than one row."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Count from here."""
        self.calls = self.rows = self.many = 0
        self.seconds = 0.0

    def wrap(self, decode: Callable[..., Any], rows_of: Callable[..., int]) -> Callable[..., Any]:
        """`decode`, counted. `rows_of` gets the same arguments."""

        def counted(*args: Any) -> Any:
            rows = rows_of(*args)
            started = time.perf_counter()
            try:
                return decode(*args)
            finally:
                self.seconds += time.perf_counter() - started
                self.calls += 1
                self.rows += rows
                self.many += rows if rows > 1 else 0

        return counted

    def install(self) -> None:
        """Wrap llama_decode for everything in this process. A cell has a process of its own."""
        import llama_cpp
        import llama_cpp.llama_cpp as bindings

        counted = self.wrap(bindings.llama_decode, lambda _context, batch: batch.n_tokens)
        llama_cpp.llama_decode = bindings.llama_decode = counted

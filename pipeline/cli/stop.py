"""Ctrl-C and SIGTERM: the first one ends the run in order, a second one ends the process at once.

Ending at once is safe as well: every finished item is in the database, and the next run goes on from there.
"""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType

from pipeline.batching import Halt

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Callable as `should_stop`. Holds the two signals while it is entered."""

    def __init__(self, *, quiet: bool) -> None:
        self.halt = Halt.NO
        self._quiet = quiet
        self._before: list[tuple[signal.Signals, object]] = []

    def __call__(self) -> Halt:
        """What was asked for so far."""
        return self.halt

    def __enter__(self) -> Stop:
        self._before = [(number, signal.signal(number, self._on_signal)) for number in _SIGNALS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.halt = Halt.NOW if number == signal.SIGINT else Halt.DRAIN
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        if not self._quiet:
            how = "Stopping." if self.halt is Halt.NOW else "Finishing what was begun."
            again = "Ctrl-C again" if self.halt is Halt.NOW else "A second signal"
            # Not print(): this may interrupt a write to the same stream.
            os.write(2, f"\n{how} Everything finished is kept. {again} stops at once.\n".encode())

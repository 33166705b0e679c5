"""When a night ends (a time, a duration, a number of documents), and when it pauses: on battery, under a high load.

The clock counts the time that the machine slept, and setting the time of day does not move it.
"""

from __future__ import annotations

import copy
import datetime
import time
from collections.abc import Callable
from typing import Self

import psutil

from pipeline.batching import Halt
from pipeline.config import Night
from pipeline.engines import never
from pipeline.store import Work

_GLANCE = 10.0  # seconds between two looks at battery and load


def clock() -> float:
    """Seconds that pass, also while the machine sleeps."""
    # macOS counts sleep in CLOCK_MONOTONIC.
    which = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return time.monotonic() if which is None else time.clock_gettime(which)


def seconds_until(wanted: datetime.time, now: datetime.datetime) -> float:
    """From `now` to the next time that clocks here show `wanted`, which is twice a night when summer time ends.

    Where they leave it out, because summer time begins, it is as long after midnight as on other days.
    """
    local = now.astimezone()
    ends = []
    for day in (local.date(), local.date() + datetime.timedelta(days=1)):
        for fold in (0, 1):
            shown = datetime.datetime.combine(day, wanted.replace(fold=fold))
            end = shown.astimezone()
            if end > local and end.replace(tzinfo=None) >= shown:
                ends.append(end)
    return (min(ends) - local).total_seconds()


class NightsEnd:
    """Callable as `should_stop`: DRAIN when the night is over, NOW when its grace time is over as well.

    `reason` says in words what ended it. While the night pauses the call does not return: nothing new is begun until
    then. `paused` counts these seconds. Each run of a night has its own `for_run`.
    """

    def __init__(
        self,
        night: Night,
        *,
        now: datetime.datetime | None = None,
        clock: Callable[[], float] = clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.reason = ""
        self.paused = 0.0
        self._sleep = sleep
        self._night = night
        self._asked: Callable[[], Halt] = never
        self._clock = clock
        begun = clock()
        ends = []
        if night.until is not None:
            now = now or datetime.datetime.now().astimezone()
            ends.append((begun + seconds_until(night.until, now), f"it is {night.until:%H:%M}"))
        if night.max_duration is not None:
            ends.append((begun + night.max_duration.total_seconds(), "its time is over"))
        self._end, self._why = min(ends, default=(float("inf"), ""))
        self._looked = begun - _GLANCE
        self._documents: set[str] = set()
        self._tokens: dict[tuple[str, str], int] = {}

    def for_run(self, asked: Callable[[], Halt]) -> Self:
        """The same night for one more run: what is left of its time and its documents; `reason` and `paused` afresh.

        `asked` is what somebody else (a signal) asks for; the stronger one counts.
        """
        run = copy.copy(self)  # the documents that were begun are shared
        run.reason, run.paused, run._asked = "", 0.0, asked
        return run

    @property
    def over(self) -> str:
        """Why nothing new is begun any more, whoever asks, in words; empty while the night goes on. Does not pause."""
        return self._why if self._clock() >= self._end else self._enough()

    def __call__(self) -> Halt:
        """What is to be done now."""
        self._pause()
        if (asked := self._asked()) is Halt.NOW:
            return asked
        now = self._clock()
        if asked is Halt.DRAIN and now < self._end:
            self._end, self._why = now, ""  # SIGTERM ends the night, with the same grace time
        if now >= self._end:
            self.reason = self.reason or self._why
            return Halt.NOW if now >= self._end + self._night.grace.total_seconds() else Halt.DRAIN
        return asked

    def _pause(self) -> None:
        """Wait while the machine has no time for us, but not beyond the night's end or what somebody asks for."""
        began = now = self._clock()
        if now < self._looked + _GLANCE:
            return
        while self._asked() is Halt.NO and now < self._end and self._busy():
            self._sleep(1.0)
            now = self._clock()
        self._looked = now
        self.paused += now - began

    def _busy(self) -> bool:
        most = self._night.max_load
        return (self._night.only_on_ac and _on_battery()) or (most is not None and psutil.getloadavg()[0] > most)

    @property
    def interrupted(self) -> bool:
        """Somebody asked to stop at once."""
        return self._asked() is Halt.NOW

    def admits(self, task: str, work: Work) -> bool:
        """Whether this piece of work is for this night: within the number of documents and the share of each one."""
        most, share = self._night.max_documents, self._night.document_tokens
        if most is None and share is None:
            return True
        if work.document not in self._documents and (enough := self._enough()):
            self.reason = self.reason or enough
            return False
        used = self._tokens.get((task, work.document), 0) + work.tokens
        if share is not None and used > share and used > work.tokens:  # a single chunk always fits
            self.reason = self.reason or "long documents had their share"
            return False
        self._documents.add(work.document)
        self._tokens[task, work.document] = used
        return True

    def _enough(self) -> str:
        """In words, that as many documents were begun as are wanted; empty where they were not."""
        most = self._night.max_documents
        if most is None or len(self._documents) < most:
            return ""
        return f"{most:,} {'document is' if most == 1 else 'documents are'} enough for it"


def _on_battery() -> bool:
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return battery is not None and battery.power_plugged is False

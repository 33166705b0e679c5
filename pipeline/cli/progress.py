"""Bars on stderr while a run goes: one for reading, one for extracting. Silent where nobody watches."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Never

from tqdm import tqdm

from pipeline.cli import screen
from pipeline.run.events import (
    Answered,
    Event,
    Failed,
    FileRead,
    Looked,
    ModelChanged,
    Opened,
    PageDone,
    Planned,
    Recorded,
)

_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left{postfix}"
_FAILURES_SHOWN = 10


class Progress:
    """Draws events. `silent` draws nothing but the first failures, `quiet` nothing at all."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._silent = quiet or not sys.stderr.isatty()
        self._bar: tqdm[Never] | None = None
        self._tokens = 0
        self._recorded = 0
        self._failures = 0
        self._started = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def show(self, event: Event) -> None:
        """Draw what the event changes."""
        match event:
            case Looked(to_read=files) if files:
                self._open("Reading", files, "{desc}: {n_fmt}/{total_fmt} files|{bar}| {remaining} left")
            case FileRead():
                self._step(1)
            case ModelChanged():
                self._close()
                if not self._quiet:
                    self._say(_changed(event))
            case PageDone(page=page, pages=pages):
                self._describe(f"Reading, scanned page {page} of {pages}")
            case Planned():
                self._tokens += event.tokens + event.work
            case Opened(shape=shape) if shape:
                self._close()
                self._say(f"Model {event.model}: {shape}")
                self._started = time.monotonic()
                self._open("Extracting", self._tokens, _BAR)
            case Answered(tokens=tokens):
                self._step(tokens + 1)
            case Recorded():
                self._recorded += 1
                self._speed()
            case Failed(failure=failure):
                self._failures += 1
                if self._failures <= _FAILURES_SHOWN and not self._quiet:
                    said = failure.message if failure.stage == "read" else f"{failure.subject}: {failure.message}"
                    self._say(f"{screen.styled('failed:', 'yellow', sys.stderr)} {screen.safe(said)}")
                elif self._failures == _FAILURES_SHOWN + 1:
                    self._say("More failures are not shown here; `nightdesk failures` lists them.")

    def _open(self, title: str, total: int, form: str) -> None:
        self._close()
        if not self._silent:
            self._bar = tqdm(desc=title, total=total, bar_format=form, file=sys.stderr, dynamic_ncols=True)

    def _step(self, by: int) -> None:
        if self._bar is not None:
            self._bar.update(by)

    def _describe(self, title: str) -> None:
        if self._bar is not None:
            self._bar.set_description_str(title)

    def _speed(self) -> None:
        seconds = time.monotonic() - self._started
        if self._bar is not None and self._started and seconds > 1:
            self._bar.set_postfix_str(f"{self._recorded / seconds * 3600:,.0f} documents/hour", refresh=False)

    def _say(self, line: str) -> None:
        """A line above the bar. In a pipe too, so that a log of the night says what failed."""
        if self._quiet:
            return
        if self._bar is None:
            screen.note(line)
        else:
            self._bar.write(line, file=sys.stderr)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _changed(event: ModelChanged) -> str:
    """One line about a model that is not the one of before."""
    old, new = (
        f"{screen.safe(Path(name).name)} (sha256 {sha256[:12]})"
        for name, sha256 in ((event.old, event.old_sha256), (event.new, event.new_sha256))
    )
    before = f"from {old}, and the model is now {new}" if old != new else f"from {new} with other adapters"
    what = "They are left as they are" if event.kept else "They are made again; --model-change keep leaves them"
    return f"{screen.counted(event.documents, 'row')} of {event.task} came {before}. {what}."

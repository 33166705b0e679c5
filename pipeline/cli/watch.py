"""`nightdesk watch`: do a job whenever files have arrived and have settled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import first_of, options, screen
from pipeline.errors import Interrupted, JobError, Stopped, StoreLocked

if TYPE_CHECKING:
    from pipeline.config import Job

_EVERY = 2.0  # seconds between two looks at the folders
_STEP = 0.2  # seconds until a signal is obeyed

State = tuple[int, int]
"""Size and modification time (ns) of a file."""


class Arrivals:
    """Which files have settled: size and time were the same at every look for `settle` seconds.

    Pure: is told what lies there and when. A file is given once for each state that it settles in.
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._seen: dict[Path, tuple[State, float]] = {}
        self._given: dict[Path, State] = {}

    def look(self, files: Mapping[Path, State], now: float) -> list[Path]:
        """Files that have settled and were not given in this state."""
        self._seen = {
            path: (state, self._seen[path][1] if path in self._seen and self._seen[path][0] == state else now)
            for path, state in files.items()
        }
        self._given = {path: state for path, state in self._given.items() if path in files}
        return [
            path
            for path, (state, since) in self._seen.items()
            if now - since >= self._settle and self._given.get(path) != state
        ]

    @property
    def waiting(self) -> bool:
        """Whether something that lay there at the last look, settled or not, was not done in this state."""
        return any(self._given.get(path) != state for path, (state, _) in self._seen.items())

    def given(self, paths: Iterable[Path]) -> None:
        """These were done, as they were at the last look."""
        for path in paths:
            self._given[path] = self._seen[path][0]


def watch(
    subject: Annotated[str, typer.Argument(metavar="TASK|JOB.toml", help="A task, or a job file and nothing else.")],
    inputs: Annotated[list[Path] | None, typer.Argument(metavar="FOLDER...", help="Folders to watch.")] = None,
    db: options.Db = None,
    key_from: options.KeyFrom = None,
    model: options.ModelName = None,
    settle: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="A file is left alone so long.")] = 10.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no messages but errors.")] = False,
) -> int:
    """Run a job whenever files have arrived, until it is stopped with Ctrl-C or SIGTERM, or its [night] is over.

    A file is read when its size and time have not changed for a while. Files that were deleted are noticed by
    `nightdesk run`. The night begins with the watch, and all its runs share it. The exit code is that of the runs;
    stopping while nothing is to be done is 0, or 130 for Ctrl-C; a night that is over while files wait is 75.

    \b
    Examples:
      nightdesk watch receipts scans/ --db night.db
      nightdesk watch night.toml --settle 60
    """
    from pipeline.batching import Halt
    from pipeline.cli import job as jobs
    from pipeline.cli.keys import key
    from pipeline.cli.run import do, lower_priority
    from pipeline.cli.stop import Stop
    from pipeline.run.night import NightsEnd

    given: jobs.Given = {("model",): model, ("key_from",): key_from}
    if jobs.is_job_file(subject, inputs or []):
        job = jobs.from_file(Path(subject), db, given)
    else:
        job = jobs.from_command_line(subject, inputs or [], db, given)
    arrivals = Arrivals(settle)
    code, secret = 0, key(job.key_from, job.database)
    lower_priority(job)
    night = NightsEnd(job.night)
    with Stop(quiet=quiet) as stop:
        if not quiet:
            screen.note("Watching. Ctrl-C ends it.")
        while stop.halt is Halt.NO and not night.over:
            if settled := arrivals.look(_files(job), time.monotonic()):
                batch = _only(job, {*settled})
                try:
                    code = first_of([code, do(batch, secret, quiet=quiet, dry_run=False, stop=stop, night=night)])
                except StoreLocked as locked:  # by a run of the same person: these files wait
                    if not quiet:
                        screen.note(screen.safe(f"{locked.message} Waiting."))
                except JobError:
                    if all(path.exists() for path in settled):  # else one was taken away just now
                        raise
                else:
                    arrivals.given(settled)
            _wait(lambda: stop.halt is not Halt.NO or bool(night.over))
        if stop.halt is Halt.NOW:
            return first_of([code, Interrupted.exit_code])
        if stop.halt is Halt.NO:
            if not quiet:
                screen.note(f"The night has ended: {night.over}.")
            arrivals.look(_files(job), time.monotonic())
            if arrivals.waiting:
                return first_of([code, Stopped.exit_code])
        return code


def _files(job: Job) -> dict[Path, State]:
    """What lies in the job's inputs, as it is now. What a run writes is no arrival."""
    from pipeline import readers
    from pipeline.run.surroundings import written

    found = {}
    for entry in job.tasks:
        for path in readers.walk(entry.inputs, written(job)):
            try:
                facts = path.stat()
            except OSError:
                continue  # it was taken away between the two; or `run` will say what it is
            found[path] = (facts.st_size, facts.st_mtime_ns)
    return found


def _only(job: Job, files: set[Path]) -> Job:
    """The job with these files of its inputs and no others."""
    from pipeline import readers

    tasks = []
    for entry in job.tasks:
        own = tuple(path for path in readers.walk(entry.inputs) if path in files)
        if own:
            tasks.append(entry.model_copy(update={"inputs": own}))
    return job.model_copy(update={"tasks": tuple(tasks)})


def _wait(is_over: Callable[[], bool]) -> None:
    """Until the next look, or until a signal has come: sleeping goes on after a signal's handler."""
    end = time.monotonic() + _EVERY
    while not is_over() and time.monotonic() < end:
        time.sleep(_STEP)

"""The summary of a run as a file: Markdown for a person, JSON for a program. Names no document."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import Interrupted, NightdeskError, UserError

if TYPE_CHECKING:
    from pipeline.cli.summary import Tally
    from pipeline.config import Job

SUFFIXES = (".md", ".json")


def check(files: tuple[Path, ...]) -> None:
    """Refuse a name that says neither of the two forms, before the night and not after it."""
    for file in files:
        if file.suffix not in SUFFIXES:
            raise UserError(
                f"--summary: {file} ends neither in .md nor in .json.", hint="Name it night.md or night.json."
            )
        if not file.absolute().parent.is_dir():
            raise UserError(f"--summary: the folder of {file} is not there.", hint="Make it first.")


def write(file: Path, tally: Tally, job: Job, code: int, error: BaseException | None = None) -> None:
    """Write the summary into `file` (0600); what was there before is there until the new one is whole.

    `error` is what ended the run, where it did not come to its end.
    """
    text = markdown(tally, job, code, error) if file.suffix == ".md" else as_json(tally, job, code, error)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(
            f"The summary {file} cannot be written: {error.strerror}.",
            hint="The results are kept; see `nightdesk status`.",
        ) from error


def write_broken(tally: Tally, job: Job, error: BaseException) -> None:
    """The summaries of a run that an error ended: last night's must not be taken for tonight's.

    Where one cannot be written either, the error is what counts.
    """
    code = error.exit_code if isinstance(error, NightdeskError) else 1
    if isinstance(error, KeyboardInterrupt):
        code = Interrupted.exit_code
    for file in job.summary:
        with suppress(UserError):
            write(file, tally, job, code, error)


def markdown(tally: Tally, job: Job, code: int, error: BaseException | None = None) -> str:
    """The lines that a terminal shows, under a heading, with the tasks as a table."""
    from pipeline.cli.summary import lines

    heads = "| task | documents | done | incomplete | failed | unchanged |\n|---|---|---|---|---|---|\n"
    rows = "".join(
        f"| {name} | {t['documents']} | {t['done']} | {t['incomplete']} | {t['failed']} | {t['unchanged']} |\n"
        for name, t in _tasks(tally).items()
    )
    said, _, todo = "\n".join(lines(tally, job)).partition("\n\n")
    if tally.summary is None:
        told = "".join(f"- {line}\n" for line in _why(error) if line)
        return f"# Nightdesk: {_broken(code)} (exit code {code})\n\n{heads}{rows}\n{told}"
    head = f"# Nightdesk, run {tally.summary.run_id}: {tally.summary.state} (exit code {code})"
    told = "".join(f"- {line}\n" for line in said.splitlines() if line)
    return f"{head}\n\n{heads}{rows}\n{told}\n```\n{todo}\n```\n"


def as_json(tally: Tally, job: Job, code: int, error: BaseException | None = None) -> str:
    """The same as numbers. Seconds; tokens by how they were paid for."""
    s = tally.summary
    if s is None:
        message, hint = _why(error)
        broken = {
            "state": _broken(code),
            "exit_code": code,
            "database": str(job.database.absolute()),
            "tasks": _tasks(tally),
            "failures": tally.failures,
            "error": {"message": message, "hint": hint},
        }
        return json.dumps(broken, ensure_ascii=False, indent=2) + "\n"
    counts = s.counts
    said = {
        "run": s.run_id,
        "state": s.state,
        "exit_code": code,
        "database": str(job.database.absolute()),
        "tasks": _tasks(tally),
        "failures": tally.failures,
        "unreadable_files": len(tally.unread),
        "gone_files": s.gone,
        "left": {"chunks": s.left, "files": s.unread, "reason": s.reason},
        "seconds": {"extracting": round(s.seconds, 3), "paused": round(s.paused, 3)},
        "tokens": {
            "prefilled": counts.prefilled,
            "reused": counts.reused,
            "forced": counts.forced,
            "sampled": counts.sampled,
            "drafted": counts.drafted,
            "accepted": counts.accepted,
        },
    }
    return json.dumps(said, ensure_ascii=False, indent=2) + "\n"


def _broken(code: int) -> str:
    return "interrupted" if code == Interrupted.exit_code else "crashed"


def _why(error: BaseException | None) -> tuple[str, str]:
    """Message and next step of an error of ours; of others the kind, since their messages may hold a text."""
    if isinstance(error, NightdeskError):
        return error.message, error.hint
    return "" if error is None else type(error).__name__, "What was finished is kept."


def _tasks(tally: Tally) -> dict[str, dict[str, int]]:
    return {
        name: {
            "documents": task.plan.documents,
            "done": task.done,
            "incomplete": task.incomplete,
            "failed": len(task.failed),
            "unchanged": task.plan.current,
        }
        for name, task in tally.tasks.items()
    }

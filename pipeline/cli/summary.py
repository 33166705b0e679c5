"""What a run did, in words: counts, speed, where the results are and what to do next."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.cli import options
from pipeline.cli.screen import counted, duration, listed, safe, table
from pipeline.config import Job
from pipeline.planner import prompt_tokens
from pipeline.run.events import Event, Failed, Looked, Planned, Recorded, Summary

WORTH_SAYING = 0.9  # of the tokens; less is not worth doing everything again


@dataclass(slots=True)
class _Task:
    plan: Planned
    done: int = 0
    incomplete: int = 0
    failed: set[str] = field(default_factory=set)
    not_found: int = 0
    from_example: int = 0
    short: int = 0


class Tally:
    """Counts documents as events pass; the only writer of its numbers. Sets hold failures only."""

    def __init__(self) -> None:
        self.tasks: dict[str, _Task] = {}
        self.unread: set[str] = set()
        self.found = 0  # files, before a sample was drawn
        self.failures = 0
        self.summary: Summary | None = None
        self._failed_early: dict[str, set[str]] = {}

    def count(self, event: Event) -> None:
        """Take one more event into account."""
        match event:
            case Looked():
                self.found = event.found
            case Planned(task=task):
                self.tasks[task] = _Task(event, failed=self._failed_early.pop(task, set()))
            case Recorded(task=task, document=document):
                self.tasks[task].done += 1
                self.tasks[task].incomplete += not event.complete
                self.tasks[task].failed.discard(document)
                self.tasks[task].not_found += event.not_found
                self.tasks[task].from_example += event.from_example
                self.tasks[task].short += event.short
            case Failed(failure=failure):
                self.failures += 1
                item = failure.document or failure.subject
                if failure.task is None:
                    self.unread.add(item)
                elif failure.task in self.tasks:
                    self.tasks[failure.task].failed.add(item)
                else:  # while its documents were cut
                    self._failed_early.setdefault(failure.task, set()).add(item)
            case Summary():
                self.summary = event


def lines(tally: Tally, job: Job) -> Iterator[str]:
    """The summary of a run that came to its end."""
    summary = tally.summary
    if summary is None:
        return
    if summary.state == "planned":
        yield from _planned(tally, summary)
        return
    yield from _documents(tally)
    if summary.gone:
        are, them = ("is", "it") if summary.gone == 1 else ("are", "them")
        yield f"{counted(summary.gone, 'file')} {are} gone; what was found in {them} stays, marked as gone."
    if summary.left_alone:
        them = "it" if summary.left_alone == 1 else "them"
        yield (
            f"{counted(summary.left_alone, 'failure')} of earlier runs left alone; "
            f"`nightdesk retry {_named(job)}` lets {them} be tried again."
        )
    if job.limit is not None:
        yield f"This was a random {job.limit} of {tally.found:,} files. Run it without --limit for the rest."
    counts = summary.counts
    if counts.sampled or counts.prefilled:
        yield (
            f"Tokens: {counts.prefilled:,} prefilled, {counts.reused:,} reused, "
            f"{counts.forced:,} forced, {counts.sampled:,} sampled."
        )
    if counts.drafted:
        yield f"Drafts: {counts.accepted:,} of {counts.drafted:,} tokens were right."
    if summary.done and summary.seconds > 0:
        speed = summary.done / summary.seconds * 3600
        yield f"Extracting took {duration(summary.seconds)}: {speed:,.0f} documents per hour."
    if summary.paused >= 1:
        yield f"It paused for {duration(summary.paused)}: on battery, or under the load of other programs."
    if summary.state in ("stopped", "interrupted"):
        if summary.reason:
            yield f"The night ended: {summary.reason}."
        left = [(summary.unread, "file to read"), (summary.left, "chunk")]
        said = listed([counted(number, noun) for number, noun in left if number]) if any(n for n, _ in left) else ""
        yield f"Left to do: {said or 'to look at more files'}. Run the same command again to go on."
    yield from _next(tally, job)


def _documents(tally: Tally) -> Iterator[str]:
    """A line for each task, then one for what could not be read."""
    for name, task in tally.tasks.items():
        said = [f"{task.done:,} done"]
        if task.incomplete:
            said[0] += f" ({task.incomplete:,} incomplete)"
        if task.failed:
            said.append(f"{len(task.failed):,} failed")
        if task.plan.current:
            said.append(f"{task.plan.current:,} skipped because nothing changed")
        yield f"{safe(name)}: {counted(task.plan.documents, 'document')}: {', '.join(said)}."
        yield from _doubts(name, task)
    if tally.unread:
        yield f"{counted(len(tally.unread), 'file')} could not be read."
    if not tally.found:
        yield "No file was found in the inputs. Hidden files are skipped."
    elif not any(task.done or task.failed for task in tally.tasks.values()) and not tally.failures:
        yield "Nothing was left to do."


def _doubts(name: str, task: _Task) -> Iterator[str]:
    """What of a task's new rows needs a person's eye."""
    nowhere = task.not_found + task.from_example
    if nowhere:
        copied = f", {task.from_example:,} of them only in the task's examples" if task.from_example else ""
        yield f"  {counted(nowhere, 'value')} of {safe(name)} not found in the document{copied}: nightdesk help trust"
    if task.short:
        yield f"  {counted(task.short, 'list')} of {safe(name)} may be short: see the column `marked`."


def _planned(tally: Tally, summary: Summary) -> Iterator[str]:
    heads = ("task", "documents", "up to date", "chunks", "tokens", "prefix")
    plans = [task.plan for task in tally.tasks.values()]
    yield from table(heads, [(p.task, p.documents, p.current, p.work, p.tokens, p.prefix) for p in plans])
    yield "Chunks and tokens are those still to be answered; the prefix is shared by all prompts of its task."
    yield from _other_way(plans)
    if tally.unread:
        yield f"{counted(len(tally.unread), 'file')} could not be read."
    if not tally.found:
        yield "No file was found in the inputs. Hidden files are skipped."
    elif not summary.left:
        yield "Nothing is left to do."
    elif summary.expected_seconds is None:
        yield "Expected time: not known before this database has seen a run with this model."
    else:
        yield f"Expected time: about {duration(summary.expected_seconds)}."


def _other_way(plans: list[Planned]) -> Iterator[str]:
    """Where tasks ask about the same chunks: whether the other layout is clearly cheaper."""
    alike: defaultdict[tuple[int, int], list[Planned]] = defaultdict(list)
    for plan in plans:
        if plan.work:
            alike[plan.work, plan.tokens].append(plan)
    for (chunks, tokens), group in alike.items():
        if len(group) < 2:
            continue
        way = all(plan.document_first for plan in group)
        costs = prompt_tokens([plan.frame for plan in group], chunks=chunks, tokens=tokens)
        now, other = costs[way], costs[not way]
        if other < now * WORTH_SAYING:
            said = "without `document_first`" if way else "with `document_first = true`"
            yield (
                f"{listed([plan.task for plan in group])} ask about the same chunks: {now:,} tokens to compute, "
                f"{other:,} {said} in each (another prompt: answers that are there would be made again)."
            )


def _next(tally: Tally, job: Job) -> Iterator[str]:
    database, named = safe(shlex.quote(str(_short(job.database)))), _named(job)
    yield ""
    yield f"Results: {database}, {'table' if len(tally.tasks) == 1 else 'tables'} {listed([*tally.tasks])}"
    first = next(iter(tally.tasks))
    if job.key_from is None:  # sqlite-utils opens no encrypted one
        yield f"  sqlite-utils rows {database} {first}"
    yield f"  nightdesk export {first} {named} --format csv"
    if any(task.incomplete for task in tally.tasks.values()):
        yield f"Why a row is incomplete: nightdesk explain FILE {named}"
    if tally.failures or (tally.summary and tally.summary.left_alone):
        yield f"What failed, and what to do about it: nightdesk failures {named}"


def _named(job: Job) -> str:
    """The options that name the job's database to another verb."""
    return options.naming(_short(job.database), job.key_from)


def _short(path: Path) -> Path:
    """The path from the working directory, where it lies below it."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve())
    except ValueError:
        return path

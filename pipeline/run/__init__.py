"""The story of a run: read and chunk -> pending -> prompts -> engine -> parse -> ground -> merge -> save.

It yields events and prints nothing. Resume is not a feature: work is named by its key and saved once, so running
again does what is missing.

    events.py   what a run tells          extract.py  a task's prompts, answers, records
    intake.py   files -> documents        records.py  answers -> one record a document
    scans.py    pages without text -> OCR
    model.py    the model and its engine      night.py    when a run ends although work is left
    served.py   the model in a server that runs already
    texts.py    documents with their texts, also where the database keeps none
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr, ValidationError

from pipeline import planner, readers
from pipeline.batching import Halt
from pipeline.config import Job
from pipeline.engines import never
from pipeline.errors import JobError
from pipeline.prompting import PromptBuilder, Task, load_task, template_text
from pipeline.readers import ReadOptions
from pipeline.run.awake import awake
from pipeline.run.events import (
    Answered,
    Event,
    Failed,
    FileRead,
    Looked,
    ModelChanged,
    Opened,
    Planned,
    Recorded,
    Summary,
)
from pipeline.run.extract import TaskRun
from pipeline.run.intake import Intake, chunking_id
from pipeline.run.model import Model, demand_of, machine, open_model
from pipeline.run.night import NightsEnd
from pipeline.run.scans import Scans
from pipeline.run.served import RememberedModel, open_for
from pipeline.run.surroundings import written
from pipeline.run.texts import Texts
from pipeline.store import RunEnd, RunInfo, Store

__all__ = [
    "Answered",
    "Event",
    "Failed",
    "FileRead",
    "Looked",
    "ModelChanged",
    "Opened",
    "Planned",
    "Recorded",
    "Summary",
    "run",
]

PACKAGES = ("nightdesk", "llama-cpp-python", "llguidance", "outlines-core", "pypdf", "pydantic", "sqlite-utils")

SERVERS_OWN = "the server's"
"""The grammar of a recipe whose answers a server held to the schema."""


def run(
    job: Job,
    *,
    key: SecretStr | None = None,
    command: str = "",
    dry_run: bool = False,
    should_stop: Callable[[], Halt] = never,
    night: NightsEnd | None = None,
) -> Iterator[Event]:
    """Do a job. Everything that is the user's mistake is raised before the database is touched.

    `dry_run` reads and cuts (which is kept: the real run need not do it again) and loads no weights. `night` is that of
    several runs, whose time and documents they share; without it the job's night begins now. The last event is a
    Summary unless an error ends the run; what was finished is kept under any of them.
    """
    tasks, inputs = _tasks(job)
    model = open_for(job)
    template = _template(job)
    builders = {name: PromptBuilder(task, model.tokenizer, template=template) for name, task in tasks.items()}
    for builder in builders.values():
        model.check_fits(builder)
    end = (night or NightsEnd(job.night)).for_run(should_stop)
    database = Store.open(job.database, keep_text=not job.no_text, key=key)
    with database as store, nullcontext() if dry_run else awake():
        run_id = store.begin_run(_info(job, model, command))
        if job.no_text:
            store.forget_texts()
        reading = ReadOptions(job.password, scans=job.ocr != "off", changes=job.changes)
        scans = Scans(store, run_id, wanted=_ocr(job, tasks.values()), workers=machine().cores)
        with closing(Texts(store, scans, reading)) as texts:
            intake = Intake(store, texts, scans, run_id, options=reading, workers=machine().cores, written=written(job))
            yield from _Run(job, store, texts, intake, run_id, model, builders, inputs, end).story(dry_run)


def _tasks(job: Job) -> tuple[dict[str, Task], list[tuple[str, tuple[Path, ...]]]]:
    """The job's tasks by name, and what each entry of the job reads. A task may be named by a path, and twice."""
    tasks: dict[str, Task] = {}
    inputs = []
    for entry in job.tasks:
        task = load_task(entry.task)
        if tasks.setdefault(task.name, task).path.absolute() != task.path.absolute():
            raise JobError(
                f"Two tasks are called {task.name}: {tasks[task.name].path} and {task.path}.",
                hint="The name becomes the table's name: rename one of the files, or use two databases.",
            )
        inputs.append((task.name, entry.inputs))
    return tasks, inputs


def _ocr(job: Job, tasks: Iterable[Task]) -> str:
    """How scans are read: as the job says; where it does not, in the languages of its tasks, if each names some."""
    named = [task.options.ocr for task in tasks]
    if job.ocr != "auto" or None in named:
        return job.ocr
    return "+".join(dict.fromkeys(language for one in named if one for language in one.split("+")))


def _template(job: Job) -> str | None:
    return None if job.template is None else template_text(job.template, Path(), "template")


class _Run:
    """The state of one run: its counts. One writer, the story."""

    def __init__(
        self,
        job: Job,
        store: Store,
        texts: Texts,
        intake: Intake,
        run_id: int,
        model: Model,
        builders: dict[str, PromptBuilder],
        inputs: Sequence[tuple[str, Sequence[Path]]],
        end: NightsEnd,
    ) -> None:
        self._job = job
        self._inputs = inputs
        self._store = store
        self._texts = texts
        self._intake = intake
        self._run_id = run_id
        self._model = model
        self._builders = builders
        self._end = end
        self._cut_short = False
        self._summary = Summary(run_id, "done")

    def story(self, dry_run: bool) -> Iterator[Event]:
        """The run's events, counted as they pass, and the summary."""
        state = "crashed"
        try:
            for event in self._events(dry_run):
                self._count(event)
                yield event
            state = "planned" if dry_run else self._state()
            self._summary = replace(
                self._summary,
                expected_seconds=self._expected(),
                reason=self._end.reason,
                left_alone=self._store.left_alone(self._run_id),
                paused=self._end.paused,
            )
        except KeyboardInterrupt:
            state = "interrupted"
            raise
        finally:
            s = self._summary = replace(self._summary, state=state)
            end = RunEnd(state, s.counts, done=s.done, failed=s.failed, skipped=s.current, seconds=s.seconds or None)
            self._store.end_run(self._run_id, end)
        yield self._summary

    def _events(self, dry_run: bool) -> Iterator[Event]:
        yield Opened(self._run_id, self._model.name, "")
        yield from self._read()
        runs = []
        for name, builder in self._builders.items():
            parts = _recipe_parts(self._job, self._model, builder)
            cutting = parts["chunking"]
            recipe = self._store.recipe(name, parts)
            yield from self._other_model(name, parts)
            if self._end() is not Halt.NOW:
                yield from self._intake.cut(name, cutting, builder.task.options, self._model.tokenizer)
            task_run = TaskRun(
                self._store, self._texts, self._run_id, builder, self._model.tokenizer, recipe, self._job.engine
            )
            self._store.define_task(self._run_id, name, builder.task.schema.root, recipe)
            yield task_run.plan()
            runs.append(task_run)
        if not dry_run and not self._cut_short:
            yield from self._extract(runs)

    def _other_model(self, task: str, parts: dict[str, str]) -> Iterator[Event]:
        """Say when rows of before came from another model, and leave them alone where that is wanted."""
        other = self._store.other_model(self._run_id, task, parts)
        if other is None:
            return
        keep = self._job.model_change == "keep"
        if keep:
            self._store.keep_records(self._run_id, task, parts)
        model = self._model
        yield ModelChanged(task, other.name, other.sha256, model.name, model.sha256, other.documents, keep)

    def _read(self) -> Iterator[Event]:
        """Look at the files and read what is new, as far as the night goes."""
        for event in self._intake.look(self._inputs, self._job.limit):
            yield event
            if self._end() is not Halt.NO:
                self._cut_short = True
                return

    def _extract(self, runs: list[TaskRun]) -> Iterator[Event]:
        for task_run in runs:
            yield from task_run.sweep()
        if not any(plan.work for plan in self._summary.plans):
            return
        if self._end() is not Halt.NO:  # no model is loaded for nothing
            self._cut_short = True
            return
        engine, shape = self._model.start(self._job.engine, demand_of(self._builders.values()))
        started = time.monotonic()
        try:
            self._store.note_shape(self._run_id, shape)
            yield Opened(self._run_id, self._model.name, shape)
            streams = [(one.task.options.document_first, one.prompts(self._end.admits)) for one in runs]
            for completion in engine.run(planner.order(streams), self._end):
                owner = next(r for r in runs if r.owns(completion.work_key))
                yield from owner.save(completion)
        finally:
            seconds = time.monotonic() - started
            self._summary = replace(self._summary, decode_calls=engine.calls, seconds=seconds)
            engine.close()
        for task_run in runs:
            yield from task_run.sweep()

    def _count(self, event: Event) -> None:
        s = self._summary
        match event:
            case Planned():
                s = replace(
                    s,
                    documents=s.documents + event.documents,
                    current=s.current + event.current,
                    left=s.left + event.work,
                    plans=(*s.plans, event),
                )
            case Answered():
                s = replace(s, counts=s.counts + event.counts, left=s.left - 1)
            case Recorded():
                s = replace(s, done=s.done + 1)
            case Failed():
                s = replace(s, failed=s.failed + 1)
            case Looked():
                s = replace(s, gone=event.gone, unread=event.to_read)
            case FileRead():
                s = replace(s, unread=s.unread - 1)
        self._summary = s

    def _expected(self) -> float | None:
        """Seconds that the work of this run's plans takes at the speed of earlier runs; None where there was none."""
        speed = self._store.speed(self._model.sha256)
        if speed is None:
            return None
        tokens_a_second, answer = speed
        return sum(plan.tokens + plan.work * answer + plan.prefix for plan in self._summary.plans) / tokens_a_second

    def _state(self) -> str:
        if self._cut_short or self._summary.left > 0:
            return "interrupted" if self._end.interrupted else "stopped"
        return "failures" if self._summary.failed else "done"


def _recipe_parts(job: Job, model: Model | RememberedModel, builder: PromptBuilder) -> dict[str, str]:
    """What makes an answer what it is, by name; `explain` names the parts that changed."""
    return {
        **builder.parts,
        "chunking": chunking_id(builder.task.options, model.tokenizer),
        "model": model.sha256,
        **({"lora": model.adapters} if model.adapters else {}),
        "grammar": job.engine.grammar if job.engine.server is None else SERVERS_OWN,
        "sampling": job.engine.sampling.words,
    }


def recipes(settings: str, model_was: tuple[str, str]) -> dict[str, dict[str, str]]:
    """The recipes that the next run of a job makes, by task, from the settings that its last run kept as JSON.

    Loads the tasks and the model's tokenizer, no weights. A server is not asked: it is taken to hold the model of the
    last run, whose name and fingerprint are `model_was`. Raises as `run` does when the tasks are not in order.
    """
    try:
        job = Job.model_validate_json(settings)
    except ValidationError as error:
        raise JobError(
            "The settings of the newest run were kept by another version.", hint="Run the job again."
        ) from error
    model = open_model(job.model, job.lora) if job.engine.server is None else RememberedModel(*model_was)
    template = _template(job)
    builders = [PromptBuilder(task, model.tokenizer, template=template) for task in _tasks(job)[0].values()]
    return {builder.task.name: _recipe_parts(job, model, builder) for builder in builders}


def _info(job: Job, model: Model, command: str) -> RunInfo:
    settings = job.model_dump(mode="json", exclude={"password"})
    return RunInfo(
        command=command,
        settings=json.dumps(settings, ensure_ascii=False),
        model=model.name,
        model_sha256=model.sha256,
        versions={name: importlib.metadata.version(name) for name in PACKAGES} | {"readers": readers.versions()},
        host=platform.node(),
        cores=machine().cores,
    )

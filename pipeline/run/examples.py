"""What each few-shot example is worth: a task is run with all of its examples, and without each of them.

The runs go over labelled documents into databases of their own, in a folder beside the user's that is removed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from pipeline.config import EngineSettings, Job, JobTask
from pipeline.errors import UserError
from pipeline.evaluation import Gold, Report, compare, evaluate, value_types
from pipeline.prompting import Example, PromptBuilder, Task, load_task
from pipeline.run import Summary, run
from pipeline.run.model import open_model
from pipeline.run.served import ServerModel
from pipeline.store import Store, scratch


@dataclass(frozen=True, slots=True)
class Worth:
    """A run without one example (None: with all of them), and what the example brings (`gain`) and costs.

    `tokens` are evaluated once for a run, where its prompts share them. `costs` is how many seconds longer a document
    takes with the example; on few documents its share of evaluating the prefix is in it, and noise.
    """

    example: int | None
    f1: float
    gain: float
    interval: tuple[float, float]
    tokens: int
    seconds: float  # of extracting, a document
    costs: float


def worth_of_examples(
    task: Task,
    gold: Sequence[Gold],
    files: Mapping[str, Path],
    model: str,
    engine: EngineSettings,
    database: Path,
    key: SecretStr | None = None,
) -> Iterator[Worth]:
    """First the task as it is, then without each example. Documents that are examples are not scored.

    Nothing is read from `database` or written to it: the runs' own lie beside it, encrypted where there is a `key`.
    """
    if not task.examples:
        raise UserError(f"The task {task.name} has no examples.", hint="Write some: nightdesk help tasks.")
    tokenizer = (open_model(model) if engine.server is None else ServerModel(model, *engine.server)).tokenizer
    with scratch(database) as folder:
        before, all_seconds, whole = _run(task, None, gold, files, model, engine, folder / "all", key)
        yield Worth(None, before.micro.normalised.f1, 0.0, (0.0, 0.0), 0, all_seconds, 0.0)
        full = PromptBuilder(whole, tokenizer).frame
        for number, example in enumerate(task.examples, start=1):
            after, seconds, without = _run(task, number, gold, files, model, engine, folder / str(number), key)
            change = compare(after, before).micro  # from without it to with it
            if engine.server is None:
                tokens = full - PromptBuilder(without, tokenizer).frame
            else:  # it counts texts; what its template writes around them is not known
                tokens = tokenizer.count(example.text) + tokenizer.count(example.answer)
            f1, costs = after.micro.normalised.f1, all_seconds - seconds
            yield Worth(number, f1, change.gain, change.interval, tokens, seconds, costs)


def _run(
    task: Task,
    leave_out: int | None,
    gold: Sequence[Gold],
    files: Mapping[str, Path],
    model: str,
    engine: EngineSettings,
    folder: Path,
    key: SecretStr | None,
) -> tuple[Report, float, Task]:
    """Run the task without one example; its scores, seconds a document, and the task that was run."""
    kept = [example for number, example in enumerate(task.examples, start=1) if number != leave_out]
    file = _write(task, kept, folder)
    inputs = tuple(dict.fromkeys(files[label.id].absolute() for label in gold))
    tasks = (JobTask(task=str(file), inputs=inputs),)
    job = Job(database=folder / "night.db", model=model, tasks=tasks, engine=engine)
    summary = next((event for event in run(job, key=key) if isinstance(event, Summary)), None)
    with Store.open(job.database, write=False, key=key) as store:
        records = {record.document: record for record in store.records(task.name)}
        shown = {example.text for example in task.examples}
        texts = {sha256: store.document(sha256).text.strip() for sha256 in records}
        held = {
            label.id: store.within(hashlib.sha256(files[label.id].read_bytes()).hexdigest(), label.file)
            for label in gold
        }
    scored, predicted = [], {}
    for label in gold:
        sha256 = held[label.id]
        if sha256 is not None and texts.get(sha256) in shown:
            continue
        scored.append(label)
        if sha256 is not None and sha256 in records:
            predicted[label.id] = records[sha256].values
    seconds = summary.seconds / max(summary.done, 1) if summary else 0.0
    return evaluate(scored, predicted, value_types(task.schema.root)), seconds, load_task(str(file))


def _write(task: Task, examples: Sequence[Example], folder: Path) -> Path:
    """The task as a file with these examples. A JSON string is a TOML string but for DEL."""
    for name in ("prompts", "schemas"):
        (folder / name).mkdir(parents=True)
    (folder / "schemas" / f"{task.name}.json").write_text(task.schema.json_schema, "utf-8")
    lines = [f"instructions = {_toml(task.instructions)}"]
    for number, example in enumerate(examples):
        answer = folder / "prompts" / f"answer-{number}.json"
        answer.write_text(example.answer, "utf-8")
        lines += ["[[examples]]", f"text = {_toml(example.text)}", f"answer = {_toml(answer.name)}"]
    lines.append("[options]")
    for name, value in task.options.model_dump(exclude_none=True).items():
        lines.append(f"{name} = {_toml(value) if isinstance(value, str) else json.dumps(value)}")
    file = folder / "prompts" / f"{task.name}.toml"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

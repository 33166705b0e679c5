"""`nightdesk eval`: a task's records against labels. What went wrong is shown with its words: it was asked for."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options, screen
from pipeline.cli.eval_tables import calibration_lines, comparison_lines, example_lines, miss_lines, report_lines
from pipeline.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.confidence import Observation
    from pipeline.data import Record
    from pipeline.evaluation import Gold, Report
    from pipeline.prompting import Task
    from pipeline.store import Store

_LEAST = 20  # values; fewer say nothing about how often such values are right


def evaluate(
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task's name, or the path of its .toml file.")],
    labels: Annotated[Path, typer.Option("--labels", metavar="GOLD.jsonl", help="What the records should say.")],
    db: options.Db = None,
    key_from: options.KeyFrom = None,
    against: Annotated[
        Path | None, typer.Option("--against", metavar="FILE", help="Another database: what got better or worse since?")
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Learn from the labels what confidence means, for the runs to come.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.svg", help="With --calibrate. Default: TASK-calibration.svg")
    ] = None,
    examples: Annotated[
        bool, typer.Option("--examples", help="Run the task without each of its examples: what is each one worth?")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="FILE|demo",
            help="Of the records, with --calibrate (default: the newest run's); to be run, with --examples.",
        ),
    ] = None,
    engine: options.Server = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Score a task's records against labels, and show what went wrong.

    Labels are JSON Lines: {"id": ..., "file": ..., "fields": {...}}, the file seen from the labels' folder; "a.zip!/2"
    is the second file within a.zip. Values are compared by letters and digits, amounts and dates by what they mean,
    lists as sets.

    \b
    Examples:
      nightdesk eval receipts --labels samples/gold/receipts.jsonl --db night.db
      nightdesk eval receipts --labels gold.jsonl --db night.db --against before.db
      nightdesk eval receipts --labels gold.jsonl --db night.db --calibrate
      nightdesk eval receipts --labels gold.jsonl --examples
      nightdesk eval receipts --labels gold.jsonl --examples --engine http://127.0.0.1:8080
    """
    if examples and (against or calibrate):
        raise UserError("--examples makes runs of its own.", hint="Leave --against and --calibrate out.")
    if engine is not None and not examples:
        raise UserError("--engine is for --examples: what is in a database needs no server.", hint="Leave it out.")
    if plot is not None and not calibrate:
        raise UserError("--plot draws what --calibrate finds.", hint="Add --calibrate.")
    from pipeline import evaluation
    from pipeline.cli.keys import key, opened
    from pipeline.prompting import load_task

    loaded, gold = load_task(task), evaluation.load_gold(labels)
    files = _files(labels, gold)
    database = options.database(db)
    if examples:
        from pipeline.config import EngineSettings
        from pipeline.run.examples import worth_of_examples

        settings = EngineSettings(engine=options.server(engine) or "batched")
        secret = key(key_from, database)
        worth = list(worth_of_examples(loaded, gold, files, options.model(model), settings, database, secret))
        _say([asdict(one) for one in worth], example_lines(worth), as_json=as_json)
        return
    said: dict[str, Any] = {}
    lines: list[str] = []
    with opened(database, key_from) as store:
        side = _read(store, loaded, gold, files)
        said["report"] = _as_json(side.report)
        lines += [*report_lines(loaded.name, side.report, side.left_out), *miss_lines(side.report, side.records)]
        if calibrate:
            recipe, values = _observations(store, loaded, side, model)
            figures = _calibrate(loaded, recipe, values, plot or Path(f"{loaded.name}-calibration.svg"))
            said["calibration"] = figures
            lines += calibration_lines(figures)
    if against is not None:
        with opened(against, key_from) as store:
            before = _read(store, loaded, gold, files)
        comparison = evaluation.compare(before.report, side.report)
        said["comparison"] = asdict(comparison)
        lines += comparison_lines(str(against), comparison)
    _say(said, lines, as_json=as_json)


def _say(said: object, lines: Iterable[str], *, as_json: bool) -> None:
    screen.out(*([json.dumps(said, ensure_ascii=False, indent=2)] if as_json else lines))


@dataclass(frozen=True, slots=True)
class _Side:
    """One database's records of the labelled documents, by the labels' ids, and their scores."""

    records: dict[str, Record]
    report: Report
    left_out: dict[str, int]  # why -> how many labelled documents


def _files(labels: Path, gold: Sequence[Gold]) -> dict[str, Path]:
    """The labelled files, by id; of a document within a file, that file."""
    if not gold:
        raise UserError(f"{labels} holds no labels.", hint='Write a line a document: {"id": ..., "fields": {...}}.')
    files = {}
    for label in gold:
        file = labels.parent / label.file.partition("!/")[0]
        if not label.file or not file.is_file():
            what = f"names {file}, which is not there" if label.file else "names no `file`"
            raise UserError(f"{labels}: {label.id} {what}.", hint="A file is seen from the folder of the labels.")
        files[label.id] = file
    return files


def _read(store: Store, task: Task, gold: Sequence[Gold], files: dict[str, Path]) -> _Side:
    """Score the labelled documents that this database was given; none of them may be one of the task's examples."""
    from pipeline.evaluation import evaluate as score
    from pipeline.evaluation import value_types

    store.require_task(task.name)
    by_document = {record.document: record for record in store.records(task.name)}
    shown = {example.text for example in task.examples}
    scored, records, left_out = [], {}, Counter[str]()
    for label in gold:
        sha256 = store.within(hashlib.sha256(files[label.id].read_bytes()).hexdigest(), label.file)
        if sha256 is None:
            left_out["not given to this database"] += 1
            continue
        record = by_document.get(sha256)
        if record is None and all(verdict.task != task.name for verdict in store.explain(sha256).verdicts):
            left_out["not given to this database"] += 1
        elif record is not None and not store.has_text(sha256):
            raise UserError(
                "The database keeps no texts (--no-text), so it cannot be seen which documents are examples.",
                hint="Run the labelled documents into a database of their own, without --no-text.",
            )
        elif record is not None and store.document(sha256).text.strip() in shown:
            left_out["being examples of the task"] += 1
        else:
            scored.append(label)
            if record is not None:
                records[label.id] = record
    if not scored:
        raise UserError(
            "The database was given none of the labelled documents.",
            hint=f"Run the task over them first: nightdesk run {task.name} FOLDER.",
        )
    values = {name: record.values for name, record in records.items()}
    return _Side(records, score(scored, values, value_types(task.schema.root)), dict(left_out))


def _observations(store: Store, task: Task, side: _Side, model: str | None) -> tuple[str, list[Observation]]:
    """The recipe of the records, and their values as right or wrong ones."""
    from pipeline.run import SERVERS_OWN
    from pipeline.run.calibrations import observe
    from pipeline.run.model import open_model

    recipes = {row["document"]: str(row["recipe"]) for row in store.rows(store.tables(task.name))}
    ((recipe, _),) = Counter(recipes[record.document] for record in side.records.values()).most_common(1) or [("", 0)]
    if not recipe:
        raise UserError("There is no record to learn from.", hint="See `nightdesk failures`.")
    parts = store.recipe_parts(recipe)
    if parts["grammar"] == SERVERS_OWN:
        raise UserError(
            "The records were made through a server, whose answers have no figures to learn from.",
            hint="Run the labelled documents with the model's file: --model FILE.",
        )
    opened = open_model(model or store.last_runs(1)[0].model)
    if opened.sha256 != parts["model"]:
        raise UserError(f"The records were not made with {opened.name}.", hint="Name their model with --model.")
    verdicts = {
        side.records[name].document: right
        for name, right in side.report.verdicts.items()
        if name in side.records and recipes[side.records[name].document] == recipe
    }
    pointed = parts["grammar"] == "llguidance"
    return recipe, observe(store, task, recipe, opened.tokenizer.vocabulary, verdicts, pointed=pointed)


def _calibrate(task: Task, recipe: str, values: list[Observation], plot: Path) -> dict[str, Any]:
    """Fit, keep, draw; the figures are of values whose documents the fit had not seen."""
    from pipeline.confidence import coverage, fit, held_out, reliability, svg
    from pipeline.run.calibrations import save

    if len(values) < _LEAST or len({one.document for one in values}) < 2:
        raise UserError(
            f"There are {len(values)} values to learn from, and {_LEAST} of several documents are the least.",
            hint="Label more documents.",
        )
    confidences, right = held_out(values), [one.right for one in values]
    bins = reliability(confidences, right)
    title = f"{task.name}: {len(values)} values of {len({one.document for one in values})} documents, held out"
    try:
        plot.write_text(svg(title, bins, confidences, right), "utf-8")
    except OSError as error:
        raise UserError(f"{plot} cannot be written: {error.strerror}.", hint="Name another file: --plot.") from error
    return {
        "values": len(values),
        "right": sum(right) / len(right),
        "brier": sum((c - r) ** 2 for c, r in zip(confidences, right, strict=True)) / len(right),
        "reliability": [asdict(one) for one in bins],
        "coverage": [asdict(one) for one in coverage(confidences, right)],
        "file": str(save(recipe, fit(task.name, values))),
        "plot": str(plot),
    }


def _as_json(report: Report) -> dict[str, Any]:
    """The report without what only a comparison or a calibration needs."""
    from pipeline.evaluation import FieldScore

    def score(one: FieldScore) -> dict[str, Any]:
        n = one.normalised
        return {
            **asdict(one),
            "precision": n.precision,
            "recall": n.recall,
            "f1": n.f1,
            "exact_f1": one.exact.f1,
        }

    return {
        "documents": report.documents,
        "unanswered": report.unanswered,
        "fields": [score(one) for one in report.fields],
        "micro": score(report.micro),
        "macro_f1": report.macro_f1,
        "macro_interval": report.macro_interval,
        "misses": [asdict(miss) for miss in report.misses],
    }

"""The share of right values on all of samples/, field by field: `python -m tests.quality.samples --db FILE`.

Runs the tasks that ship over the samples (samples/night.toml, and the receipts of samples/mixed) and compares the
records with the labels. What the database holds already is not asked again, so the same command goes on where it was
stopped. Prints Markdown: every field for tests/benchmarks/LOG.md, then a line a folder for README.md.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.batching import Halt
from pipeline.cli.job import from_file
from pipeline.config import Job, JobTask
from pipeline.evaluation import FieldScore, Report, evaluate, load_gold, value_types
from pipeline.models.locate import find_model, sha256_of
from pipeline.prompting import load_task
from pipeline.run import Opened, Recorded, Summary, run
from pipeline.run.model import SCRIPTED
from pipeline.store import Store
from tests.benchmarks import host

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples"
FOLDERS = {
    "receipts": "receipts",
    "mixed": "receipts",
    "formats": "receipts",
    "invoices": "invoices",
    "contracts": "contracts",
    "mail": "mail",
}


def job(database: Path, model: str, threads: int | None) -> Job:
    """The night over the samples, and the receipts in other formats."""
    given = {("model",): model, ("engine", "shape", "threads"): threads}
    night = from_file(SAMPLES / "night.toml", database, given)
    others = JobTask(task="receipts", inputs=(SAMPLES / "mixed", SAMPLES / "formats"))
    return night.model_copy(update={"tasks": (*night.tasks, others)})


def answer(wanted: Job, minutes: float) -> Summary:
    """Do what is missing; nothing is begun after so many minutes of answering."""
    ends: list[float] = []
    recorded = 0
    for event in run(wanted, should_stop=lambda: Halt.DRAIN if ends and time.monotonic() > ends[0] else Halt.NO):
        match event:
            case Opened() if event.shape:
                ends.append(time.monotonic() + 60 * minutes)
                print(event.shape, file=sys.stderr, flush=True)
            case Recorded():
                recorded += 1
                print(f"\r{recorded} documents", end="", file=sys.stderr, flush=True)
            case Summary():
                print(file=sys.stderr)
                return event
    raise AssertionError("a run ends with a summary")


def score(database: Path, folder: str) -> Report:
    """The records of a folder's documents against their labels. A document without a record has everything wrong."""
    task = load_task(FOLDERS[folder])
    labels = SAMPLES / "gold" / f"{folder}.jsonl"
    gold = load_gold(labels)
    found = {}
    with Store.open(database, write=False) as store:
        records = {record.document: record for record in store.records(task.name)}
        for label in gold:
            content = (labels.parent / label.file.partition("!/")[0]).read_bytes()
            document = store.within(hashlib.sha256(content).hexdigest(), label.file)
            if document in records:
                found[label.id] = records[document].values
    return evaluate(gold, found, value_types(task.schema.root))


def lines(reports: dict[str, Report]) -> Iterator[str]:
    """A row a field."""
    yield "| samples | field | documents | labelled values | right | share right | of the values given |"
    yield "|---|---|---|---|---|---|---|"
    for folder, report in reports.items():
        for one in (*report.fields, report.micro):
            n = one.normalised
            yield (
                f"| {folder} | {_name(one, report)} | {one.documents} | {n.gold} | {n.right} | {100 * n.recall:.0f} % "
                f"| {100 * n.precision:.0f} % |"
            )


def short(reports: dict[str, Report]) -> Iterator[str]:
    """A row a folder."""
    yield "| samples | documents | share of right values, in percent | all |"
    yield "|---|---|---|---|"
    for folder, report in reports.items():
        shares = [f"{_name(one, report)} {100 * one.normalised.recall:.0f}" for one in report.fields]
        yield f"| {folder} | {report.documents} | {', '.join(shares)} | {100 * report.micro.normalised.recall:.0f} |"


def _name(score: FieldScore, report: Report) -> str:
    if score is report.micro:
        return "all values"
    whole = any(other.name.startswith(f"{score.name}.") for other in report.fields)
    return f"{score.name} (whole)" if whole else score.name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality.samples", description=__doc__)
    parser.add_argument("--db", type=Path, required=True, metavar="FILE", help="a scratch database, kept for next time")
    parser.add_argument("--model", default="demo", help="a GGUF file, demo or scripted; default: demo")
    parser.add_argument("--minutes", type=float, default=30.0, help="of answering; what was begun is finished")
    parser.add_argument("--threads", type=int)
    wanted = parser.parse_args(arguments)
    for complaint in host.look():
        print(f"THE MACHINE IS NOT QUIET: {complaint}", file=sys.stderr)
    summary = answer(job(wanted.db, wanted.model, wanted.threads), wanted.minutes)
    reports = {folder: score(wanted.db, folder) for folder in FOLDERS}
    sha256 = "" if wanted.model == SCRIPTED else f" ({sha256_of(find_model(wanted.model))[:16]})"
    print(f"Model: {wanted.model}{sha256}; commit {host.facts()['commit']}.")
    if summary.left:
        print(f"NOT FINISHED: {summary.left} answers are missing and count as wrong. Run it again for them.")
    for folder, report in reports.items():
        if report.unanswered:
            print(f"{folder}: without a record, so all wrong: {', '.join(report.unanswered)}.")
    print("", *lines(reports), "", *short(reports), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""One cell of the table: a set in one form, run into a database of its own, kept as JSON and not run again."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.batching import Halt
from pipeline.config import EngineSettings, Job, JobTask, Shape
from pipeline.evaluation import Gold
from pipeline.run import Opened, Summary, run
from pipeline.schema import List, Node, Object, Text
from pipeline.store import Store
from tests.quality.calibrated import calibrated
from tests.quality.sets import Form, Set, as_form, gold_values, read


def cell(
    set: Set, form: Form, out: Path, *, model: str, documents: int, seconds: float, threads: int | None
) -> dict[str, object]:
    """The cell, from its file or run now. It is saved when it ends; `seconds` bound the decoding."""
    settings = {"model": model, "documents": documents, "seconds": seconds, "threads": threads}
    file = out / f"{set.name}-{form}.json"
    if file.is_file() and (kept := json.loads(file.read_text("utf-8")))["settings"] == settings:
        return kept
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    answered = _run(set, form, out, model, documents, seconds, threads)
    made = {"set": set.name, "form": form, "settings": settings, **answered}
    file.write_text(json.dumps(made, ensure_ascii=False, indent=1), "utf-8")
    return made


def _run(
    set: Set, form: Form, out: Path, model: str, documents: int, seconds: float, threads: int | None
) -> dict[str, object]:
    chosen = subset(set, documents)
    with tempfile.TemporaryDirectory(prefix="nightdesk-quality-") as name:
        folder = Path(name)
        task = set.write(form, folder)
        inputs = tuple(set.path(one) for one in chosen)
        job = Job(
            database=folder / "night.db",
            model=model,
            tasks=(JobTask(task=str(task), inputs=inputs),),
            engine=EngineSettings(shape=Shape(threads=threads)),
        )
        summary = _drained(job, seconds)
        with Store.open(job.database, write=False) as store:
            found = {record.document: record for record in store.records(set.task_name)}
        plot = out / f"{set.name}-calibration.svg"
        learned = calibrated(set, chosen, task, job.database, model, plot) if form == "typed" else None
    answers: dict[str, object] = {}
    pointed = outside = 0
    schema = as_form(set.schema, form)
    for one in chosen:
        record = found.get(hashlib.sha256(set.path(one).read_bytes()).hexdigest())
        if record is None:
            continue
        answers[one.id] = set.renamed(record.values)
        text = bare(read(set.path(one)).text)
        values = [*pointing(schema, record.values)]
        pointed += len(values)
        outside += sum(bare(value) not in text for value in values)
    return {
        "asked": [one.id for one in chosen],
        "answers": answers,
        "seconds": summary.seconds,
        "done": summary.done,
        "failed": summary.failed,
        "tokens": {name: getattr(summary.counts, name) for name in ("prefilled", "reused", "forced", "sampled")},
        "pointed": pointed,
        "outside": outside,
        "calibration": learned,
    }


def _drained(job: Job, seconds: float) -> Summary:
    """Run until the time is up; what was begun by then is finished."""
    ends: list[float] = []
    for event in run(job, should_stop=lambda: Halt.DRAIN if ends and time.monotonic() > ends[0] else Halt.NO):
        if isinstance(event, Opened) and event.shape:
            ends.append(time.monotonic() + seconds)
        if isinstance(event, Summary):
            return event
    raise AssertionError("a run ends with a summary")


def subset(set: Set, documents: int) -> list[Gold]:
    """The documents that are asked about: evenly drawn from the whole set, the same each time."""
    step = max(len(set.gold) / documents, 1.0)
    return [set.gold[int(index * step)] for index in range(min(documents, len(set.gold)))]


def pointing(node: Node, value: object) -> Iterator[str]:
    """The values of extractive fields."""
    match node, value:
        case Text(), str() if node.extractive is not None:
            yield value
        case List(), list():
            for item in value:
                yield from pointing(node.items, item)
        case Object(), Mapping():
            for member in node.fields:
                yield from pointing(member.node, value.get(member.name))


def bare(text: str) -> str:
    """`text` without white space, hyphens and what cannot be seen. Not the folding that made the values."""
    return "".join(
        char
        for char in unicodedata.normalize("NFKC", text)
        if not char.isspace() and char not in "-\u2010" and unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Cn")
    )


def in_text(set: Set, ids: list[str]) -> tuple[int, int]:
    """How many of the labelled values stand in their documents by letters and digits, and how many there are."""
    stand = total = 0
    for one in set.gold:
        if one.id in ids:
            text = _squeezed(read(set.path(one)).text)
            for label in gold_values(one, {name.partition(".")[0] for name in set.types}):
                ways = label["any_of"] if isinstance(label, Mapping) else [label]
                total += 1
                stand += any(_squeezed(str(way)) in text for way in ways)
    return stand, total


def _squeezed(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())

"""A model file's faster sibling, and whether it answers labelled samples as the original does."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from pipeline.config import Job, JobTask
from pipeline.engines.requantize import requantize
from pipeline.errors import UserError
from pipeline.evaluation import Gold, evaluate, load_gold, value_types
from pipeline.models.gguf import Header
from pipeline.models.locate import sha256_of
from pipeline.prompting import load_task
from pipeline.run import Summary, run
from pipeline.store import Store

KIND = "Q8_0"
TASK = "receipts"
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Side:
    """How one of the two files did."""

    right: int
    values: int
    speed: float  # documents an hour


@dataclass(frozen=True, slots=True)
class Comparison:
    """The original, the sibling, and how many values of the second are others."""

    before: Side
    after: Side
    changed: int
    asked: int


def file_of(model: Header) -> Path:
    """Where the sibling of this model lies, if it was written."""
    folder = Path(platformdirs.user_cache_dir("nightdesk")) / "models"
    return folder / f"{model.path.stem}-{sha256_of(*model.files)[:8]}-{KIND}.gguf"


def write(model: Header) -> Path:
    """Write the sibling into the user's cache directory, or find it there. Raises ModelError."""
    sibling = file_of(model)
    if not sibling.exists():
        requantize(model.path, sibling, KIND)
    return sibling


def samples() -> Path:
    """The labels of the receipts that ship. Raises UserError where there are none."""
    for folder in (_PACKAGE / "shipped", _PACKAGE.parent):
        if (file := folder / "samples" / "gold" / f"{TASK}.jsonl").exists():
            return file
    raise UserError("The labelled samples are not installed.", hint="Install Nightdesk again.")


def compare(model: Path, sibling: Path) -> Comparison:
    """Ask both about the samples, the original first. Loads weights."""
    labels = samples()
    gold = load_gold(labels)
    files = {label.id: (labels.parent / label.file).resolve() for label in gold}
    with tempfile.TemporaryDirectory(prefix="nightdesk-sibling-") as folder:
        sides = [_answers(name, gold, files, Path(folder) / f"{i}.db") for i, name in enumerate((model, sibling))]
    (before, old), (after, new) = sides
    fields = [field.name for field in load_task(TASK).schema.root.fields]
    changed = sum(old.get(label.id, {}).get(f) != new.get(label.id, {}).get(f) for label in gold for f in fields)
    return Comparison(before, after, changed, len(gold) * len(fields))


def _answers(
    model: Path, gold: tuple[Gold, ...], files: dict[str, Path], database: Path
) -> tuple[Side, dict[str, dict[str, object]]]:
    job = Job(database=database, model=str(model), tasks=(JobTask(task=TASK, inputs=tuple(files.values())),))
    summary = next((event for event in run(job) if isinstance(event, Summary)), None)
    with Store.open(database, write=False) as store:
        records = {record.document: dict(record.values) for record in store.records(TASK)}
    answers = {
        label.id: records[digest]
        for label in gold
        if (digest := hashlib.sha256(files[label.id].read_bytes()).hexdigest()) in records
    }
    types = value_types(load_task(TASK).schema.root)
    scores = evaluate(gold, answers, types).micro.normalised
    speed = 3600 * summary.done / summary.seconds if summary and summary.seconds else 0.0
    return Side(scores.right, scores.gold, speed), answers

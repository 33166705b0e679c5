"""A model file's faster sibling, and whether it answers labelled samples as the original does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from pipeline import readers
from pipeline.chunking import chunk
from pipeline.config import EngineSettings
from pipeline.data import Completion, Prompt, Stop
from pipeline.engines.requantize import requantize
from pipeline.errors import AnswerError, UserError
from pipeline.evaluation import evaluate, load_gold, value_types
from pipeline.models.gguf import Header
from pipeline.models.locate import sha256_of
from pipeline.prompting import PromptBuilder, load_task
from pipeline.run.model import Model, demand_of, open_model
from pipeline.schema import close, parse

KIND = "Q8_0"
TASK = "receipts"
WARM_UP = 16  # tokens of an answer before the clock runs
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


def questions(builder: PromptBuilder, model: Model) -> tuple[Prompt, ...]:
    """The labelled receipts that are one chunk, in the order of their names; their work keys are those."""
    labels, options = samples(), builder.task.options
    found = []
    for label in sorted(load_gold(labels), key=lambda label: label.id):
        document = readers.read_file((labels.parent / label.file).resolve())
        chunks = chunk(document, budget=options.chunk_tokens, overlap=options.overlap, count=model.tokenizer.count)
        if len(chunks) == 1:
            found.append(builder.prompt(chunks[0].text, label.id))
    return tuple(found)


def compare(model: Path, sibling: Path, clock: Callable[[], float] = time.monotonic) -> Comparison:
    """Ask both about the samples, the original first. Loads weights, which is not counted. Raises ModelError."""
    (before, old), (after, new) = (_answers(str(file), clock) for file in (model, sibling))
    fields = [field.name for field in load_task(TASK).schema.root.fields]
    changed = sum(old[key].get(field) != new[key].get(field) for key in old for field in fields)
    return Comparison(before, after, changed, len(old) * len(fields))


def _answers(name: str, clock: Callable[[], float]) -> tuple[Side, dict[str, Mapping[str, object]]]:
    """How a model did, and what it answered, by the names of the samples."""
    model = open_model(name)
    builder = PromptBuilder(load_task(TASK), model.tokenizer)
    model.check_fits(builder)
    asked = questions(builder, model)
    engine, _ = model.start(EngineSettings(), demand_of([builder]))
    try:
        for _completion in engine.run([replace(asked[0], max_tokens=WARM_UP)]):  # loads the weights
            pass
        began = clock()
        completions = [*engine.run(asked)]
        seconds = clock() - began
    finally:
        engine.close()
    answers = {each.work_key: _values(each, builder, model) for each in completions}
    gold = tuple(label for label in load_gold(samples()) if label.id in answers)
    scores = evaluate(gold, answers, value_types(builder.task.schema.root)).micro.normalised
    return Side(scores.right, scores.gold, 3600 * len(asked) / max(seconds, 1e-9)), answers


def _values(completion: Completion, builder: PromptBuilder, model: Model) -> Mapping[str, object]:
    """What was answered; nothing where it is no answer."""
    schema, text = builder.task.schema, model.tokenizer.vocabulary.decode(completion.tokens).decode("utf-8", "ignore")
    with suppress(AnswerError):
        if completion.stop is Stop.LENGTH:
            return close(schema, text).values
        if completion.stop is Stop.END:
            return parse(schema, text)
    return {}

"""What an answer is worth: valid or not, its values, and the F1 of the records that come of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pipeline.data import Extraction
from pipeline.errors import AnswerError
from pipeline.evaluation import evaluate
from pipeline.merging import merge
from pipeline.schema import TaskSchema, close, parse
from tests.benchmarks.results import Answer
from tests.benchmarks.workloads import Workload, types_of


def is_valid(schema: TaskSchema, text: str) -> bool:
    """Whether the text, as it stands, is JSON that the schema takes."""
    try:
        parse(schema, text)
    except AnswerError:
        return False
    return True


def extraction(schema: TaskSchema, answer: Answer) -> Extraction:
    """The values of an answer; of one that was cut, what had been finished, by the same rule for everybody."""
    try:
        return Extraction(answer.key, parse(schema, answer.text))
    except AnswerError:
        pass
    try:
        closed = close(schema, _compact(answer.text))
    except AnswerError:
        return Extraction(answer.key, {})
    return Extraction(answer.key, closed.values, closed.cut)


def records(workload: Workload, answers: Sequence[Answer], wanted: Collection[str]) -> dict[str, dict[str, object]]:
    """One record a document: its chunks merged as nightdesk merges them, its tasks side by side."""
    chunks = {question.key: question.chunk for question in workload.questions}
    found: dict[str, dict[str, object]] = {}
    for one in workload.documents:
        if one.id not in wanted:
            continue
        values: dict[str, object] = {}
        for number, task in enumerate(workload.tasks):
            mine = sorted(
                (a for a in answers if a.document == one.id and a.task == number), key=lambda answer: answer.chunk
            )
            answered = [(chunks[a.key], extraction(task.schema, a)) for a in mine]
            values |= merge(one.document, task.name, task.schema.root, answered).values
        found[one.id] = values
    return found


def micro_f1(workload: Workload, answers: Sequence[Answer], wanted: Collection[str]) -> float | None:
    """Letters and digits against the labels, every value counted alike; None where nothing is labelled."""
    gold = [one.gold for one in workload.documents if one.id in wanted and one.gold.fields]
    if not gold:
        return None
    predicted: Mapping[str, Mapping[str, object]] = records(workload, answers, wanted)
    return evaluate(gold, predicted, types_of(workload), samples=1).micro.normalised.f1


def _compact(text: str) -> str:
    """White space between values as our own answers have it, so that a rival's cut answer can be closed as well."""
    out: list[str] = []
    inside = escaped = False
    for character in text.strip() if not text.strip().endswith("\\") else text.strip()[:-1]:
        if inside:
            out.append(character)
            inside = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            inside = True
            out.append(character)
        elif character in ",:":
            out.append(f"{character} ")
        elif not character.isspace():
            out.append(character)
    return "".join(out).rstrip(" ") if not inside else "".join(out)

"""The four workloads: documents with labels, tasks, and the questions in the order everybody is asked them.

W1   short receipts, flat schema, three examples
W2   invoices with many line items, one example
W3   three example-free tasks on the same documents; the document stands first, so that tasks can share it
W3a  the same, each task by itself with its instructions first
W4   contracts of several chunks, one example

Public documents come from $NIGHTDESK_TEST_DATA/kie; without it, our own samples take their place.
An example or a warm-up document is never scored. The warm-up asks each task once, for a few tokens.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import readers
from pipeline.chunking import chunk
from pipeline.data import Chunk, Document, Page
from pipeline.errors import SchemaError
from pipeline.evaluation import Gold, load_gold, value_types
from pipeline.finders import ValueType
from pipeline.models import TokenizerLike
from pipeline.prompting import Example, Task, load_task
from pipeline.schema import TaskSchema, check_example, render

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TASKS = HERE / "tasks"
NAMES = ("W1", "W2", "W3", "W3a", "W4")
LEAST_W3 = 1500  # tokens
MOST_W4 = 6500  # tokens: the demo model is trained for 8,192 positions, and few documents must not fill the cell
EXAMPLES_W1 = 3
WARM_UP = 16  # output tokens of each warm-up answer: enough to load, compile and cache
GROUP_W3A = 4  # so that a rival keeps a task's instructions in its cache for four documents


@dataclass(frozen=True, slots=True)
class Labelled:
    """A document, and what is right about it."""

    id: str
    document: Document = field(repr=False)
    gold: Gold


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt: a task about a chunk."""

    document: str  # its id
    task: int
    chunk: Chunk
    most: int  # output tokens

    @property
    def key(self) -> str:
        """Its name in results, and the work key."""
        return f"{self.document}/{self.task}/{self.chunk.index}"


@dataclass(frozen=True, slots=True)
class Workload:
    """What everybody is asked, in order. `warm_up` is asked first and counts for nothing."""

    name: str
    source: str
    tasks: tuple[Task, ...]
    documents: tuple[Labelled, ...]
    questions: tuple[Question, ...]
    warm_up: tuple[Question, ...]

    def pointed(self) -> Workload:
        """The same tasks with schemas whose strings are held to the document."""
        tasks = tuple(dataclasses.replace(task, schema=pointed_schema(task)) for task in self.tasks)
        return dataclasses.replace(self, tasks=tasks)


def pointed_schema(task: Task) -> TaskSchema:
    """The extractive twin of a benchmark task's schema."""
    return TaskSchema.load(task.path.with_suffix(".pointed.json"))


def types_of(workload: Workload) -> dict[str, ValueType]:
    """How values are compared: those of the pointed schemas."""
    return {name: kind for task in workload.tasks for name, kind in value_types(pointed_schema(task).root).items()}


def messages(task: Task, text: str) -> list[dict[str, str]]:
    """The prompt as rivals are given it: the same turns that `PromptBuilder` lays out, the same words."""
    if task.options.document_first:
        return [{"role": "user", "content": f"{text.strip()}\n\n{task.instructions}"}]
    turns = [{"role": "system", "content": task.instructions}]
    for example in task.examples:
        turns += [{"role": "user", "content": example.text}, {"role": "assistant", "content": example.answer}]
    return [*turns, {"role": "user", "content": text.strip()}]


def load(name: str, tokenizer: TokenizerLike, limit: int | None = None, *, data: Path | None = None) -> Workload:
    """The workload of this name, cut to `limit` scored documents."""
    data = data or (Path(os.environ["NIGHTDESK_TEST_DATA"]) if os.environ.get("NIGHTDESK_TEST_DATA") else None)
    kie = data / "kie" if data else None
    match name:
        case "W1":
            found, source = _labelled(kie, "sroie", "receipts")
            task = load_task(str(TASKS / "receipts.toml"))
            examples, found = _take_examples(task, found, EXAMPLES_W1)
            tasks = [dataclasses.replace(task, examples=examples)]
        case "W2":
            found, source = _labelled(None, "", "invoices")
            tasks = [load_task(str(TASKS / "invoices.toml"))]
        case "W3" | "W3a":
            found, source = _labelled(kie, "kleister-nda", "contracts")
            tasks = [load_task(str(TASKS / f"{each}.toml")) for each in ("parties", "law", "duration")]
            found = _long_enough(found, tasks[0], tokenizer)
            if name == "W3a":
                options = tasks[0].options.model_copy(update={"document_first": False})
                tasks = [dataclasses.replace(task, options=options) for task in tasks]
        case "W4":
            found, source = _labelled(kie, "kleister-nda", "contracts")
            task = load_task(str(TASKS / "contracts.toml"))
            if kie is None:  # our own contracts are shorter
                options = task.options.model_copy(update={"chunk_tokens": 400, "overlap_tokens": 40})
                task = dataclasses.replace(task, options=options)
            tasks = [task]
            lengths = {one.id: tokenizer.count(one.document.text) for one in found}
            found = [one for one in found if task.options.chunk_tokens < lengths[one.id] <= MOST_W4]
        case _:
            raise ValueError(f"there is no workload {name}; there are {', '.join(NAMES)}")
    warm, scored = found[-1], found[:-1][:limit]
    return Workload(
        name,
        source,
        tuple(tasks),
        tuple(scored),
        tuple(_questions(name, tasks, scored, tokenizer)),
        tuple(_warming(_questions(name, tasks, [warm], tokenizer))),
    )


def _questions(
    name: str, tasks: Sequence[Task], documents: Sequence[Labelled], tokenizer: TokenizerLike
) -> Iterator[Question]:
    """Document by document, all its tasks; where tasks go by themselves, task by task over a few documents."""
    group = GROUP_W3A if name == "W3a" else 1
    for first in range(0, len(documents), group):
        for number, task in enumerate(tasks):
            for one in documents[first : first + group]:
                chunks = _chunks(one.document, task, tokenizer)
                if name in ("W3", "W3a"):
                    chunks = chunks[:1]  # the opening says who, when and for how long
                yield from (Question(one.id, number, piece, task.options.max_answer_tokens) for piece in chunks)


def _warming(questions: Iterable[Question]) -> Iterator[Question]:
    """The first of each task, answered for a few tokens."""
    seen: set[int] = set()
    for question in questions:
        if question.task not in seen:
            seen.add(question.task)
            yield dataclasses.replace(question, most=min(question.most, WARM_UP))


def _chunks(document: Document, task: Task, tokenizer: TokenizerLike) -> list[Chunk]:
    options = task.options
    return chunk(document, budget=options.chunk_tokens, overlap=options.overlap, count=tokenizer.count)


def _labelled(kie: Path | None, public: str, own: str) -> tuple[list[Labelled], str]:
    """The public documents where they are, else our samples of that kind; in the order of their labels."""
    labels = kie / public / "gold.jsonl" if kie else ROOT / "samples" / "gold" / f"{own}.jsonl"
    golds = load_gold(labels)
    if not kie:
        golds = tuple(_renamed(gold) for gold in golds)
    found = [Labelled(gold.id, readers.read_file(labels.parent / gold.file), gold) for gold in golds]
    return found, f"kie/{public}" if kie else f"samples/{own}"


def _renamed(gold: Gold) -> Gold:
    """Our contracts call two fields otherwise than the public labels do."""
    names = {"governing_law": "jurisdiction", "parties": "party"}
    fields = {names.get(name, name): value for name, value in gold.fields.items()}
    if "jurisdiction" in fields and "date" in fields:
        fields["effective_date"] = fields.pop("date")
    return dataclasses.replace(gold, fields=fields)


def _take_examples(task: Task, found: list[Labelled], wanted: int) -> tuple[tuple[Example, ...], list[Labelled]]:
    """The first documents whose labels stand in their text become examples; the rest is scored."""
    schema, taken = pointed_schema(task), set()
    examples: list[Example] = []
    for one in found:
        if len(examples) == wanted:
            break
        try:
            check_example(schema, one.gold.fields, one.document.text)
        except SchemaError:
            continue
        examples.append(Example(one.document.text.strip(), render(task.schema, one.gold.fields)))
        taken.add(one.id)
    return tuple(examples), [one for one in found if one.id not in taken]


def _long_enough(found: list[Labelled], task: Task, tokenizer: TokenizerLike) -> list[Labelled]:
    """The documents whose first chunk has LEAST_W3 tokens; where there are few, short ones are joined."""
    long = [one for one in found if _chunks(one.document, task, tokenizer)[0].tokens >= LEAST_W3]
    if len(long) > 2:
        return long
    joined: list[Labelled] = []
    text = ""
    for one in found:
        text = f"{text}\n\n{one.document.text}".strip()
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        document = Document(sha256, text, (Page(1, 0, len(text)),), "joined", "1")
        if _chunks(document, task, tokenizer)[0].tokens >= LEAST_W3:
            name = f"joined-{len(joined) + 1}"
            joined.append(Labelled(name, document, Gold(name, {})))  # no labels for a mixture
            text = ""
    return joined

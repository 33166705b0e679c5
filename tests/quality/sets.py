"""The labelled sets and the tasks over them: what is asked, in which form, of which documents, with which examples.

A task's file in `tasks/` says what its fields are. Texts are not in it: examples are made at run time from documents of
the set, which are then not scored. Labels that are not verbatim (dates, amounts) become the words that stand there.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from pipeline.data import Document
from pipeline.evaluation import Gold, load_fields, load_gold, value_types
from pipeline.evaluation.matching import is_right
from pipeline.grounding import ground
from pipeline.prompting import Task, load_task
from pipeline.readers.request import Request, answer
from pipeline.schema import Choice, Extractive, Field, List, Node, Object, TaskSchema, Text, ValueType, fold

ROOT = Path(__file__).resolve().parents[2]
TASKS = Path(__file__).with_name("tasks")
Form = Literal["free", "extractive", "typed"]
FORMS: tuple[Form, ...] = get_args(Form)
SETS = ("sroie", "us-addresses", "references", "einvoice", "invoices", "kleister-nda", "invoice2data", "muc4", "pii")


def test_data() -> Path:
    """Where the labelled sets lie."""
    return Path(os.environ["NIGHTDESK_TEST_DATA"])


@dataclass(frozen=True)
class Set:
    """A set with its task. `names` are the labels' names of the task's fields, `types` what values are compared as."""

    name: str
    folder: Path  # that the labels' files are seen from
    gold: tuple[Gold, ...]  # without the examples
    schema: Object  # typed
    types: Mapping[str, ValueType]
    names: Mapping[str, str]
    instructions: str
    options: Mapping[str, object]
    examples: tuple[tuple[str, dict[str, object]], ...]

    @property
    def task_name(self) -> str:
        return self.name.replace("-", "_")

    def path(self, gold: Gold) -> Path:
        return (self.folder / gold.file).resolve()

    def write(self, form: Form, folder: Path) -> Path:
        """The task in one form, as files; its task file."""
        for name in ("prompts", "schemas"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        schema = TaskSchema(as_form(self.schema, form))
        (folder / "schemas" / f"{self.task_name}.json").write_text(schema.json_schema, "utf-8")
        lines = [f"instructions = {_toml(self.instructions)}"]
        for number, (text, values) in enumerate(self.examples):
            (folder / "prompts" / f"{number}.json").write_text(json.dumps(values), "utf-8")
            lines += ["[[examples]]", f"text = {_toml(text)}", f'answer = "{number}.json"']
        lines += ["[options]", *(f"{key} = {json.dumps(value)}" for key, value in self.options.items())]
        file = folder / "prompts" / f"{self.task_name}.toml"
        file.write_text("\n".join(lines) + "\n", "utf-8")
        return file

    def renamed(self, values: Mapping[str, object]) -> dict[str, object]:
        """A record with the labels' names."""
        return {self.names.get(name, name): value for name, value in values.items()}


def load(name: str) -> Set:
    """The set of this name; reads its documents to choose examples."""
    about = tomllib.loads((TASKS / f"{name}.toml").read_text("utf-8"))
    if "samples" in about:
        return _own_samples(about["samples"])
    folder = test_data() / "kie" / about["data"]
    fields: dict[str, dict[str, object]] = about["fields"]
    names = {field: str(spec.get("gold", field)) for field, spec in fields.items()}
    gold = load_gold(folder / "gold.jsonl")
    source = load(about["examples_from"]) if "examples_from" in about else None
    schema = Object(tuple(_field(field, spec) for field, spec in fields.items()))
    if source is None:
        chosen = _choose_examples(folder, gold, schema, names, about["examples"], about["example_chars"])
        examples = tuple((text, values) for _, text, values in chosen)
        gold = tuple(one for one in gold if one.id not in {used for used, _, _ in chosen})
    else:
        theirs = {str(spec.get("as", field)): field for field, spec in fields.items()}
        examples = tuple(
            (text, {theirs[name]: value for name, value in values.items() if name in theirs})
            for text, values in source.examples
        )
    types = load_fields(folder / "fields.json")
    return Set(
        name,
        folder,
        gold,
        schema,
        {label: types.get(label, "text") for label in names.values()},
        names,
        about["instructions"].strip(),
        about["options"],
        examples,
    )


def _own_samples(name: str) -> Set:
    """A task that ships, over the project's own samples."""
    task: Task = load_task(str(ROOT / "prompts" / f"{name}.toml"))
    gold = load_gold(ROOT / "samples" / "gold" / f"{name}.jsonl")
    return Set(
        name,
        ROOT / "samples" / "gold",
        gold,
        task.schema.root,
        value_types(task.schema.root),
        {},
        task.instructions,
        task.options.model_dump(exclude_none=True),
        tuple((example.text, json.loads(example.answer)) for example in task.examples),
    )


def as_form(node: Object, form: Form) -> Object:
    """The schema with its pointers: none; into the text; at spans of their types, lines and in order."""
    made = _as_form(node, form)
    assert isinstance(made, Object)
    return made


def _as_form(node: Node, form: Form) -> Node:
    if form == "typed":
        return node
    match node:
        case Object():
            fields = tuple(replace(f, node=_as_form(f.node, form)) for f in node.fields)
            return replace(node, fields=fields, within=None)
        case List():
            return replace(node, items=_as_form(node.items, form), in_order=False, within=None)
        case Text(extractive=Extractive()):
            return replace(node, type="text", extractive=Extractive() if form == "extractive" else None)
    return node


def _field(name: str, spec: Mapping[str, object]) -> Field:
    if "choice" in spec:
        return Field(name, Choice(tuple(spec["choice"])), nullable=True)
    type, unit = spec.get("type", "text"), spec.get("unit", "word")
    near, one_of = (tuple(spec.get(key, ())) for key in ("near", "one_of"))
    text = Text(max_length=spec["max"], type=type, extractive=Extractive(type, unit, near, one_of or None))
    if "list" in spec:
        return Field(name, List(text, max_items=spec["list"], in_order=True), merge="union")
    return Field(name, text, nullable=True)


# -- examples ---------------------------------------------------------------------------------------------------


Candidate = tuple[str, str, dict[str, object], bool]
"""A document's id, its text, its labels as they stand there, and whether the text is whole."""


def _choose_examples(
    folder: Path, gold: tuple[Gold, ...], schema: Object, names: Mapping[str, str], wanted: int | list[str], chars: int
) -> list[tuple[str, str, dict[str, object]]]:
    """Documents that show every labelled value: those that are named, or a few that together show the fields."""
    candidates: list[Candidate] = []
    for one in gold:
        if isinstance(wanted, list) and one.id not in wanted:
            continue
        text = read(folder / one.file).text.strip()
        whole = len(text) <= chars
        text = text if whole else text[: text.rfind("\n", 0, chars) if "\n" in text[:chars] else chars]
        values, missing = _answer(one, text, schema, names)
        lists = {member.name for member in schema.fields if isinstance(member.node, List)}
        # A beginning need not hold everything, but what it holds of a list must be all of it.
        complete = not missing if whole else not lists & {*missing}
        if complete and any(values.values()):
            candidates.append((one.id, text, values, whole))
    if any(whole for *_, whole in candidates):
        candidates = [candidate for candidate in candidates if candidate[3]]
    if isinstance(wanted, list):
        assert len(candidates) == len(wanted), "an example lacks a labelled value"
        return [candidate[:3] for candidate in sorted(candidates, key=lambda one: wanted.index(one[0]))]
    typical = sum(map(_filled, candidates)) / max(len(candidates), 1)
    chosen: list[Candidate] = []
    while candidates and len(chosen) < wanted:
        best = max(candidates, key=partial(_worth, chosen=chosen, typical=typical))
        candidates.remove(best)
        chosen.append(best)
    return [candidate[:3] for candidate in chosen]


def _worth(candidate: Candidate, chosen: list[Candidate], typical: float) -> tuple[float, ...]:
    """New fields first; then a usual number of them; then values unlike those of the others; then short."""
    shown = {name for _, _, values, _ in chosen for name, value in values.items() if value}
    said = [value for _, _, values, _ in chosen for value in values.values()]
    new = {name for name, value in candidate[2].items() if value} - shown
    fresh = sum(value not in said for value in candidate[2].values() if value)
    return (len(new), 0 if new else -abs(_filled(candidate) - typical), fresh, -len(candidate[1]))


def _filled(candidate: Candidate) -> int:
    return sum(bool(value) for value in candidate[2].values())


def _answer(gold: Gold, text: str, schema: Object, names: Mapping[str, str]) -> tuple[dict[str, object], list[str]]:
    """The labels as they stand in the text, and the fields of which a value does not."""
    values: dict[str, object] = {}
    missing: list[str] = []
    for member in schema.fields:
        label = gold.fields.get(names[member.name])
        if isinstance(member.node, Choice):
            values[member.name] = label if label in member.node.values else None
        elif isinstance(member.node, List):
            labels = label if isinstance(label, list) else [] if label is None else [label]
            assert isinstance(member.node.items, Text)
            places = [_verbatim(one, member.node.items, text) for one in labels]
            missing += [member.name] * places.count(None)
            values[member.name] = [quote for _, quote in sorted({place for place in places if place is not None})]
        else:
            assert isinstance(member.node, Text)
            place = None if label is None else _verbatim(label, member.node, text)
            if label is not None and place is None:
                missing.append(member.name)
            values[member.name] = None if place is None else place[1]
    return values, missing


def _verbatim(label: object, node: Text, text: str) -> tuple[int, str] | None:
    """Where a label stands in the text, and in which words."""
    document = Document("", text, (), "", "")
    schema = Object((Field("v", replace(node, max_length=None)),))
    for one in label["any_of"] if isinstance(label, Mapping) else [label]:
        for piece in ground({"v": str(one)}, schema, document):
            if piece.start is None:
                continue
            quote = fold(piece.quote).text
            if len(quote) <= (node.max_length or len(quote)) and is_right(label, quote, node.type)[1]:
                return piece.start, quote
    return None


def read(path: Path) -> Document:
    """The document, read in this process."""
    return answer(Request(str(path)))


def _toml(text: str) -> str:
    """A JSON string is a TOML string but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


# -- what labels and values are worth ---------------------------------------------------------------------------


def gold_values(gold: Gold, names: set[str]) -> Iterator[object]:
    """Each labelled value of the fields that the task asks for."""
    for name, label in gold.fields.items():
        if name in names:
            yield from _values(label)


def _values(label: object) -> Iterator[object]:
    if isinstance(label, list):
        for one in label:
            yield from _values(one)
    elif isinstance(label, Mapping) and "any_of" not in label:
        for one in label.values():
            yield from _values(one)
    elif label is not None:
        yield label

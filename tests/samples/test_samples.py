"""The samples: every document is labelled, every label stands in its document, and nothing is scored twice."""

import functools
import json
import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.config import Job
from pipeline.data import Document
from pipeline.finders import find
from pipeline.prompting import load_task
from pipeline.readers import read_file
from pipeline.schema import List, Node, Object, Text, fold, render
from tests.grammars.pointed import accepts

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples"
TASKS = ("receipts", "invoices", "contracts", "mail")
LABELS = [
    pytest.param(task, json.loads(line), id=json.loads(line)["id"])
    for task in TASKS
    for line in (SAMPLES / "gold" / f"{task}.jsonl").read_text("utf-8").splitlines()
]


def document(label: dict) -> Document:
    return read((SAMPLES / "gold" / label["file"]).resolve())


@functools.cache
def read(path: Path) -> Document:
    return read_file(path)


@functools.cache
def folded(path: Path) -> str:
    return fold(read(path).text).text


@functools.cache
def task_of(name: str):
    return load_task(str(ROOT / "prompts" / f"{name}.toml"))


def alternatives(value: object) -> Iterator[object]:
    """Every way to say a label: each alternative of one `any_of`, the first of the others."""
    if isinstance(value, dict) and set(value) == {"any_of"}:
        for one in value["any_of"]:
            yield from alternatives(one)
    elif isinstance(value, dict):
        whole = {key: next(alternatives(inner)) for key, inner in value.items()}
        yield from ({**whole, key: one} for key, inner in value.items() for one in alternatives(inner))
    elif isinstance(value, list):
        whole = [next(alternatives(inner)) for inner in value]
        yield whole
        yield from ([*whole[:i], one, *whole[i + 1 :]] for i, inner in enumerate(value) for one in alternatives(inner))
    else:
        yield value


def copied(node: Node, value: object) -> Iterator[str]:
    """The values of extractive fields."""
    if isinstance(node, Object) and isinstance(value, dict):
        for field in node.fields:
            yield from copied(field.node, value[field.name])
    elif isinstance(node, List) and isinstance(value, list):
        for item in value:
            yield from copied(node.items, item)
    elif isinstance(node, Text) and node.extractive and isinstance(value, str):
        yield value


def long_lines(text: str) -> set[str]:
    """Lines that say something, with their digits blotted out."""
    lines = (re.sub(r"\d", "#", fold(line).text.casefold()) for line in text.splitlines())
    return {line for line in lines if sum(char.isalpha() for char in line) >= 24}


@pytest.mark.parametrize(("task", "label"), LABELS)
def test_every_label_fits_the_schema_and_stands_in_the_document(task, label):
    schema = task_of(task).schema
    text = folded((SAMPLES / "gold" / label["file"]).resolve())
    for fields in alternatives(label["fields"]):
        render(schema, fields)
        missing = [value for value in copied(schema.root, fields) if fold(value).text not in text]
        assert not missing


@pytest.mark.parametrize(("task", "label"), [one for one in LABELS if one.values[0] == "invoices"])
def test_the_line_items_of_an_invoice_add_up_to_an_amount_on_it(task, label):
    def amounts(text: str) -> list[Decimal]:
        return [Decimal(span.value) for span in find(text, "money")]

    total = sum((amounts(item["amount"])[0] for item in label["fields"]["items"]), Decimal())
    assert total in amounts(document(label).text)


@pytest.mark.parametrize("task", TASKS)
def test_every_sample_has_one_label_and_every_label_a_sample(task):
    labels = [label.values[1] for label in LABELS if label.values[0] == task]
    files = sorted(path.name for path in (SAMPLES / task).iterdir())
    assert sorted(Path(label["file"]).name for label in labels) == files
    assert [label["file"] for label in labels] == [f"../{task}/{Path(label['file']).name}" for label in labels]
    assert [label["id"] for label in labels] == [Path(label["file"]).stem for label in labels]


def test_an_id_names_one_document():
    ids = [label.values[1]["id"] for label in LABELS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("task", TASKS)
def test_the_answers_of_the_examples_are_answers_that_the_grammar_takes(task):
    for example in task_of(task).examples:
        assert accepts(task_of(task).schema, example.text, example.answer)


def test_no_scored_document_is_an_example():
    examples = [fold(example.text).text for task in TASKS for example in task_of(task).examples]
    answers = {value for task in TASKS for example in task_of(task).examples for value in names(example.answer)}
    for label in LABELS:
        text = folded((SAMPLES / "gold" / label.values[1]["file"]).resolve())
        assert not [example for example in examples if example in text or text in example]
        assert not [value for value in answers if value in text]


def names(answer: str) -> set[str]:
    """What makes an example recognisable: its longer values, not "2" or "EUR"."""
    return {value for value in re.findall(r'"((?:[^"\\]|\\.)*)"', answer) if len(value) >= 20}


def test_no_two_documents_share_a_line():
    seen: dict[str, str] = {}
    for label in LABELS:
        for line in long_lines(document(label.values[1]).text):
            assert seen.setdefault(line, label.id) == label.id


def test_the_samples_are_many_and_varied():
    kinds = {Path(label.values[1]["file"]).suffix for label in LABELS}
    languages = {label.values[1]["lang"].partition("-")[0] for label in LABELS}
    assert len(LABELS) >= 48
    assert kinds == {".txt", ".md", ".html", ".eml", ".csv", ".pdf"}
    assert {"en", "pt", "de", "fr", "es", "ru", "ar", "ja", "hi"} <= languages


def test_every_sample_is_small():
    sizes = {path.name: path.stat().st_size for task in TASKS for path in (SAMPLES / task).iterdir()}
    assert max(sizes.values()) < 100_000


def test_the_readme_has_a_row_for_every_sample():
    rows = re.findall(r"^\| ([\w-]+\.\w+) \|", (SAMPLES / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(path.name for task in TASKS for path in (SAMPLES / task).iterdir())


def test_the_readme_counts_the_line_items_and_the_tasks():
    readme = (SAMPLES / "README.md").read_text("utf-8")
    for label in LABELS:
        fields, name = label.values[1]["fields"], Path(label.values[1]["file"]).name
        listed = fields.get("items", fields.get("actions"))
        if listed is not None:
            row = next(line for line in readme.splitlines() if line.startswith(f"| {name} |"))
            assert row.split("|")[4].strip() == str(len(listed))


def test_the_job_file_names_the_tasks_that_ship():
    job = Job.model_validate(tomllib.loads((SAMPLES / "night.toml").read_text("utf-8")))
    assert [one.task for one in job.tasks] == list(TASKS)
    assert all((SAMPLES / path).is_dir() for one in job.tasks for path in one.inputs)


@pytest.mark.model
@pytest.mark.parametrize(("task", "most"), [("receipts", 1300), ("invoices", 1600), ("contracts", 900), ("mail", 1300)])
def test_the_prefix_of_a_task_is_short(task, most):
    from pipeline.models.locate import find_model
    from pipeline.models.tokenizer import Tokenizer
    from pipeline.prompting import PromptBuilder

    builder = PromptBuilder(task_of(task), Tokenizer.load(find_model("demo")))
    assert len(builder.prefix.tokens) < most

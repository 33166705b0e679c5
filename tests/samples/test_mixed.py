"""The mixed folder: the same kind of receipts in other formats, each label in the text that the readers give."""

import json
from pathlib import Path

import pytest

from pipeline.data import Document
from pipeline.prompting import load_task
from pipeline.readers import read, read_file
from pipeline.schema import fold

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
LABELS = [json.loads(line) for line in (SAMPLES / "gold/mixed.jsonl").read_text("utf-8").splitlines()]


def document(label: dict) -> Document:
    path, *places = label["file"].split("!/")
    found = read_file((SAMPLES / "gold" / path).resolve())
    for place in places:
        attachment = found.attachments[int(place) - 1]
        found = read(attachment.content, attachment.name)
    return found


@pytest.mark.parametrize("label", LABELS, ids=lambda label: label["id"])
def test_every_label_stands_in_its_document(label):
    text = fold(document(label).text).text

    assert not [value for value in label["fields"].values() if fold(value).text not in text]


def test_every_file_of_the_mixed_folder_is_labelled_and_in_the_readme():
    files = {path.name for path in (SAMPLES / "mixed").iterdir()}
    readme = (SAMPLES / "README.md").read_text("utf-8")

    assert {Path(label["file"].partition("!/")[0]).name for label in LABELS} == files
    assert all(f"| mixed/{name} |" in readme for name in files)


def test_no_mixed_document_is_an_example():
    examples = load_task(str(SAMPLES.parent / "prompts/receipts.toml")).examples
    texts = [fold(document(label).text).text for label in LABELS]

    assert not [text for text in texts for example in examples if fold(example.text).text in text]


def test_what_was_deleted_or_hidden_is_not_read():
    texts = " ".join(document(label).text for label in LABELS)

    assert not [gone for gone in ("27.45", "cliente 0042", "nicht drucken", "48.80", "Rabatt") if gone in texts]

"""Receipts in other formats (samples/mixed, samples/formats): each label in the text that the readers give."""

import functools
import json
from pathlib import Path

import pytest

from pipeline import readers
from pipeline.data import Document
from pipeline.prompting import load_task
from pipeline.readers import ReadOptions, ocr, read, read_file
from pipeline.readers.folders import is_maildir
from pipeline.run.scans import joined
from pipeline.schema import fold
from pipeline.store import OcrPage

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
SCANS = {"tide-pool-cafe.jpg", "weir-cycle-works.pdf"}
PICTURES = {".png", ".tiff", ".webp", ".heic"}
FOUND = ocr.find()
LABELS, FORMATS = (
    [json.loads(line) for line in (SAMPLES / "gold" / name).read_text("utf-8").splitlines()]
    for name in ("mixed.jsonl", "formats.jsonl")
)
READABLE = [label for label in LABELS if FOUND or Path(label["file"]).name not in SCANS]


@functools.cache
def scan(path: Path) -> Document:
    """The document with each page as OCR reads it."""
    if FOUND is None:
        pytest.skip("tesseract is not here: apt install tesseract-ocr")
    found = read_file(path, ReadOptions(scans=True))
    asked = [ocr.OcrRequest(str(path), page.number, FOUND, ("eng",)) for page in found.pages]
    return joined(found, {one.page: OcrPage(ocr.answer(one).text) for one in asked}, {})


def document(label: dict) -> Document:
    path, *places = label["file"].split("!/")
    if Path(path).name in SCANS or Path(path).suffix in PICTURES:
        return scan((SAMPLES / "gold" / path).resolve())
    found = read_file((SAMPLES / "gold" / path).resolve())
    for place in places:
        attachment = found.attachments[int(place) - 1]
        found = read(attachment.content, attachment.name)
    return found


@pytest.mark.parametrize("label", [*LABELS, *FORMATS], ids=lambda label: label["id"])
def test_every_label_stands_in_its_document(label):
    text = fold(document(label).text).text

    assert not [value for value in label["fields"].values() if fold(value).text not in text]


@pytest.mark.parametrize(("folder", "labels"), [("mixed", LABELS), ("formats", FORMATS)], ids=["mixed", "formats"])
def test_every_file_of_a_folder_is_labelled_and_in_the_readme(folder, labels):
    files = {str(path.relative_to(SAMPLES)) for path in readers.walk([SAMPLES / folder])}
    readme = (SAMPLES / "README.md").read_text("utf-8")

    assert {label["file"].partition("!/")[0].removeprefix("../") for label in labels} == files
    assert all(f"| {name} |" in readme for name in files)


def test_every_format_has_a_sample():
    files = [path for path in readers.walk([SAMPLES]) if path.suffix in readers.suffixes()]
    pictures = {".png", ".jpg", ".tiff", ".webp", ".heic"}

    assert {_reader(path.name) for path in files} == {_reader(f"a{suffix}") for suffix in readers.suffixes()}
    assert {path.suffix for path in files} >= pictures | {".zip", ".tar", ".gz", ".7z", ".fodt", ".fods", ".fodp"}
    assert any(is_maildir(folder) for folder in SAMPLES.rglob("*"))


def _reader(name):
    return readers.version(name).split()[0]


def test_no_mixed_document_is_an_example():
    examples = load_task(str(SAMPLES.parent / "prompts/receipts.toml")).examples
    texts = [fold(document(label).text).text for label in READABLE]

    assert not [text for text in texts for example in examples if fold(example.text).text in text]


def test_what_was_deleted_or_hidden_is_not_read():
    texts = " ".join(document(label).text for label in READABLE)

    assert not [gone for gone in ("27.45", "cliente 0042", "nicht drucken", "48.80", "Rabatt") if gone in texts]


def test_every_mixed_document_is_small():
    assert max(path.stat().st_size for path in readers.walk([SAMPLES / "mixed", SAMPLES / "formats"])) < 300_000

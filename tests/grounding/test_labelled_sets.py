"""Labels of the public sets are traced to their documents: each that stands in the text by letters and digits."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from pipeline.data import Document, Found, Page
from pipeline.evaluation import load_gold
from pipeline.grounding import ground
from pipeline.schema import Field, List, Object, Text

SETS = ["sroie", "kleister-nda", "references", "us-addresses", "xquad", "pii", "muc4", "sgd"]
FLOORS = {"us-addresses": 0.99, "sgd": 0.97}  # "4" for "4:00 pm" is not traced


def squeeze(text: str) -> str:
    parted = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(char for char in parted if unicodedata.category(char)[0] in "LN")


def texts_of(label: object) -> list[str]:
    if isinstance(label, dict):
        return [text for text in label["any_of"] if isinstance(text, str)]
    if isinstance(label, list):
        return [text for item in label for text in texts_of(item)]
    return [label] if isinstance(label, str) else []


@pytest.mark.parametrize("name", SETS)
def test_labels_are_traced_to_where_they_stand(name) -> None:
    root = os.environ.get("NIGHTDESK_TEST_DATA")
    if not root:
        pytest.skip("NIGHTDESK_TEST_DATA names no folder with the public test data")
    schema = Object((Field("a", List(Text())),))
    traced = standing = 0
    lost = []
    for labels in load_gold(Path(root, "kie", name, "gold.jsonl"))[::3]:
        text = Path(root, "kie", name, labels.file).read_text(encoding="utf-8")
        document = Document("0" * 64, text, (Page(1, 0, len(text)),), "text", "1")
        values = [value for label in labels.fields.values() for value in texts_of(label)]
        for value, evidence in zip(values, ground({"a": values}, schema, document), strict=True):
            if squeeze(value) not in squeeze(text):
                continue
            standing += 1
            traced += evidence.start is not None
            if evidence.start is None:
                lost.append((labels.id, value))
            else:
                assert evidence.quote == text[evidence.start : evidence.end]
            if evidence.found in (Found.EXACT, Found.FOLDED):
                assert squeeze(evidence.quote) == squeeze(value)

    print(f"{name}: {traced} of {standing}", *lost, sep="\n  ")
    assert traced / standing >= FLOORS.get(name, 1)

"""Chunking with the demo model's own tokenizer, on texts in many scripts."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from pipeline.chunking import chunk
from pipeline.data import Document, Page
from pipeline.models.locate import find_model
from pipeline.models.tokenizer import Tokenizer


@pytest.mark.model
def test_chunks_keep_their_budget_by_the_model_s_own_count() -> None:
    root = os.environ.get("NIGHTDESK_TEST_DATA")
    if not root:
        pytest.skip("NIGHTDESK_TEST_DATA names no folder with the public test data")
    tokenizer = Tokenizer.load(find_model("demo"))
    paths = [
        path
        for name in ("xquad", "sroie", "kleister-nda")
        for path in sorted(Path(root, "kie", name, "docs").glob("*.txt"))
    ]

    for path in paths[::9]:
        text = path.read_text(encoding="utf-8")
        document = Document("0" * 64, text, (Page(1, 0, len(text)),), "text", "1")
        chunks = chunk(document, budget=200, overlap=30, count=tokenizer.count)

        assert all(piece.tokens == tokenizer.count(piece.text) <= 200 for piece in chunks)
        assert all(tokenizer.count(text[b.start : a.end]) <= 30 for a, b in itertools.pairwise(chunks))
        if len(chunks) > 1:
            assert sum(piece.tokens for piece in chunks) / len(chunks) > 120

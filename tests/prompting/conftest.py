"""Task files made on the spot, and the real vocabularies that llama.cpp's sources carry."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.models.tokenizer import Tokenizer
from pipeline.prompting import Task, load_task

SCHEMA = """
from typing import Annotated
from pydantic import BaseModel
from pipeline.schema import Extractive

class Bill(BaseModel):
    company: Annotated[str | None, Extractive()]
    total: Annotated[str, Extractive("money")]
"""

TASK = """
instructions = "Read the bill.\\nAnswer with JSON."

[[examples]]
text = "Corner Shop\\nTea 2.10\\nTotal 2.10"
answer = { company = "Corner Shop", total = "2.10" }

[[examples]]
text = "Padaria Avenida, Lda\\nTOTAL 4,50 €"
answer = { total = "4,50", company = "Padaria Avenida, Lda" }
"""


class Tasks:
    """A folder with prompts/ and schemas/, as a user would have it."""

    toml = TASK

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "prompts").mkdir()
        (folder / "schemas").mkdir()
        (folder / "schemas" / "bills.py").write_text(SCHEMA)

    def write(self, toml: str = TASK, name: str = "bills") -> Path:
        """A task file."""
        path = self.folder / "prompts" / f"{name}.toml"
        path.write_text(toml, encoding="utf-8")
        return path

    def load(self, toml: str = TASK) -> Task:
        """A task, written and read."""
        return load_task(str(self.write(toml)))


@pytest.fixture
def tasks(tmp_path: Path) -> Tasks:
    """A working folder with the schema `bills`."""
    return Tasks(tmp_path)


@pytest.fixture(scope="session")
def vocabularies() -> Path:
    """The folder of llama.cpp's vocabulary files (models/ in its sources)."""
    folder = os.environ.get("NIGHTDESK_VOCABS")
    if not folder:
        pytest.skip(
            "NIGHTDESK_VOCABS is not set: name a folder with llama.cpp's models/ggml-vocab-*.gguf "
            "(vendor/llama.cpp/models in llama-cpp-python's sdist)"
        )
    return Path(folder)


@pytest.fixture(
    scope="session",
    params=[
        ("command-r", None),
        ("deepseek-coder", "plain"),
        ("deepseek-llm", "deepseek"),
        ("falcon", "plain"),
        ("gemma-4", None),
        ("gpt-2", "plain"),
        ("gpt-neox", "alpaca"),
        ("llama-bpe", "llama3"),
        ("llama-spm", "alpaca"),
        ("llama-spm", "llama2"),
        ("llama-spm", "mistral"),
        ("llama-spm", "vicuna"),
        ("mpt", "chatml"),
        ("phi-3", None),
        ("phi-3", "phi"),
        ("qwen2", "chatml"),
        ("qwen35", None),
        ("starcoder", "plain"),
    ],
    ids=lambda pair: "-".join(filter(None, pair)),
)
def family(request: pytest.FixtureRequest, vocabularies: Path) -> tuple[Tokenizer, str | None]:
    """A real vocabulary and the name of its prompt format (None: the file's own template)."""
    name, form = request.param
    path = vocabularies / f"ggml-vocab-{name}.gguf"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return Tokenizer.load(path), form

"""Fuzzes what takes other people's bytes, with atheris: python tests/fuzz/fuzz.py TARGET FOLDER [-option ...]

FOLDER keeps the inputs that reached something new. Options are libFuzzer's (-max_total_time=60). What a target may
raise is what its room promises to raise; anything else is a finding and is written to the working directory.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pipeline"]):
    from pipeline import readers
    from pipeline.engines.sizes import Sizes
    from pipeline.errors import ModelFileError, ReadError, SchemaError, UserError
    from pipeline.models.gguf import check_model
    from pipeline.models.memory import estimate
    from pipeline.prompting import load_task
    from pipeline.schema import TaskSchema

_FOLDER = Path(tempfile.mkdtemp(prefix="nightdesk-fuzz-", dir=os.environ.get("TMPDIR")))
_SUFFIXES = readers.suffixes()


def read(data: bytes) -> None:
    """The first byte says which format the rest claims to be."""
    try:
        document = readers.read(data[1:], f"file{_SUFFIXES[data[0] % len(_SUFFIXES)]}" if data else "file.txt")
    except ReadError:
        return
    edges = [page.start for page in document.pages] + [len(document.text)]
    assert edges[0] == 0
    assert edges == sorted(edges)


def task(data: bytes) -> None:
    """A task file beside a schema that is in order."""
    file = _FOLDER / "prompts/fuzz.toml"
    file.write_bytes(data)
    try:
        load_task(str(file))
    except UserError:
        return


def schema(data: bytes) -> None:
    """A JSON Schema; one that is taken can be rendered."""
    file = _FOLDER / "fuzz.json"
    file.write_bytes(data)
    try:
        loaded = TaskSchema.load(file)
    except SchemaError:
        return
    assert loaded.json_schema


def gguf(data: bytes) -> None:
    """The header of a model file; of one that is taken the memory can be reckoned."""
    file = _FOLDER / "fuzz.gguf"
    file.write_bytes(data)
    try:
        header = check_model(file)
    except ModelFileError:
        return
    estimate(header, Sizes(1024, 4, 512, 8, 512, 1))


TARGETS: dict[str, Callable[[bytes], None]] = {"read": read, "task": task, "schema": schema, "gguf": gguf}

if __name__ == "__main__":
    for name in ("prompts", "schemas"):
        (_FOLDER / name).mkdir()
    (_FOLDER / "schemas/fuzz.json").write_text(
        '{"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"], "additionalProperties": false}'
    )
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()

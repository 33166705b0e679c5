"""Reading as a request to a worker process: what crosses to it and what it does."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.data import Document
from pipeline.errors import ReadError
from pipeline.readers import ReadOptions, read, read_file

TIMEOUT = 60.0  # seconds that one file may take
MEMORY = 1 << 30  # bytes that reading one file may need


@dataclass(frozen=True, slots=True)
class Request:
    """A file to read, or an attachment, whose bytes are given. `sha256`: what the file's bytes must have, if given."""

    name: str  # path of the file; of an attachment, the name that gives its suffix
    content: bytes | None = field(default=None, repr=False)
    options: ReadOptions = ReadOptions()
    sha256: str = ""


def answer(request: Request) -> Document:
    """Read what was asked for. Raises ReadError."""
    if request.content is None:
        document = read_file(Path(request.name), request.options)
        if request.sha256 not in ("", document.sha256):
            raise changed(request.name)
        return document
    return read(request.content, request.name, request.options)


def changed(name: str) -> ReadError:
    """What is said of a file whose bytes are not those that were looked at."""
    return ReadError(
        f"{name} was changed while it was read.",
        code="changed",
        hint="Run the same command again: it reads the file anew.",
    )

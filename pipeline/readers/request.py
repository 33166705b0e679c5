"""Reading as a request to a worker process: what crosses to it and what it does."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.data import Document
from pipeline.readers import ReadOptions, read, read_file

TIMEOUT = 60.0  # seconds that one file may take
MEMORY = 1 << 30  # bytes that reading one file may need


@dataclass(frozen=True, slots=True)
class Request:
    """A file to read, or an attachment, whose bytes are given."""

    name: str  # path of the file; of an attachment, the name that gives its suffix
    content: bytes | None = field(default=None, repr=False)
    options: ReadOptions = ReadOptions()


def answer(request: Request) -> Document:
    """Read what was asked for. Raises ReadError."""
    if request.content is None:
        return read_file(Path(request.name), request.options)
    return read(request.content, request.name, request.options)

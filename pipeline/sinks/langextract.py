"""The JSON Lines that langextract's viewer reads: a line a document with its text and its extractions in it.

`langextract.visualize("night.jsonl")` shows the first document, `langextract.io.load_annotated_documents_jsonl` gives
them all. Every value is an extraction, also those that stand nowhere; these have no place. A list item's fields share a
`group_index`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TextIO

from pipeline.data import Evidence
from pipeline.errors import UserError
from pipeline.sinks import Export


def write(export: Export, out: TextIO) -> int:
    """Write the documents; how many. Their text is part of it."""
    if export.table is not None or export.only_evidence:
        raise UserError(
            "langextract's form holds whole documents, not one table.",
            hint="Leave the table away, or use --format csv.",
        )
    count = 0
    for row, record in zip(export.store.rows(export.tables), export.store.records(export.task), strict=True):
        if not export.store.has_text(record.document):
            raise UserError(
                "langextract's form holds the documents' texts, which this database does not keep (--no-text).",
                hint="Use --format jsonl.",
            )
        evidence = {piece.path: piece for piece in record.evidence}
        groups: dict[str, int] = {}
        line = {
            "extractions": [
                _extraction(number, path, value, evidence.get(path), groups)
                for number, (path, value) in enumerate(_leaves(record.values, ""), start=1)
            ],
            "text": export.store.document(record.document).text,
            "document_id": row["file"] or record.document,
        }
        json.dump(line, out, ensure_ascii=False)
        out.write("\n")
        count += 1
    return count


def _leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]")
    elif value is not None:
        yield path, value


def _extraction(
    number: int, path: str, value: object, evidence: Evidence | None, groups: dict[str, int]
) -> dict[str, object]:
    text = value if isinstance(value, str) else json.dumps(value)
    placed = evidence if evidence is not None and evidence.start is not None else None
    group = groups.setdefault(re.sub(r"(\]).*", r"\1", path), len(groups))
    attributes = {"path": path}
    if evidence is not None:
        attributes["found"] = evidence.found.value
        if evidence.page is not None:
            attributes["page"] = str(evidence.page)
        if evidence.place is not None:
            attributes["place"] = evidence.place
        if evidence.confidence is not None:
            attributes["confidence"] = f"{evidence.confidence:.3f}"
    return {
        "extraction_class": re.sub(r"\[\d+\]", "", path),
        "extraction_text": text,
        "char_interval": None if placed is None else {"start_pos": placed.start, "end_pos": placed.end},
        "alignment_status": None if placed is None else _alignment(text, placed),
        "extraction_index": number,
        "group_index": group,
        "description": None,
        "attributes": attributes,
    }


def _alignment(text: str, evidence: Evidence) -> str:
    """langextract compares words and not their case or white space; what differs more is fuzzy to it."""
    return "match_exact" if text.lower().split() == evidence.quote.lower().split() else "match_fuzzy"

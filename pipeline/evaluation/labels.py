"""Labels: what a document's record should say, read from JSON lines; and the types of a task's fields."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UserError
from pipeline.finders import ValueType
from pipeline.schema import List, Node, Object, Text

_FIELD_TYPES: dict[str, ValueType] = {"date": "date", "number": "number", "money": "money"}


@dataclass(frozen=True, slots=True)
class Gold:
    """The labels of one document."""

    id: str
    fields: Mapping[str, object] = field(repr=False)
    file: str = ""
    lang: str = ""


def load_gold(path: Path) -> tuple[Gold, ...]:
    """Read labels: one JSON object a line, {"id": ..., "fields": {...}}, optionally "file" and "lang"."""
    found: dict[str, Gold] = {}
    for number, line in enumerate(_read(path).splitlines(), start=1):
        if not line.strip():
            continue
        row = _json(line, f"{path}, line {number}")
        if not isinstance(row, dict) or not isinstance(row.get("fields"), dict):
            raise UserError(f"{path}, line {number} has no `fields`.", hint='Write {"id": "...", "fields": {...}}.')
        name = str(row.get("id") or row.get("file") or "")
        if not name or name in found:
            what = f"has the id {name} again" if name else "has no `id`"
            raise UserError(f"{path}, line {number} {what}.", hint="Give every document an id of its own.")
        found[name] = Gold(name, row["fields"], str(row.get("file", "")), str(row.get("lang", "")))
    return tuple(found.values())


def load_fields(path: Path) -> dict[str, ValueType]:
    """Read a fields.json: {"total": {"type": "number"}, ...}. What is no date or number is text."""
    described = _json(_read(path), str(path))
    if not isinstance(described, dict):
        raise UserError(f"{path} is not an object of fields.", hint='Write {"total": {"type": "number"}}.')
    return {
        name: _FIELD_TYPES.get(str(about.get("type")) if isinstance(about, dict) else "", "text")
        for name, about in described.items()
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", hint="Check the path of the labels.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start}).", hint="Save it as UTF-8 text.") from error


def _json(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{where} is not JSON.", hint="Labels are one JSON object a line.") from error


def value_types(schema: Object) -> dict[str, ValueType]:
    """The types of a task's fields by the names used here: `total`, `items.price`."""
    return dict(_types(schema, ""))


def _types(node: Node, name: str) -> Iterator[tuple[str, ValueType]]:
    match node:
        case Object():
            for member in node.fields:
                yield from _types(member.node, f"{name}.{member.name}" if name else member.name)
        case List():
            yield from _types(node.items, name)
        case Text():
            yield name, node.type
        case _:
            yield name, "text"

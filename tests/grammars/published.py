"""Schemas with instances that nobody here wrote, and the independent validator that judges them."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import UnknownType
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

FILES = ("maskbench", "schemastore", "testsuite")


def folder() -> Path:
    """Where the schemas are."""
    root = os.environ.get("NIGHTDESK_TEST_DATA")
    if not root or not (Path(root) / "schemas").is_dir():
        pytest.skip("NIGHTDESK_TEST_DATA does not name the folder of test data (with schemas/)")
    return Path(root) / "schemas"


@dataclass(frozen=True)
class Published:
    """One schema and its marked instances."""

    id: str
    schema: Any
    marked: tuple[tuple[Any, bool], ...] = ()

    @property
    def instances(self) -> list[tuple[Any, bool]]:
        """Instances and whether they are valid; those left out that mark and validator judge differently."""
        return [(value, valid) for value, valid in self.marked if self.valid(value) is valid]

    @property
    def text(self) -> str:
        return json.dumps(self.schema, ensure_ascii=False)

    def valid(self, value: object) -> bool | None:
        """What the validator says; None where it cannot decide."""
        try:
            return _validator(self.schema).is_valid(value)
        except (Unresolvable, UnknownType, RecursionError, AttributeError, re.error):
            return None

    def rendered(self, value: object) -> str:
        """`value` as a decoder would write it: keys in the order of `properties`, whole numbers without a point."""
        return json.dumps(_ordered(_validator(self.schema), [self.schema], value), ensure_ascii=False)


@cache
def published() -> tuple[Published, ...]:
    """All of them, in the order of the files."""
    return tuple(_read())


def sample(count: int) -> list[Published]:
    """A fixed random sample."""
    return random.Random(20).sample(published(), count)


def _read() -> Iterator[Published]:
    for name in FILES:
        for line in (folder() / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            # Where `format` is an annotation by the test suite's mark, a decoder that asserts it is right too.
            tests = [test for test in row["tests"] if "only an annotation" not in test["description"]]
            yield Published(row["id"], row["schema"], tuple((test["data"], test["valid"]) for test in tests))


@cache
def _registry() -> Registry:
    rows = map(json.loads, (folder() / "testsuite-remotes.jsonl").read_text(encoding="utf-8").splitlines())
    return Registry().with_resources(
        (row["uri"], Resource.from_contents(row["schema"], default_specification=DRAFT202012)) for row in rows
    )


def _validator(schema: Any) -> Any:
    kind = validator_for(schema, default=Draft202012Validator) if isinstance(schema, dict) else Draft202012Validator
    return kind(schema, format_checker=kind.FORMAT_CHECKER, registry=_registry())


def _ordered(root: Any, schemas: list[Any], value: Any) -> Any:
    flat = [one for schema in schemas for one in _applying(root, schema, value, 8)]
    if isinstance(value, dict):
        named = [name for schema in flat for name in schema.get("properties", {}) if name in value]
        return {
            name: _ordered(root, list(_for_member(flat, name)), value[name]) for name in dict.fromkeys([*named, *value])
        }
    if isinstance(value, list):
        items = [schema.get("items") for schema in flat]
        flattened = [one for item in items for one in (item if isinstance(item, list) else [item])]
        return [_ordered(root, flattened, item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value


def _applying(root: Any, schema: Any, value: Any, depth: int) -> Iterator[dict[str, Any]]:
    """The schema objects that apply to `value`, as their keywords stand in the text."""
    if not isinstance(schema, dict) or not depth:
        return
    for keyword, said in schema.items():
        match keyword:
            case "properties":
                yield schema
            case "$ref":
                yield from _applying(root, _target(root.schema, said), value, depth - 1)
            case "allOf" | "anyOf" | "oneOf":
                for branch in said:
                    if keyword == "allOf" or _fits(root, branch, value):
                        yield from _applying(root, branch, value, depth - 1)
    if "properties" not in schema:
        yield schema


def _for_member(flat: list[dict[str, Any]], name: str) -> Iterator[Any]:
    for schema in flat:
        if name in schema.get("properties", {}):
            yield schema["properties"][name]
        else:
            yield schema.get("additionalProperties")
            yield from schema.get("patternProperties", {}).values()


def _fits(root: Any, branch: Any, value: Any) -> bool:
    try:
        return root.evolve(schema=branch).is_valid(value)
    except (Unresolvable, UnknownType, RecursionError, AttributeError, re.error):
        return True


def _target(root: Any, ref: str) -> Any:
    target = root
    for step in ref.partition("#")[2].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        target = target.get(name) if isinstance(target, dict) else None
    return target

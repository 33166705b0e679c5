"""Answers as text: the one rendering, parsing with an independent validator, and the check of examples.

Messages name paths and keywords, never values: an answer holds words of a document.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from functools import lru_cache

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from pipeline.errors import AnswerError, SchemaError
from pipeline.schema.folding import fold
from pipeline.schema.loading import TaskSchema
from pipeline.schema.nodes import ITEM_SEPARATOR, KEY_SEPARATOR, List, Node, Number, Object, Text

_LARGEST_WHOLE = 2**63  # SQLite's integers have 64 bits


def render(schema: TaskSchema, values: Mapping[str, object]) -> str:
    """The one way to write an answer: schema order, ", " and ": ", one line.

    A missing nullable field is null. Raises SchemaError naming the field where the values break the schema.
    """
    ordered = _ordered(schema.root, values, "")
    for error in _validator(schema.json_schema).iter_errors(ordered):
        raise SchemaError(f"{_said(error)}.", hint="Change the example, or the schema.")
    return dumps(ordered)


def parse(schema: TaskSchema, text: str) -> dict[str, object]:
    """The values of an answer, validated. Raises AnswerError naming the field, not its value."""
    try:
        values = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        # The decoder's message is dropped: it may quote the answer.
        raise AnswerError("The answer is not JSON.", hint="Raise the output budget, or see the raw answer.") from error
    broken = best_match(_validator(schema.json_schema).iter_errors(values))
    if broken is not None:
        raise AnswerError(f"{_said(broken)}.", hint="See the raw answer.")
    check_numbers(schema.root, values, "")
    return dict(values)


def check_numbers(node: Node, value: object, path: str) -> None:
    """AnswerError for a number that no column can hold: JSON's have no bounds, and small models write long ones."""
    match node, value:
        case Number(), int() | float():
            held = -_LARGEST_WHOLE <= value < _LARGEST_WHOLE if node.integer else abs(value) <= sys.float_info.max
            if not held:
                hint = "Give the field bounds in the schema, or make it a string."
                raise AnswerError(f"{path} is a number beyond what a table can hold.", hint=hint)
        case List(), list():
            for i, item in enumerate(value):
                check_numbers(node.items, item, f"{path}[{i}]")
        case Object(), dict():
            for field in node.fields:
                check_numbers(field.node, value.get(field.name), join(path, field.name))


def check_example(schema: TaskSchema, values: Mapping[str, object], source_text: str) -> str:
    """Render an example and check that every extractive value stands in its text, after folding.

    Extractive values are rendered folded, which is the one way that the grammar lets a model write them.
    """
    render(schema, values)
    folded = _folded(schema.root, _ordered(schema.root, values, ""))
    assert isinstance(folded, Mapping)  # noqa: S101 - what was rendered is an object
    text = render(schema, folded)
    source = fold(source_text).text
    for path in _missing(schema.root, folded, "", source):
        raise SchemaError(
            f"The extractive field {path} holds a value that does not stand in the example's text.",
            hint="Copy the value from the text character by character; line breaks count as spaces.",
        )
    return text


def dumps(value: object) -> str:
    """JSON with the fixed separators."""
    return json.dumps(value, ensure_ascii=False, separators=(ITEM_SEPARATOR, KEY_SEPARATOR), allow_nan=False)


def join(path: str, name: str) -> str:
    """`items[2]` and `price` are `items[2].price`."""
    return f"{path}.{name}" if path else name


@lru_cache(maxsize=64)
def _validator(json_schema: str) -> Draft202012Validator:
    schema = json.loads(json_schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def _ordered(node: Node, value: object, path: str) -> object:
    """`value` with its keys in schema order; extra keys and missing ones are refused here."""
    if isinstance(node, Object) and isinstance(value, Mapping):
        for name in value:
            if all(name != field.name for field in node.fields):
                raise SchemaError(f"{join(path, str(name))} is not a field of the schema.", hint=_known(node))
        out = {}
        for field in node.fields:
            if field.name not in value and not field.nullable:
                raise SchemaError(f"{join(path, field.name)} is missing.", hint="Every field is written.")
            out[field.name] = _ordered(field.node, value.get(field.name), join(path, field.name))
        return out
    if isinstance(node, List) and isinstance(value, list | tuple):
        return [_ordered(node.items, item, f"{path}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise SchemaError(f"{path} is a number that JSON cannot write.")
    return value


def _folded(node: Node, value: object) -> object:
    match node, value:
        case Text(), str() if node.extractive is not None:
            return fold(value).text
        case List(), list():
            return [_folded(node.items, item) for item in value]
        case Object(), dict():
            return {field.name: _folded(field.node, value[field.name]) for field in node.fields}
    return value


def _missing(node: Node, value: object, path: str, source: str) -> list[str]:
    match node, value:
        case Text(), str() if node.extractive is not None:
            return [path] if value not in source else []
        case List(), list():
            return [m for i, item in enumerate(value) for m in _missing(node.items, item, f"{path}[{i}]", source)]
        case Object(), dict():
            return [
                m
                for field in node.fields
                for m in _missing(field.node, value[field.name], join(path, field.name), source)
            ]
    return []


def _said(error: ValidationError) -> str:
    path = ""
    for step in error.absolute_path:
        path = f"{path}[{step}]" if isinstance(step, int) else join(path, str(step))
    if error.validator == "anyOf" and error.context:
        # The branch that is not null says what was expected.
        error = next((inner for inner in error.context if inner.validator_value != "null"), error)
    expected = error.validator_value
    shown = f" {expected}" if isinstance(expected, str | int | float) else ""
    return f"{path or 'The answer'} breaks `{error.validator}`{shown}"


def _known(node: Object) -> str:
    return f"Known: {', '.join(field.name for field in node.fields)}."


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key stands twice")
    return out


def _no_constant(name: str) -> object:
    raise ValueError(name)

"""Closing: whatever beginning of an answer there is, its end is valid and nothing in it is made up."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipeline.errors import AnswerError
from pipeline.schema import (
    Boolean,
    Choice,
    Extractive,
    Field,
    List,
    Number,
    Object,
    TaskSchema,
    Text,
    close,
    parse,
    render,
    shortest_answer,
)

NAMES = st.sampled_from(["a", "b", "total", 'quo"ted', "número", "x y", "items", "back\\slash"])
PATTERNS = ["^[A-Z]{2}[0-9]{2,4}$", "^(ab|c)+$", "[0-9]", "^$|^x{3}$", r"^\d{4}-\d{2}$", "é"]
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=6)
VALUES = st.one_of(WORDS, st.integers(-99, 99), st.booleans(), st.floats(-5, 5).map(lambda x: round(x, 2)))


@st.composite
def numbers(draw):
    low, high = sorted(draw(st.tuples(st.integers(-50, 50), st.integers(-50, 50))))
    integer = draw(st.booleans())
    bounds = draw(
        st.sampled_from([{}, {"minimum": low}, {"minimum": low, "maximum": high}, {"exclusive_minimum": low - 1}])
    )
    return Number(integer, **bounds)


@st.composite
def texts(draw):
    match draw(st.sampled_from(["free", "bounded", "pattern", "format", "extractive"])):
        case "bounded":
            low = draw(st.integers(0, 3))
            return Text(min_length=low, max_length=low + draw(st.integers(0, 4)))
        case "pattern":
            return Text(pattern=draw(st.sampled_from(PATTERNS)))
        case "format":
            return Text(format=draw(st.sampled_from(["date", "date-time", "email", "ipv4", "uuid"])))
        case "extractive":
            return Text(extractive=Extractive())
    return Text()


CHOICES = st.lists(VALUES, min_size=1, max_size=4, unique_by=lambda v: (isinstance(v, bool), v)).map(
    lambda values: Choice(tuple(values))
)
SCALARS = st.one_of(texts(), numbers(), st.just(Boolean()), CHOICES)


def objects(depth: int):
    inner = SCALARS if depth == 0 else st.one_of(SCALARS, objects(depth - 1), lists(depth - 1))
    fields = st.lists(st.tuples(NAMES, inner, st.booleans()), min_size=1, max_size=3, unique_by=lambda f: f[0])
    return fields.map(lambda fs: Object(tuple(_field(*f) for f in fs)))


def _field(name, node, nullable):
    return Field(name, node, nullable, merge="union" if isinstance(node, List) else "first")


def lists(depth: int):
    return st.builds(
        lambda items, low, more: List(items, low, None if more is None else low + more),
        st.one_of(SCALARS, objects(depth)),
        st.integers(0, 2),
        st.one_of(st.none(), st.integers(0, 2)),
    )


SCHEMAS = objects(2).map(TaskSchema)
EXAMPLES = {
    "date": "2024-02-29",
    "date-time": "2024-02-29T12:30:00Z",
    "email": "x.y@example.org",
    "ipv4": "10.0.0.1",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
}


def instances(node):
    match node:
        case Text(pattern=str() as pattern):
            return st.from_regex(re.compile(pattern, re.ASCII), fullmatch=False).filter(lambda t: len(t) < 20)
        case Text(format=str() as name):
            return st.just(EXAMPLES[name])
        case Text():
            high = node.max_length if node.max_length is not None else node.min_length + 5
            return st.text(st.characters(codec="utf-8"), min_size=node.min_length, max_size=high)
        case Number():
            low = node.minimum if node.minimum is not None else node.exclusive_minimum
            low = -100 if low is None else low + (node.exclusive_minimum is not None)
            high = 100 if node.maximum is None else node.maximum
            whole = st.integers(int(low), int(high))
            return whole if node.integer else st.one_of(whole, st.floats(low, high, allow_nan=False))
        case Boolean():
            return st.booleans()
        case Choice():
            return st.sampled_from(node.values)
        case List():
            high = node.min_items + 2 if node.max_items is None else node.max_items
            return st.lists(instances(node.items), min_size=node.min_items, max_size=high)
        case Object():
            return st.fixed_dictionaries(
                {
                    f.name: st.one_of(st.none(), instances(f.node)) if f.nullable else instances(f.node)
                    for f in node.fields
                }
            )


def _is_part(part, whole, path, cut):
    """Every value in `part` stands at the same place in `whole`; every None that is not there is cut."""
    if part is None:
        return whole is None or path in cut or any(c.startswith(f"{path}.") for c in cut)
    if isinstance(part, dict):
        return part.keys() == whole.keys() and all(
            _is_part(part[k], whole[k], f"{path}.{k}" if path else k, cut) for k in part
        )
    if isinstance(part, list):
        short = len(part) < len(whole) and path not in cut
        return not short and all(
            _is_part(p, w, f"{path}[{i}]", cut) for i, (p, w) in enumerate(zip(part, whole, strict=False))
        )
    return type(part) is type(whole) and part == whole


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_every_beginning_of_an_answer_closes_to_a_valid_one_with_nothing_made_up(data):
    schema = data.draw(SCHEMAS)
    values = data.draw(instances(schema.root))
    text = render(schema, values)
    validator = Draft202012Validator(json.loads(schema.json_schema), format_checker=Draft202012Validator.FORMAT_CHECKER)
    for at in range(len(text) + 1):
        closed = close(schema, text[:at])
        assert validator.is_valid(json.loads(closed.text)), (text[:at], closed.text)
        assert _is_part(closed.values, values, "", closed.cut), (text[:at], closed.values, closed.cut)
        assert parse(schema, closed.text) == json.loads(closed.text)
    assert closed.text == text
    assert closed.cut == ()
    assert closed.values == values


@given(SCHEMAS)
@settings(max_examples=60, deadline=None)
def test_the_shortest_answer_is_an_answer(schema):
    text = shortest_answer(schema)
    assert render(schema, parse(schema, text)) == text


@given(SCHEMAS)
@settings(max_examples=60, deadline=None)
def test_the_canonical_text_reads_back_as_the_same_schema(schema):
    again = TaskSchema.from_json(json.loads(schema.json_schema))
    assert again == schema
    assert again.hash == schema.hash


RECEIPT = TaskSchema.from_json(
    {
        "type": "object",
        "properties": {
            "total": {"type": "number"},
            "shop": {"type": ["string", "null"]},
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "price": {"type": "number"}},
                    "required": ["name", "price"],
                },
            },
        },
        "required": ["total", "shop", "items"],
    }
)


@pytest.mark.parametrize(
    ("prefix", "values", "cut"),
    [
        ("", {"total": None, "shop": None, "items": None}, ("total", "shop", "items")),
        ('{"total": 12', {"total": None, "shop": None, "items": None}, ("total", "shop", "items")),
        ('{"total": 12,', {"total": 12, "shop": None, "items": None}, ("shop", "items")),
        ('{"total": 12, "shop": null', {"total": 12, "shop": None, "items": None}, ("items",)),
        ('{"total": 12, "shop": "A\\', {"total": 12, "shop": None, "items": None}, ("shop", "items")),
        ('{"total": 12, "shop": "A", "items": []', {"total": 12, "shop": "A", "items": []}, ()),
        (
            '{"total": 12, "shop": "A", "items": [{"name": "x", "price": 1}, {"name": "y',
            {"total": 12, "shop": "A", "items": [{"name": "x", "price": 1}]},
            ("items",),
        ),
        (
            '{"total": 12, "shop": "A", "items": [{"name": "x", "price": 1',
            {"total": 12, "shop": "A", "items": [{"name": "x", "price": None}]},
            ("items[0].price", "items"),
        ),
    ],
)
def test_what_was_not_finished_is_none_and_named(prefix, values, cut):
    closed = close(RECEIPT, prefix)
    assert closed.values == values
    assert closed.cut == cut


@pytest.mark.parametrize("text", ["[", '{"shop"', '{"total": "x"', '{"total": 1, "shop": 2', '{"total": 1}', "x" * 40])
def test_the_beginning_of_something_else_is_refused(text):
    with pytest.raises(AnswerError):
        close(RECEIPT, text)

"""The normal form and the default grammar agree: what renders is accepted, what is decoded parses and renders back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.data import ConstraintSpec, Vocabulary
from pipeline.errors import AnswerError, SchemaError
from pipeline.grammars import grammar, outlines_core
from pipeline.schema import TaskSchema, parse, render, shortest_answer
from pipeline.schema.shortest import FORMATS

FIELDS = {
    "text": ({"type": "string", "maxLength": 9}, 'a "b" \\ é\n'[:9]),
    "pattern": ({"type": "string", "pattern": "^[A-Z]{2}[0-9]{3}$"}, "AB123"),
    "choice": ({"enum": ["a", 1, 2.5, True, None]}, 2.5),
    "small": ({"type": "number", "exclusiveMinimum": 0, "maximum": 1.5}, 0.25),
    "count": ({"type": ["integer", "null"], "minimum": -3}, None),
    "flag": ({"type": "boolean"}, False),
    "tags": ({"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3}, ["x", "y"]),
    "Näme (€)": ({"type": "object", "properties": {"in": {"type": "number"}}, "required": ["in"]}, {"in": -1.5}),
} | {f"f_{name}": ({"type": "string", "format": name}, value) for name, value in FORMATS.items()}
SCHEMA = TaskSchema.from_json(
    {"type": "object", "properties": {name: node for name, (node, _) in FIELDS.items()}, "required": list(FIELDS)}
)


def accepted(vocabulary: Vocabulary, text: str) -> bool:
    cursor = grammar("llguidance", vocabulary).compile(ConstraintSpec(SCHEMA.json_schema)).start()
    for token in vocabulary.encode(text.encode()):
        cursor.commit(token)
    return cursor.done()


def test_what_the_one_renderer_writes_is_what_the_grammar_enforces(byte_vocabulary):
    text = render(SCHEMA, {name: value for name, (_, value) in FIELDS.items()})
    assert accepted(byte_vocabulary, text)
    assert render(SCHEMA, parse(SCHEMA, text)) == text


def test_the_shortest_answer_is_one_the_grammar_allows(byte_vocabulary):
    assert accepted(byte_vocabulary, shortest_answer(SCHEMA))


@pytest.mark.parametrize("name", ["llguidance", "outlines_core"])
def test_a_refusal_names_the_keyword(name, byte_vocabulary):
    schema = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    with pytest.raises(SchemaError, match="uniqueItems"):
        grammar(name, byte_vocabulary).compile(ConstraintSpec(json.dumps(schema)))


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"type": "integer", "minimum": 1}, "minimum"),
        ({"type": "string", "format": "date"}, "format"),
        ({"type": "string", "pattern": "a"}, "pattern"),
        ({"type": "string", "pattern": "^.$"}, "pattern"),
        ({"type": "string", "pattern": "^a|b$"}, "pattern"),
        ({"type": "string", "pattern": "^a$", "maxLength": 2}, "pattern"),
        ({"type": "string", "maxLength": 99999}, "maxLength"),
        ({"type": "object", "properties": {"a": {"type": "null"}}}, "additionalProperties"),
        ({"allOf": [{"type": "string"}, {"type": "string"}]}, "allOf"),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, "oneOf"),
        ({"anyOf": [{"type": "string"}], "minLength": 1}, "minLength"),
        ({"$ref": "#"}, "$ref"),
        ({"enum": ['a"b']}, "enum"),
        ({"enum": [{}]}, "enum"),
        ({"const": 0.5}, "const"),
        ({"type": "array"}, "items"),
        ({}, "type"),
    ],
)
def test_outlines_core_gets_nothing_that_it_would_ignore_or_get_wrong(schema, keyword, byte_vocabulary):
    with pytest.raises(SchemaError) as error:
        grammar("outlines_core", byte_vocabulary).compile(ConstraintSpec(json.dumps(schema)))
    assert f"`{keyword}`" in error.value.message


def test_outlines_core_points_into_no_document(byte_vocabulary):
    node = {"type": "string", "x-nightdesk": {"extractive": True}}
    task = TaskSchema.from_json({"type": "object", "properties": {"a": node}})
    with pytest.raises(SchemaError, match="x-nightdesk"):
        grammar("outlines_core", byte_vocabulary).compile(ConstraintSpec(task.json_schema, "text"))


def test_a_schema_that_is_too_much_for_the_compiler_is_refused_not_fatal(byte_vocabulary, monkeypatch):
    monkeypatch.setattr(outlines_core, "_SECONDS", 2)
    inner: dict[str, object] = {"type": "string", "maxLength": 900}
    for _ in range(2):
        inner = {"type": "array", "items": inner, "minItems": 60, "maxItems": 99}
    with pytest.raises(SchemaError, match="too long"):
        grammar("outlines_core", byte_vocabulary).compile(ConstraintSpec(json.dumps(inner)))


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_decoded_parses_but_for_a_number_that_no_column_holds(seed, byte_vocabulary):
    cursor = grammar("llguidance", byte_vocabulary).compile(ConstraintSpec(SCHEMA.json_schema)).start()
    rng, out = np.random.default_rng(seed), bytearray()
    while not cursor.done():
        allowed = np.flatnonzero(np.unpackbits(cursor.mask().view(np.uint8), bitorder="little"))
        ends = allowed[np.isin(allowed, list(b'"],}'))]
        token = int(rng.choice(ends if len(ends) and rng.random() < 0.3 else allowed))
        cursor.commit(token)
        out.append(token)
    try:
        assert parse(SCHEMA, out.decode())
    except AnswerError as error:
        assert "a number beyond what a table can hold" in str(error)  # noqa: PT017

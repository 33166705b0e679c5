"""Loading: what fits a table is taken, the rest is refused with the keyword and the place."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from pipeline.errors import AnswerError, SchemaError
from pipeline.schema import (
    Choice,
    Extractive,
    List,
    Number,
    Object,
    TaskSchema,
    Text,
    check_example,
    close,
    parse,
    render,
)

PYTHON = dedent(
    """
    import datetime
    from enum import Enum
    from typing import Annotated, Literal
    from pydantic import BaseModel, Field
    from pipeline.schema import Extractive, HeldTo, InOrder, MergeBy, Summary, Typed

    class Unit(Enum):
        PIECE = "piece"
        HOUR = "hour"

    class Item(BaseModel):
        name: Annotated[str, Extractive(unit="line")]
        price: Annotated[str | None, Extractive("money", near=("cost", "Preis"))] = None
        unit: Unit | None
        maker: Annotated[str | None, Extractive(one_of=("Acme", "Bolt & Co"))]

    class Invoice(BaseModel):
        number: Annotated[str, MergeBy("majority")] = Field(description="printed at the top", max_length=20)
        day: datetime.date | None
        paid: bool
        kind: Literal["invoice", "credit note"]
        about: Annotated[str, Summary()]
        tax: Annotated[str, Typed("money")]
        items: Annotated[list[Item], InOrder(within="line")] = Field(max_length=30)
        first: Annotated[Item, HeldTo("line")]
        last: Annotated[Item | None, HeldTo("block")]
    """
)


def test_a_pydantic_file_becomes_the_normal_form(tmp_path):
    path = tmp_path / "invoice.py"
    path.write_text(PYTHON)
    fields = {field.name: field for field in TaskSchema.load(path).root.fields}
    assert fields["number"].node == Text(max_length=20)
    assert fields["number"].merge == "majority"
    assert fields["number"].description == "printed at the top"
    assert fields["day"].node == Text(format="date")
    assert fields["day"].nullable
    assert fields["kind"].node == Choice(("invoice", "credit note"))
    assert fields["about"].node == Text(summary=True)
    assert fields["tax"].node == Text(type="money")
    items = fields["items"]
    assert items.merge == "union"
    assert isinstance(items.node, List)
    assert (items.node.in_order, items.node.within, items.node.max_items) == (True, "line", 30)
    assert isinstance(items.node.items, Object)
    inner = {field.name: field for field in items.node.items.fields}
    assert [(fields[name].node.within, fields[name].nullable) for name in ("first", "last")] == [
        ("line", False),
        ("block", True),
    ]
    assert inner["name"].node == Text(extractive=Extractive(unit="line"))
    assert inner["price"].node == Text(type="money", extractive=Extractive("money", near=("cost", "Preis")))
    assert inner["price"].nullable
    assert inner["unit"].node == Choice(("piece", "hour"))
    assert inner["maker"].node == Text(extractive=Extractive(one_of=("Acme", "Bolt & Co")))
    assert not list(tmp_path.glob("__pycache__"))


def test_the_json_text_of_a_schema_loads_as_the_same_schema(tmp_path):
    (tmp_path / "invoice.py").write_text(PYTHON)
    schema = TaskSchema.load(tmp_path / "invoice.py")
    (tmp_path / "invoice.json").write_text(schema.json_schema, encoding="utf-8")
    assert TaskSchema.load(tmp_path / "invoice.json") == schema


@pytest.mark.parametrize(
    "source",
    [
        "from typing_extensions import TypedDict\nclass T(TypedDict):\n    a: str\n",
        "from dataclasses import dataclass\n@dataclass\nclass T:\n    a: str\n",
        "from pydantic import BaseModel\nclass Other(BaseModel):\n    b: int\nclass Task(BaseModel):\n    a: str\n",
    ],
)
def test_a_typed_dict_a_dataclass_and_a_model_named_task_are_taken(tmp_path, source):
    path = tmp_path / "s.py"
    path.write_text(source)
    assert [field.name for field in TaskSchema.load(path).root.fields] == ["a"]


def test_a_schema_that_fails_names_its_line_and_the_next_step_also_under_a_relative_path(tmp_path, monkeypatch):
    (tmp_path / "s.py").write_text("x = 1\ny = 1 / 0\n")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SchemaError, match=r"^s.py:2: ZeroDivisionError: division by zero\.$") as error:
        TaskSchema.load(Path("s.py"))

    assert error.value.hint


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("s.py", "def (", "s.py:1"),
        ("s.py", "x = 1\ny = 1 / 0\n", "s.py:2"),
        ("s.py", "x = 1\n", "must hold one schema"),
        (
            "s.py",
            "from pydantic import BaseModel\nclass A(BaseModel):\n  a: int\nclass B(BaseModel):\n  b: int\n",
            "A, B",
        ),
        ("s.py", "from pydantic import BaseModel\nclass A(BaseModel):\n  a: dict[str, int]\n", "additionalProperties"),
        ("s.py", "from pydantic import BaseModel\nclass A(BaseModel):\n  a: int | str\n", "anyOf"),
        (
            "s.py",
            "from typing import Annotated\nfrom pydantic import BaseModel\nfrom pipeline.schema import Extractive\n"
            "class A(BaseModel):\n  a: Annotated[str, Extractive('money', near='total')]\n",
            "not a list of words",
        ),
        ("s.json", "{\n\n x", "s.json:3"),
        ("s.json", '{"a": 1, "a": 2}', "twice"),
        ("s.json", "[]", "JSON object"),
        ("s.txt", "", "neither"),
    ],
)
def test_a_broken_file_is_named_with_its_line_or_keyword(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(SchemaError) as error:
        TaskSchema.load(path)
    assert str(path) in error.value.message
    assert said in error.value.message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SchemaError, match=r"gone\.py"):
        TaskSchema.load(tmp_path / "gone.py")


def _with(field: object, **more: object) -> dict[str, object]:
    return {"type": "object", "properties": {"a": field}, **more}


POINTED = {"type": "string", "x-nightdesk": {"extractive": True}}
WORDS = {"type": "array", "items": POINTED}
HELD = {"x-nightdesk": {"within": "line"}}
REFUSED = [
    (_with({"type": "string", "minLength": 3, "maxLength": 2}), "minLength", "/properties/a"),
    (_with({"type": "integer", "minimum": 3, "maximum": 2}), "minimum", "/properties/a"),
    (_with({"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 3}), "minimum", "/properties/a"),
    (_with({"type": "number", "exclusiveMinimum": 2, "maximum": 2}), "minimum", "/properties/a"),
    (_with({"enum": []}), "enum", "/properties/a"),
    (_with({"enum": [None]}), "enum", "/properties/a"),
    (_with({"enum": [[1]]}), "enum", "/properties/a"),
    (_with({"type": "string", "enum": [1]}), "enum", "/properties/a"),
    (_with({"type": "string", "pattern": "a(?=b)c"}), "pattern", "/properties/a"),
    (_with({"type": "string", "pattern": "^a$", "minLength": 2}), "pattern", "/properties/a"),
    (_with({"type": "string", "pattern": "^b^a"}), "pattern", "/properties/a"),
    (_with({"type": "string", "pattern": "("}), "pattern", "/properties/a"),
    (_with({"type": "string", "format": "colour"}), "format", "/properties/a"),
    (_with({"type": "string", "contentEncoding": "base64"}), "contentEncoding", "/properties/a"),
    (_with({"type": "array", "items": {"type": "string"}, "uniqueItems": True}), "uniqueItems", "/properties/a"),
    (_with({"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 1}), "minItems", "/properties/a"),
    (_with({"type": "array"}), "items", "/properties/a"),
    (_with({"type": "array", "prefixItems": []}), "prefixItems", "/properties/a"),
    (_with({"type": "array", "items": {"type": "array", "items": {"type": "string"}}}), "list of lists", "/a/items"),
    (_with({"type": ["string", "integer"]}), "type", "/properties/a"),
    (_with({}), "type", "/properties/a"),
    (_with(True), "anything", "/properties/a"),
    (_with({"type": "number", "multipleOf": 2}), "multipleOf", "/properties/a"),
    (_with({"anyOf": [{"type": "string"}, {"type": "integer"}]}), "anyOf", "/properties/a"),
    (_with({"allOf": [{"type": "string"}]}), "allOf", "/properties/a"),
    (_with({"not": {}}), "not", "/properties/a"),
    (_with({"$ref": "#/$defs/x"}), "$ref", "/properties/a"),
    (_with({"$ref": "http://example.org"}), "$ref", "/properties/a"),
    (_with({"$ref": "#/$defs/n"}, **{"$defs": {"n": _with({"$ref": "#/$defs/n"})}}), "recursive", "/properties/a"),
    (_with({"$ref": "#"}), "recursive", "/properties/a"),
    (_with({"type": "string"}, additionalProperties=True), "additionalProperties", "/"),
    (_with({"type": "string"}, patternProperties={}), "patternProperties", "/"),
    (_with({"type": "string"}, required=["b"]), "required", "/"),
    ({"type": "object", "properties": {}}, "properties", "/"),
    ({"type": "object", "properties": {"a": {"type": "string"}, "A": {"type": "string"}}}, "case", "/properties/A"),
    ({"type": "string"}, "root", ""),
    (_with({"type": "string", "x-nightdesk": {"typ": "date"}}), "typ", "/properties/a"),
    (_with({"type": "string", "x-nightdesk": {"type": "colour"}}), "colour", "/properties/a"),
    (_with({"type": "string", "x-nightdesk": {"in_order": True}}), "in_order", "/properties/a"),
    (_with({"type": "integer", "x-nightdesk": {"extractive": True}}), "extractive", "/properties/a"),
    (_with({"type": "string", "x-nightdesk": {"extractive": 1}}), "extractive", "/properties/a"),
    (_with({"type": "string", "x-nightdesk": {"merge": "union"}}), "merge", "/properties/a"),
    (_with({**WORDS, "minItems": 1, "x-nightdesk": {"in_order": True}}), "minItems", "/properties/a"),
    (_with({"type": "array", "items": _with({**WORDS, "x-nightdesk": {"in_order": True}})}), "in_order", "/a/items"),
    (
        _with({"type": "array", "items": {"type": "string"}, "x-nightdesk": {"in_order": True}}),
        "in_order",
        "/properties/a",
    ),
    (_with({**_with({"type": "string"}), "x-nightdesk": {"within": "line"}}), "within", "/properties/a"),
    (_with({**_with({**WORDS, "x-nightdesk": {"in_order": True}}), **HELD}), "in_order", "/properties/a"),
    (_with({"type": "array", "items": {**_with(POINTED), **HELD}}), "within", "/properties/a/items"),
    (_with({**POINTED, "x-nightdesk": {"extractive": True, "within": "line"}}), "within", "/properties/a"),
    (_with({"type": "string", "pattern": "a", "x-nightdesk": {"extractive": True}}), "pattern", "/properties/a"),
    (_with({"type": "string", "x-nightdesk": {"extractive": True, "summary": True}}), "summary", "/properties/a"),
    (_with({"type": "string", "x-nightdesk": {"extractive": True, "near": ["total"]}}), "near", "/properties/a"),
    (
        _with({"type": "string", "x-nightdesk": {"unit": "line", "type": "date", "near": ["a"]}}),
        "near",
        "/properties/a",
    ),
    (_with({"type": "string", "x-nightdesk": {"type": "money", "extractive": False, "near": ["a"]}}), "near", "/a"),
    (_with({"type": "string", "x-nightdesk": {"type": "money", "near": "total"}}), "near", "/properties/a"),
    (_with({"type": "string", "x-nightdesk": {"type": "money", "near": [" "]}}), "near", "/properties/a"),
    (_with({"type": "string", "x-nightdesk": {"type": "money", "one_of": ["a"]}}), "one_of", "/properties/a"),
    (_with({"type": "string", "x-nightdesk": {"unit": "line", "one_of": ["a"]}}), "one_of", "/properties/a"),
    (_with({"type": "string", "x-nightdesk": {"extractive": False, "one_of": ["a"]}}), "one_of", "/properties/a"),
    (_with({"type": "string", "x-nightdesk": {"one_of": []}}), "one_of", "/properties/a"),
    (_with({"type": "string", "x-nightdesk": {"one_of": "a"}}), "one_of", "/properties/a"),
]


@pytest.mark.parametrize(("schema", "keyword", "place"), REFUSED)
def test_what_does_not_fit_a_table_is_refused_by_keyword_and_place(schema, keyword, place):
    with pytest.raises(SchemaError) as error:
        TaskSchema.from_json(schema)
    assert keyword in error.value.message
    assert place in error.value.message


def test_optional_means_nullable_and_references_are_written_out():
    schema = TaskSchema.from_json(
        {
            "type": "object",
            "properties": {
                "a": {"$ref": "#/$defs/n", "description": "outer"},
                "b": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "c": {"enum": ["x", None]},
                "d": {"type": ["boolean", "null"]},
            },
            "required": ["b", "c", "d"],
            "$defs": {"n": {"type": "number", "minimum": 0, "description": "inner"}},
        }
    )
    first = schema.root.fields[0]
    assert first.node == Number(minimum=0)
    assert first.description == "outer"
    assert all(field.nullable for field in schema.root.fields)


SHOP = TaskSchema.from_json(
    {
        "type": "object",
        "properties": {
            "shop": {"type": "string", "x-nightdesk": {"extractive": True}},
            "n": {"type": ["integer", "null"], "minimum": 1},
            "day": {"type": "string", "format": "date"},
        },
        "required": ["shop", "n", "day"],
    }
)


def test_an_answer_is_rendered_in_schema_order_on_one_line():
    text = render(SHOP, {"day": "2024-01-02", "shop": 'A\n"é"'})
    assert text == '{"shop": "A\\n\\"é\\"", "n": null, "day": "2024-01-02"}'
    assert parse(SHOP, text) == json.loads(text)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"shop": "A", "day": "yesterday"}, "day breaks `format`"),
        ({"shop": "A"}, "day is missing"),
        ({"shop": "A", "day": "2024-01-02", "x": 1}, "x is not a field"),
        ({"shop": "A", "day": "2024-01-02", "n": 0}, "n breaks `minimum` 1"),
        ({"shop": 1, "day": "2024-01-02"}, "shop breaks `type`"),
        ({"shop": "A", "day": "2024-01-02", "n": float("nan")}, "n is a number"),
    ],
)
def test_an_example_that_breaks_its_schema_is_named(values, said):
    with pytest.raises(SchemaError) as error:
        render(SHOP, values)
    assert said in error.value.message


def test_an_extractive_example_is_shown_as_the_grammar_has_it_said():
    values = {"shop": "Harbour  Lights\nSpring\u00adfield", "day": "2024-01-02"}
    shown = check_example(SHOP, values, "x Harbour  Lights\nSpring\u00adfield")

    assert json.loads(shown)["shop"] == "Harbour Lights Springfield"


def test_references_that_multiply_are_refused_before_they_are_written_out():
    levels = {
        f"l{i}": {"type": "object", "properties": {f"p{j}": {"$ref": f"#/$defs/l{i + 1}"} for j in range(10)}}
        for i in range(12)
    }
    levels["l12"] = {"type": "boolean"}

    with pytest.raises(SchemaError, match="More than 50,000 fields"):
        TaskSchema.from_json({"$ref": "#/$defs/l0", "$defs": levels})


def test_an_extractive_example_must_stand_in_its_text():
    values = {"shop": "Harbour Lights", "day": "2024-01-02"}
    assert check_example(SHOP, values, "x Harbour\n  Lights y").startswith('{"shop": "Harbour Lights"')
    with pytest.raises(SchemaError, match="shop"):
        check_example(SHOP, values, "Harbor Lights")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"shop": "secret", "n": 1}',
        '{"shop": "s", "shop": "s", "n": 1, "day": "2024-01-02"}',
        "NaN",
        "[" * 9999,
    ],
)
def test_a_bad_answer_is_an_answer_error_that_quotes_nothing(text):
    with pytest.raises(AnswerError) as error:
        parse(SHOP, text)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(("integer", "number"), [(True, str(2**63)), (False, "1e999"), (False, "1" + "0" * 400)])
@pytest.mark.parametrize("form", ['{"n": %s, "l": []}', '{"n": 1, "l": [%s]}'])
def test_a_number_that_no_column_holds_is_an_answer_error_that_names_the_field(integer, number, form):
    schema = TaskSchema.from_json(
        {
            "type": "object",
            "properties": {
                "n": {"type": "integer" if integer else "number"},
                "l": {"type": "array", "items": {"type": "integer" if integer else "number"}},
            },
            "required": ["n", "l"],
        }
    )

    for read in (parse, close):
        with pytest.raises(AnswerError, match=r"^(n|l\[0\]) is a number beyond"):
            read(schema, form % number)
    assert parse(schema, form % str(2**63 - 1))

"""JSON Schema 2020-12 -> the normal form.

What does not fit a table is refused by name: the error says the keyword and the JSON pointer.
Knows nothing of files, Pydantic or answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import get_args

from pipeline.errors import SchemaError
from pipeline.schema.nodes import (
    ANNOTATION,
    Boolean,
    Choice,
    Extractive,
    Field,
    List,
    Merge,
    Node,
    Number,
    Object,
    Text,
    Unit,
    ValueType,
    Within,
    any_extractive,
)
from pipeline.schema.shortest import FORMATS, shortest_number, shortest_text

Json = Mapping[str, object]

_SILENT = {
    "$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples",
    "deprecated", "readOnly", "writeOnly", ANNOTATION,
}  # fmt: skip
_TEXT = {"type", "minLength", "maxLength", "pattern", "format"}
_NUMBER = {"type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_LIST = {"type", "items", "minItems", "maxItems"}
_OBJECT = {"type", "properties", "required", "additionalProperties"}
_CHOICE = {"type", "enum", "const"}
_ON_TEXT = {"type", "extractive", "unit", "near", "one_of", "summary"}
_ON_LIST = {"in_order", "within"}
_ON_OBJECT = {"within"}
_ON_FIELD = {"merge"}
_MAX_DEPTH = 20
_MOST_NODES = 50_000  # with the references written out


def read(schema: Json) -> Object:
    """The normal form of this JSON Schema. Raises SchemaError naming the keyword and where it stands."""
    if not isinstance(schema, Mapping):
        raise SchemaError("A schema is a JSON object.", hint='Begin with {"type": "object", "properties": ...}.')
    node, nullable, _ = _Reader(schema).node(schema, "", ())
    if nullable or not isinstance(node, Object):
        raise SchemaError(
            "The schema's root is not an object.",
            hint='Let the root be {"type": "object", "properties": ...}.',
        )
    return node


def _refuse(at: str, what: str, hint: str = "") -> SchemaError:
    return SchemaError(f"{what} at {at or '/'} of the schema.", hint=hint)


class _Reader:
    """Walks one schema; `root` is where `$ref` points into."""

    def __init__(self, root: Json) -> None:
        self.root = root
        self.count = 0

    def node(self, schema: object, at: str, refs: tuple[str, ...]) -> tuple[Node, bool, dict[str, object]]:
        """The node, whether it may be null, and its annotations that belong to the field around it."""
        if len(refs) + at.count("/") > 2 * _MAX_DEPTH:
            raise _refuse(at, "Objects and lists are nested too deep")
        self.count += 1
        if self.count > _MOST_NODES:
            raise _refuse(
                at, f"More than {_MOST_NODES:,} fields stand, with the references written out,", "Ask for less."
            )
        if not isinstance(schema, Mapping):
            raise _refuse(at, "A schema that allows anything or nothing stands", "Say which type is meant.")
        schema = dict(schema)
        nullable = False
        while True:
            if "$ref" in schema:
                refs, schema = self._follow(schema, at, refs)
            elif "anyOf" in schema or "oneOf" in schema:
                schema = self._or_null(schema, at)
                nullable = True
            else:
                break
        kinds = schema.get("type")
        if isinstance(kinds, list):
            if len(kinds) > 1 and "null" in kinds:
                nullable = True
            left = [kind for kind in kinds if kind != "null"]
            if len(left) != 1:
                raise _refuse(at, "`type` names several types", "A column holds one type (and null).")
            schema["type"] = left[0]
        annotations = schema.get(ANNOTATION, {})
        if not isinstance(annotations, Mapping):
            raise _refuse(at, f"`{ANNOTATION}` is not an object")
        noted = dict(annotations)
        if "enum" in schema or "const" in schema:
            node, with_null = self._choice(schema, at)
            return node, nullable or with_null, self._own(noted, at, set())
        match schema.get("type"):
            case "string":
                return self._text(schema, noted, at), nullable, self._own(noted, at, _ON_TEXT)
            case "integer" | "number":
                return self._number(schema, at), nullable, self._own(noted, at, set())
            case "boolean":
                self._only(schema, {"type"}, at)
                return Boolean(), nullable, self._own(noted, at, set())
            case "array":
                return self._list(schema, noted, at, refs), nullable, self._own(noted, at, _ON_LIST)
            case "object":
                return self._object(schema, noted, at, refs), nullable, self._own(noted, at, _ON_OBJECT)
            case None:
                self._only(schema, set(), at)
                raise _refuse(at, "`type` is missing", "Say string, number, integer, boolean, array or object.")
            case other:
                raise _refuse(at, f"`type` {other!r} cannot be kept in a column")

    def _follow(
        self, schema: dict[str, object], at: str, refs: tuple[str, ...]
    ) -> tuple[tuple[str, ...], dict[str, object]]:
        ref = schema.pop("$ref")
        if not isinstance(ref, str) or not ref.startswith("#"):
            raise _refuse(at, "`$ref` points outside the file", "Put the definition under $defs.")
        if ref in refs:
            raise _refuse(at, "`$ref` is recursive", "A table has no endless depth: write the levels out.")
        target: object = self.root
        for step in ref[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or name not in target:
                raise _refuse(at, f"`$ref` {ref!r} points to nothing")
            target = target[name]
        if not isinstance(target, Mapping):
            raise _refuse(at, f"`$ref` {ref!r} does not point to a schema object")
        self._only(schema, set(), at)
        return (*refs, ref), _merged(target, schema)

    def _or_null(self, schema: dict[str, object], at: str) -> dict[str, object]:
        keyword = "anyOf" if "anyOf" in schema else "oneOf"
        branches = schema.pop(keyword)
        self._only(schema, set(), at)
        if not isinstance(branches, list):
            raise _refuse(at, f"`{keyword}` is not a list")
        rest = [b for b in branches if not (isinstance(b, Mapping) and b.get("type") == "null")]
        if len(rest) != 1 or len(branches) != 2 or not isinstance(rest[0], Mapping):
            raise _refuse(
                at,
                f"`{keyword}` with other branches than one type and null stands",
                "A column holds one type: choose one. For a Decimal write str with Extractive('money').",
            )
        return _merged(rest[0], schema)

    def _only(self, schema: Json, known: set[str], at: str) -> None:
        """Every keyword that is not understood here is refused: ignoring it would change the meaning."""
        for keyword in schema:
            if keyword not in known and keyword not in _SILENT:
                raise _refuse(at, f"`{keyword}` is not supported", "Leave it out, or say it in the instructions.")

    def _own(self, noted: dict[str, object], at: str, known: set[str]) -> dict[str, object]:
        for key in noted:
            if key not in known | _ON_FIELD:
                raise _refuse(at, f"`{ANNOTATION}` key `{key}` is not known here", _where(key))
        return {key: noted[key] for key in noted if key in _ON_FIELD}

    def _choice(self, schema: Json, at: str) -> tuple[Choice, bool]:
        self._only(schema, _CHOICE, at)
        given = [schema["const"]] if "const" in schema else schema["enum"]
        if not isinstance(given, list):
            raise _refuse(at, "`enum` is not a list")
        if "const" in schema and "enum" in schema:
            raise _refuse(at, "`const` and `enum` stand side by side")
        values: dict[tuple[bool, str | int | float], None] = {}  # to Python true is 1
        for value in given:
            if value is None:
                continue
            if not isinstance(value, str | int | float):
                raise _refuse(at, "`enum` holds a list or an object")
            if isinstance(value, float) and not math.isfinite(value):
                raise _refuse(at, "`enum` holds a number that JSON cannot write")
            if "type" in schema and not _is_a(value, schema["type"]):
                raise _refuse(at, "`enum` holds a value that `type` excludes")
            values.setdefault((isinstance(value, bool), value))
        if not values:
            raise _refuse(at, "`enum` leaves no value", "Name at least one.")
        return Choice(tuple(value for _, value in values)), None in given

    def _text(self, schema: Json, noted: Json, at: str) -> Text:
        self._only(schema, _TEXT, at)
        low, high = _count(schema, "minLength", at), _count(schema, "maxLength", at)
        pattern, format_ = schema.get("pattern"), schema.get("format")
        if not isinstance(pattern, str | None) or not isinstance(format_, str | None):
            raise _refuse(at, "`pattern` and `format` are strings; something else stands")
        if high is not None and (low or 0) > high:
            raise _refuse(at, "`minLength` is greater than `maxLength`")
        if format_ is not None and format_ not in FORMATS:
            raise _refuse(at, f"`format` {format_!r} is not supported", f"Known: {', '.join(sorted(FORMATS))}.")
        value_type = _one_of(noted, "type", get_args(ValueType), at) or "text"
        unit = _one_of(noted, "unit", get_args(Unit), at) or "word"
        extractive = _flag(noted, "extractive", at, default=not noted.keys().isdisjoint({"type", "unit", "one_of"}))
        summary = _flag(noted, "summary", at)
        if not extractive and "unit" in noted:
            raise _refuse(at, "`unit` stands on a field that is not extractive")
        near, one_of = _words(noted, "near", at), _words(noted, "one_of", at)
        if "one_of" in noted and not one_of:
            raise _refuse(at, "`one_of` names no words", "Name some, or leave it out.")
        if one_of and (not extractive or value_type != "text" or unit != "word"):
            raise _refuse(at, "`one_of` stands on a field that has a `type` or a `unit`, or is not extractive")
        if near and (not extractive or (value_type == "text" and not one_of) == (unit == "word")):
            cure = "Give it a `type`, `one_of`, or a `unit` of lines; not both."
            raise _refuse(at, "`near` stands on a field that points neither at spans of a type nor at lines", cure)
        if extractive and summary:
            raise _refuse(at, "`summary` and `extractive` exclude each other")
        if extractive and (pattern is not None or format_ is not None or (low or 0) > 1):
            keyword = "pattern" if pattern is not None else "format" if format_ is not None else "minLength"
            raise _refuse(
                at,
                f"`{keyword}` stands on an extractive field, whose value is the document's own words",
                "Drop it; narrow the field with a type: date, money, currency, number, id, email, phone, iban, url.",
            )
        text = Text(
            low or 0,
            high,
            pattern,
            format_,
            value_type,  # type: ignore[arg-type]
            Extractive(value_type, unit, near, one_of or None) if extractive else None,  # type: ignore[arg-type]
            summary,
        )
        try:
            shortest_text(text)
        except SchemaError as error:
            raise _refuse(at, error.message, error.hint) from error
        return text

    def _number(self, schema: Json, at: str) -> Number:
        self._only(schema, _NUMBER, at)
        bounds: dict[str, float | None] = {}
        for keyword in sorted(_NUMBER - {"type"}):
            bound = schema.get(keyword)
            if bound is not None and (not isinstance(bound, int | float) or isinstance(bound, bool)):
                raise _refuse(at, f"`{keyword}` is not a number")
            bounds[keyword] = bound
        node = Number(
            schema["type"] == "integer",
            bounds["minimum"],
            bounds["maximum"],
            bounds["exclusiveMinimum"],
            bounds["exclusiveMaximum"],
        )
        if shortest_number(node) is None:
            raise _refuse(at, "`minimum` and `maximum` leave no number")
        return node

    def _list(self, schema: Json, noted: Json, at: str, refs: tuple[str, ...]) -> List:
        self._only(schema, _LIST, at)
        low, high = _count(schema, "minItems", at), _count(schema, "maxItems", at)
        if high is not None and (low or 0) > high:
            raise _refuse(at, "`minItems` is greater than `maxItems`")
        if "items" not in schema:
            raise _refuse(at, "`items` is missing", "Say what the list holds.")
        items, nullable, _ = self.node(schema["items"], f"{at}/items", refs)
        if nullable:
            raise _refuse(f"{at}/items", "Items that may be null stand", "Leave missing items out of the list.")
        if isinstance(items, List):
            raise _refuse(f"{at}/items", "A list of lists stands", "Use a list of objects.")
        if isinstance(items, Object) and items.within:
            raise _refuse(f"{at}/items", "`within` stands on the items of a list", "Put it on the list.")
        in_order = _flag(noted, "in_order", at)
        within = _one_of(noted, "within", get_args(Within), at)
        if (in_order or within) and not any_extractive(items):
            raise _refuse(at, "`in_order` or `within` stands on a list without extractive fields")
        if (in_order or within) and low:
            raise _refuse(at, "`minItems` stands on a list that ends when nothing is left in the document")
        if _holds_order(items):
            raise _refuse(f"{at}/items", f"`{ANNOTATION}` key `in_order` stands on a list within a list")
        return List(items, low or 0, high, in_order, within)  # type: ignore[arg-type]

    def _object(self, schema: Json, noted: Json, at: str, refs: tuple[str, ...]) -> Object:
        self._only(schema, _OBJECT, at)
        if schema.get("additionalProperties", False) is not False:
            raise _refuse(at, "`additionalProperties` is not supported", "A table has fixed columns: name each field.")
        properties = schema.get("properties")
        if not isinstance(properties, Mapping) or not properties:
            raise _refuse(at, "`properties` is missing or empty", "Name at least one field.")
        required = schema.get("required", [])
        if not isinstance(required, list) or any(name not in properties for name in required):
            raise _refuse(at, "`required` names a field that `properties` does not hold")
        within = _one_of(noted, "within", get_args(Within), at)
        fields: list[Field] = []
        seen: set[str] = set()
        for name, inner in properties.items():
            place = f"{at}/properties/{name.replace('~', '~0').replace('/', '~1')}"
            if not name or name.casefold() in seen:
                raise _refuse(place, "`properties` holds a name that is empty or differs from another in case only")
            seen.add(name.casefold())
            node, nullable, own = self.node(inner, place, refs)
            merge = _one_of(own, "merge", get_args(Merge), place)
            if merge == "union" and not isinstance(node, List):
                raise _refuse(place, "`merge` is union on a field that is not a list")
            merge = merge or ("union" if isinstance(node, List) else "first")
            described = inner.get("description", "") if isinstance(inner, Mapping) else ""
            fields.append(
                Field(name, node, nullable or name not in required, str(described), merge)  # type: ignore[arg-type]
            )
        whole = Object(tuple(fields), str(schema.get("description", "")), within)  # type: ignore[arg-type]
        if within and not any_extractive(whole):
            raise _refuse(at, "`within` stands on an object without extractive fields")
        if within and _holds_order(whole):
            raise _refuse(at, f"`{ANNOTATION}` key `in_order` stands on a list within an object that has `within`")
        return whole


def _merged(target: Json, beside: Json) -> dict[str, object]:
    """`target` with the annotations that stood beside its `$ref` or `anyOf`; the outer ones win."""
    out = {**target, **beside}
    inner, outer = target.get(ANNOTATION), beside.get(ANNOTATION)
    if isinstance(inner, Mapping) and isinstance(outer, Mapping):
        out[ANNOTATION] = {**inner, **outer}
    return out


def _holds_order(node: Node) -> bool:
    if isinstance(node, Object):
        return any(_holds_order(field.node) for field in node.fields)
    return isinstance(node, List) and node.in_order


def _where(key: str) -> str:
    if key in _ON_TEXT:
        return f"`{key}` belongs on a string (of a list: on its items)."
    if key in _ON_LIST:
        return f"`{key}` belongs on an array{' or an object' * (key in _ON_OBJECT)}."
    return f"Known: {', '.join(sorted(_ON_TEXT | _ON_LIST | _ON_FIELD))}."


def _is_a(value: object, kind: object) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
    return False


def _count(schema: Json, keyword: str, at: str) -> int | None:
    value = schema.get(keyword)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
        raise _refuse(at, f"`{keyword}` is not a whole number from 0")
    return int(value)


def _one_of(noted: Json, key: str, known: tuple[str, ...], at: str) -> str | None:
    value = noted.get(key)
    if value is None:
        return None
    if value not in known:
        raise _refuse(at, f"`{ANNOTATION}` key `{key}` is {value!r}", f"Known: {', '.join(known)}.")
    return str(value)


def _words(noted: Json, key: str, at: str) -> tuple[str, ...]:
    value = noted.get(key, [])
    if not isinstance(value, list) or not all(isinstance(word, str) and word.strip() for word in value):
        raise _refuse(at, f"`{ANNOTATION}` key `{key}` is not a list of words")
    return tuple(value)


def _flag(noted: Json, key: str, at: str, *, default: bool = False) -> bool:
    value = noted.get(key, default)
    if not isinstance(value, bool):
        raise _refuse(at, f"`{ANNOTATION}` key `{key}` is not true or false")
    return value

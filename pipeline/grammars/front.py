"""JSON Schema text in front of a grammar library: what says nothing is dropped, what it would get wrong is refused.

Only for keywords whose meaning the library's own check misses; the rest is the library's to refuse.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.errors import SchemaError

Json = dict[str, object]

_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"})
_INNER = frozenset(
    {
        "items", "prefixItems", "additionalItems", "unevaluatedItems", "contains",
        "additionalProperties", "unevaluatedProperties", "propertyNames",
        "allOf", "anyOf", "oneOf", "not", "if", "then", "else",
    }
)  # fmt: skip

STANDARD_FORMATS = frozenset(
    {
        "date-time", "date", "time", "duration", "email", "idn-email", "hostname", "idn-hostname",
        "ipv4", "ipv6", "uri", "uri-reference", "iri", "iri-reference", "uuid", "uri-template",
        "json-pointer", "relative-json-pointer", "regex",
    }
)  # fmt: skip
"""The formats JSON Schema 2020-12 defines. Any other is an annotation: a validator does not look at it."""


def rewrite(schema: object, change: Callable[[Json], Json]) -> object:
    """`schema` with `change` applied to each schema object in it, the inner ones first."""
    if not isinstance(schema, dict):
        return schema
    out: Json = {}
    for keyword, value in schema.items():
        if keyword in _NAMED and isinstance(value, dict):
            out[keyword] = {name: rewrite(inner, change) for name, inner in value.items()}
        elif keyword in _INNER and isinstance(value, list):
            out[keyword] = [rewrite(inner, change) for inner in value]
        elif keyword in _INNER:
            out[keyword] = rewrite(value, change)
        else:
            out[keyword] = value
    return change(out)


def without_idle(schema: Json) -> Json:
    """A schema object without keywords that exclude nothing, and without double negation."""
    idle = {
        "uniqueItems": schema.get("uniqueItems") is False or _at_most_one(schema),
        "format": "format" in schema and schema["format"] not in STANDARD_FORMATS,
        "not": schema.get("not") is False,
        "if": "if" in schema and "then" not in schema and "else" not in schema,
        "then": "then" in schema and "if" not in schema,
        "else": "else" in schema and "if" not in schema,
        "dependencies": schema.get("dependencies") == {},
        "dependentSchemas": schema.get("dependentSchemas") == {},
        "dependentRequired": schema.get("dependentRequired") == {},
        "unevaluatedProperties": schema.get("unevaluatedProperties") in (True, {}),
        "unevaluatedItems": schema.get("unevaluatedItems") in (True, {}),
        "propertyNames": schema.get("propertyNames") in (True, {}, {"type": "string"}),
        "contains": schema.get("minContains") == 0 and "maxContains" not in schema,
    }
    kept = {keyword: value for keyword, value in schema.items() if not idle.get(keyword, False)}
    negated = kept.get("not")
    if isinstance(negated, dict) and negated.keys() == {"not"}:
        del kept["not"]
        others = kept.get("allOf", [])
        kept["allOf"] = [*(others if isinstance(others, list) else []), negated["not"]]
    return kept


def _at_most_one(schema: Json) -> bool:
    high = schema.get("maxItems")
    return isinstance(high, int) and high <= 1


def refuse_formats(schema: Json, formats: frozenset[str], library: str) -> Json:
    """Refuse formats that the library takes but does not hold."""
    if schema.get("format") in formats:
        raise SchemaError(
            f"{library} does not hold `format` {schema['format']!r} to its definition.",
            hint="Use a pattern, or a plain string.",
        )
    return schema

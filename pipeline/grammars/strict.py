"""The strict check in front of outlines-core: what it would ignore or get wrong is refused by name.

What passes is rewritten so that little is left to go wrong: references written out, types single, no annotations.
outlines-core drops siblings silently, closes every object, concatenates `allOf`, and more (tests hold the list).
"""

from __future__ import annotations

import json
import re

from re import _constants as sre  # type: ignore[attr-defined]  # isort: skip
from re import _parser  # type: ignore[attr-defined]  # isort: skip

from pipeline.errors import SchemaError

Json = dict[str, object]

MAX_OPTIONAL = 20  # optional properties of one object: its expression grows with their square
MAX_LENGTH = 1000  # of a string: each character more is a few states more
MAX_ITEMS = 100
MAX_NODES = 3000  # schema objects once the references are written out

_KNOWN = {
    "string": {"minLength", "maxLength", "pattern"},
    "integer": set(),
    "number": set(),
    "boolean": set(),
    "null": set(),
    "array": {"items", "minItems", "maxItems"},
    "object": {"properties", "required", "additionalProperties"},
}
_OF_TYPE = {
    "string": {"minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType", "contentSchema"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "array": {
        "items", "prefixItems", "additionalItems", "unevaluatedItems", "contains", "minContains", "maxContains",
        "minItems", "maxItems", "uniqueItems",
    },
    "object": {
        "properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties",
        "maxProperties", "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties",
    },
}  # fmt: skip
_OF_TYPE["integer"] = _OF_TYPE["number"]
_ASSERTIONS = set().union(*_OF_TYPE.values()) | {
    "type", "enum", "const", "allOf", "anyOf", "oneOf", "not", "if", "then", "else",
    "$ref", "$dynamicRef", "$recursiveRef",
}  # fmt: skip


def strict(schema: object) -> Json:
    """`schema` as outlines-core holds it right. Raises SchemaError that names the keyword."""
    return _Check(schema).schema(schema, (), root=True)


def _refuse(keyword: str, why: str) -> SchemaError:
    return SchemaError(f"outlines-core does not hold `{keyword}`: {why}.", hint="Use --grammar llguidance.")


class _Check:
    """Walks one schema; `root` is where `$ref` points into."""

    def __init__(self, root: object) -> None:
        self.root = root
        self.count = 0

    def schema(self, schema: object, refs: tuple[str, ...], *, root: bool = False) -> Json:
        """One schema object, rewritten."""
        self.count += 1
        if self.count > MAX_NODES:
            raise _refuse("$ref", "written out, the schema is too large")
        if not isinstance(schema, dict):
            raise _refuse("true and false", "a schema that allows anything or nothing")
        if not root and any(isinstance(schema.get(keyword), str) for keyword in ("$id", "id")):
            raise _refuse("$id", "references would resolve elsewhere")
        said = {keyword: value for keyword, value in schema.items() if keyword in _ASSERTIONS}
        for keyword in ("$ref", "anyOf", "enum", "const"):
            if keyword in said:
                return self._single(keyword, said, refs)
        kinds = said.pop("type", None)
        if isinstance(kinds, list) and kinds:
            # Each type with the keywords that speak of it.
            parts = [
                {"type": kind, **{k: v for k, v in said.items() if self._speaks_of(k, kind, kinds)}} for kind in kinds
            ]
            return self._either([self.schema(part, refs) for part in parts])
        if not isinstance(kinds, str) or kinds not in _KNOWN:
            keyword = next(iter(said), "type")
            raise _refuse(keyword, "without `type` it also allows every other type")
        for keyword in said:
            if keyword not in _KNOWN[kinds] and self._speaks_of(keyword, kinds, [kinds]):
                raise _refuse(keyword, "it is ignored or wrong there")
        match kinds:
            case "string":
                return self._string(said)
            case "array":
                return self._array(said, refs)
            case "object":
                return self._object(said, refs)
        return {"type": kinds}

    def _speaks_of(self, keyword: str, kind: object, kinds: list[object]) -> bool:
        """Whether the keyword means something for this type; a combinator means something for all."""
        owners = [owner for owner, known in _OF_TYPE.items() if keyword in known]
        return kind in owners or not owners or (len(kinds) > 1 and not any(owner in kinds for owner in owners))

    def _single(self, keyword: str, said: Json, refs: tuple[str, ...]) -> Json:
        beside = set(said) - {keyword} - ({"type"} if keyword in ("enum", "const") else set())
        if beside:
            raise _refuse(sorted(beside)[0], f"beside `{keyword}` it is dropped")
        if keyword == "$ref":
            ref = said["$ref"]
            if not isinstance(ref, str) or not re.fullmatch(r"#(/.*)?", ref) or "%" in ref:
                raise _refuse("$ref", "it points outside the schema")
            if ref in refs:
                raise _refuse("$ref", "recursion is unrolled only")
            return self.schema(self._target(ref), (*refs, ref))
        if keyword == "anyOf":
            branches = said["anyOf"]
            if not isinstance(branches, list) or not branches:
                raise _refuse("anyOf", "it is not a list of schemas")
            return self._either([self.schema(branch, refs) for branch in branches])
        return self._enum([said["const"]] if keyword == "const" else said["enum"], keyword, said.get("type"))

    def _target(self, ref: str) -> object:
        target = self.root
        for step in ref[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or name not in target:
                raise _refuse("$ref", "it points to nothing")
            target = target[name]
        return target

    def _either(self, branches: list[Json]) -> Json:
        return branches[0] if len(branches) == 1 else {"anyOf": branches}

    def _enum(self, values: object, keyword: str, kinds: object) -> Json:
        if not isinstance(values, list) or not values:
            raise _refuse(keyword, "it leaves no value")
        kept: list[object] = []
        for value in values:
            if isinstance(value, dict | list):
                raise _refuse(keyword, "it holds a list or an object")
            if isinstance(value, str):
                _plain(value, keyword)
            if isinstance(value, float) and not value.is_integer():
                raise _refuse(keyword, "it holds a number that can be written in several ways")
            one = int(value) if isinstance(value, float) else value
            if kinds is None or _is_one_of(one, kinds):
                kept.append(one)
        if not kept:
            raise _refuse(keyword, "`type` leaves no value of it")
        return {"enum": kept}

    def _string(self, said: Json) -> Json:
        pattern = said.get("pattern")
        if pattern is not None:
            if len(said) > 1:
                raise _refuse("pattern", "beside length bounds it is dropped")
            _check_pattern(pattern)
        low, high = said.get("minLength", 0), said.get("maxLength")
        if not isinstance(low, int) or not isinstance(high, int | None) or (high is not None and low > high):
            raise _refuse("maxLength", "the length bounds leave no string")
        if max(low, high or 0) > MAX_LENGTH:
            raise _refuse("maxLength", f"above {MAX_LENGTH} its automaton is too large")
        return {"type": "string", **said}

    def _array(self, said: Json, refs: tuple[str, ...]) -> Json:
        low, high = said.get("minItems", 0), said.get("maxItems")
        if "items" not in said or isinstance(said["items"], list):
            raise _refuse("items", "it must be one schema")
        if not isinstance(low, int) or not isinstance(high, int | None) or (high is not None and low > high):
            raise _refuse("maxItems", "the bounds leave no list")
        if max(low, high or 0) > MAX_ITEMS:
            raise _refuse("maxItems", f"above {MAX_ITEMS} its automaton is too large")
        return {"type": "array", **said, "items": self.schema(said["items"], refs)}

    def _object(self, said: Json, refs: tuple[str, ...]) -> Json:
        if said.get("additionalProperties") is not False:
            raise _refuse("additionalProperties", "every object is closed")
        properties, required = said.get("properties"), said.get("required", [])
        if not isinstance(properties, dict) or not properties:
            raise _refuse("properties", "an object needs some")
        if not isinstance(required, list) or set(required) - set(properties):
            raise _refuse("required", "it names what `properties` does not hold")
        if len(properties) - len(set(required)) > MAX_OPTIONAL:
            raise _refuse("required", f"more than {MAX_OPTIONAL} optional properties")
        for name in properties:
            _plain(name, "properties")
        return {
            "type": "object",
            "properties": {name: self.schema(inner, refs) for name, inner in properties.items()},
            "required": required,
            "additionalProperties": False,
        }


def _is_one_of(value: object, kinds: object) -> bool:
    names = kinds if isinstance(kinds, list) else [kinds]
    if value is None:
        return "null" in names
    if isinstance(value, bool):
        return "boolean" in names
    if isinstance(value, int):
        return "integer" in names or "number" in names
    return "string" in names


def _plain(text: str, keyword: str) -> None:
    """Names and values are put into the expression without JSON's escapes."""
    if json.dumps(text, ensure_ascii=False) != f'"{text}"' or "\x7f" in text:
        raise _refuse(keyword, "it holds a character that JSON escapes")


def _check_pattern(pattern: object) -> None:
    """Patterns are pasted in raw and anchored: only anchored ones of plain characters mean the same there."""
    if not isinstance(pattern, str):
        raise _refuse("pattern", "it is not a string")
    try:
        tree = list(_parser.parse(pattern))
    except (re.error, RecursionError, OverflowError) as error:
        raise _refuse("pattern", "it is not a regular expression") from error
    anchored = len(tree) > 1 and tree[0] == (sre.AT, sre.AT_BEGINNING) and tree[-1] == (sre.AT, sre.AT_END)
    if not anchored or not all(_harmless(item) for item in tree[1:-1]):
        raise _refuse("pattern", "it is not anchored, or can match what JSON escapes")


def _harmless(item: tuple[object, object]) -> bool:
    kind, value = item
    if kind is sre.LITERAL:
        return _is_plain(value, value)
    if kind is sre.IN and isinstance(value, list):
        return all(
            (inner is sre.LITERAL and _is_plain(what, what)) or (inner is sre.RANGE and _is_plain(*what))
            for inner, what in value
        )
    if kind is sre.BRANCH and isinstance(value, tuple):
        return all(_harmless(inner) for branch in value[1] for inner in branch)
    if kind is sre.SUBPATTERN and isinstance(value, tuple):
        return not value[1] and not value[2] and all(_harmless(inner) for inner in value[3])
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT) and isinstance(value, tuple):
        return all(_harmless(inner) for inner in value[2])
    return False


def _is_plain(low: object, high: object) -> bool:
    """No control character, quote or backslash lies in the range, nor a surrogate."""
    if not isinstance(low, int) or not isinstance(high, int):
        return False
    return low >= 32 and high < 0xD800 and not any(low <= bad <= high for bad in (34, 92, 127))

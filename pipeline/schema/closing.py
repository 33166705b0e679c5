"""An answer that the output budget cut: kept as far as it was finished, closed with the shortest ending.

An unfinished value is never completed: in the text it is replaced by null, or by the shortest value the
schema allows; in the values it is None and its path is in `cut`. Works on text, after decoding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.errors import AnswerError, SchemaError
from pipeline.schema.answers import check_numbers, dumps, join
from pipeline.schema.loading import TaskSchema
from pipeline.schema.nodes import (
    ITEM_SEPARATOR,
    KEY_SEPARATOR,
    Boolean,
    Choice,
    Field,
    List,
    Node,
    Number,
    Object,
    Text,
)
from pipeline.schema.shortest import shortest_number, shortest_text

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LITERAL = re.compile("true|false")
_NUMBER = re.compile(r"[-+.0-9eE]+")


@dataclass(frozen=True, slots=True)
class Closed:
    """`text` is valid JSON of the schema; `values` is what the model had finished; `cut` names the rest."""

    text: str = field(repr=False)
    values: Mapping[str, object] = field(repr=False)
    cut: tuple[str, ...]


def close(schema: TaskSchema, prefix: str) -> Closed:
    """Close `prefix`, any beginning of an answer. Raises AnswerError where it is the beginning of none."""
    reader = _Reader(prefix)
    text, values, _ = reader.fields(schema.root, "")
    if reader.position != len(prefix):
        raise AnswerError("The answer goes on behind its end.", hint="See the raw answer.")
    check_numbers(schema.root, values, "")
    return Closed(text, values, tuple(reader.cut))


def shortest_answer(schema: TaskSchema) -> str:
    """The shortest answer the schema allows: an output budget below it cannot work."""
    return dumps(_shortest(schema.root))


def _shortest(node: Node) -> object:
    """The shortest value; null wherever it is allowed."""
    match node:
        case Text():
            return shortest_text(node)
        case Number():
            value = shortest_number(node)
            if value is None:
                raise SchemaError("`minimum` and `maximum` leave no number.")
            return value
        case Boolean():
            return True
        case Choice():
            return min(node.values, key=lambda value: len(dumps(value)))
        case List():
            return [_shortest(node.items)] * node.min_items
        case Object():
            return {field.name: _shortest_field(field) for field in node.fields}


def _shortest_field(field: Field) -> object:
    return None if field.nullable else _shortest(field.node)


@dataclass(frozen=True, slots=True)
class _Part:
    """One value: its text, what of it counts, and whether anything in it was finished."""

    text: str
    value: object
    touched: bool


class _Reader:
    """Reads a prefix along its schema; once the prefix has ended, writes the shortest ending."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.position = 0
        self.cut: list[str] = []

    @property
    def ended(self) -> bool:
        return self.position >= len(self.prefix)

    def fixed(self, text: str) -> bool:
        """Read punctuation; false where the prefix ends before or within it."""
        got = self.prefix[self.position : self.position + len(text)]
        if not text.startswith(got):
            raise self._wrong()
        self.position += len(got)
        return got == text

    def value(self, node: Node, path: str, *, nullable: bool) -> _Part:
        """A value, finished or not. An unfinished scalar is noted in `cut` here, once."""
        if nullable and not self.ended and self.prefix[self.position] == "n":
            if self.fixed("null"):
                return _Part("null", None, True)
        elif not self.ended and isinstance(node, Object):
            return self.record(node, path)
        elif not self.ended and isinstance(node, List):
            return self.array(node, path)
        elif (raw := self._scalar(node)) is not None:
            return _Part(raw, _loads(raw), True)
        self.cut.append(path)
        return _Part("null" if nullable else dumps(_shortest(node)), None, False)

    def record(self, node: Object, path: str) -> _Part:
        """An object as a value."""
        return _Part(*self.fields(node, path))

    def fields(self, node: Object, path: str) -> tuple[str, dict[str, object], bool]:
        """An object; each field that was not finished is None and cut."""
        texts: list[str] = []
        values: dict[str, object] = {}
        touched = False
        self.fixed("{")
        for member in node.fields:
            if texts:
                self.fixed(ITEM_SEPARATOR)
            key = dumps(member.name) + KEY_SEPARATOR
            self.fixed(key)
            part = self.value(member.node, join(path, member.name), nullable=member.nullable)
            texts.append(key + part.text)
            values[member.name] = part.value
            touched = touched or part.touched
        self.fixed("}")
        return "{" + ITEM_SEPARATOR.join(texts) + "}", values, touched

    def array(self, node: List, path: str) -> _Part:
        """A list; its last item goes where nothing of it was finished. Without its end the list is cut."""
        parts: list[_Part] = []
        self.fixed("[")
        whole = self.prefix.startswith("]", self.position)
        while not whole and not self.ended:
            before = len(self.cut)
            part = self.value(node.items, f"{path}[{len(parts)}]", nullable=False)
            if part.touched or not self.ended:
                parts.append(part)
            else:
                del self.cut[before:]
            whole = self.prefix.startswith("]", self.position)
            if not whole and not self.ended:
                self.fixed(ITEM_SEPARATOR)
        if whole:
            self.position += 1
        else:
            self.cut.append(path)
        texts = [part.text for part in parts]
        texts += [dumps(_shortest(node.items))] * (node.min_items - len(texts))
        kept = [part.value for part in parts]
        return _Part("[" + ITEM_SEPARATOR.join(texts) + "]", kept if kept or whole else None, bool(kept) or whole)

    def _scalar(self, node: Node) -> str | None:
        """The text of a finished scalar; None where the prefix ends within it."""
        if self.ended:
            return None
        rest = self.prefix[self.position :]
        if rest[0] == '"' and isinstance(node, Text | Choice):
            found = _STRING.match(rest)
        elif isinstance(node, Boolean | Choice) and (found := _LITERAL.match(rest)):
            pass
        elif isinstance(node, Boolean | Choice) and ("true".startswith(rest) or "false".startswith(rest)):
            found = None
        elif isinstance(node, Number | Choice) and (found := _NUMBER.match(rest)):
            if found.end() == len(rest):
                found = None  # a digit more may have followed
        else:
            raise self._wrong()
        if found is None:
            self.position = len(self.prefix)
            return None
        self.position += found.end()
        return found[0]

    def _wrong(self) -> AnswerError:
        return AnswerError(f"The answer leaves the schema at character {self.position}.", hint="See the raw answer.")


def _loads(raw: str) -> object:
    try:
        return json.loads(raw)
    except ValueError as error:
        raise AnswerError("The answer holds a value that is not JSON.", hint="See the raw answer.") from error

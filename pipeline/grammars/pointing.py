"""Extractive fields: a grammar whose values point into the chunk, written in llguidance's dialect of Lark.

A value is a run of whole words of the folded text, a run of whole lines, or one of the spans that the finder of its
type accepts. Objects are written out with the fixed separators; what is generated freely stays `%json`.
This module makes grammar text and lists of alternatives; it knows neither the library's objects nor tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.finders import find
from pipeline.grammars.words import units
from pipeline.schema import ITEM_SEPARATOR, KEY_SEPARATOR, Field, List, Node, Object, Text, any_extractive, fold
from pipeline.schema.normal import write

MAX_CHARS = 400  # of a value whose schema gives no maxLength
MAX_LINES = 5  # of a run of lines
_ANY = r'([^"\\]|\\.)'
_EDGE = r'([^ "\\]|\\.)'  # a value neither begins nor ends with a space


@dataclass(frozen=True, slots=True)
class Pointing:
    """A grammar for one schema over one source, and the whole alternatives of its typed fields."""

    lark: str = field(repr=False)
    root: Object
    alternatives: dict[Text, tuple[str, ...]] = field(repr=False)

    def alternatives_at(self, text: str) -> tuple[tuple[str, ...], bool]:
        """The JSON texts of the spans, where a typed value begins exactly at the end of `text`, and whether null may
        stand in their place."""
        node, nullable = expected(self.root, text) or (None, False)
        if not isinstance(node, Text) or node not in self.alternatives:
            return (), nullable
        return self.alternatives[node], nullable


def point(root: Object, source: str, separators: Mapping[str, object]) -> Pointing:
    """The grammar of `root` whose extractive values stand in `source`. `separators` go to the `%json` leaves."""
    writer = _Writer(source, separators)
    start = writer.expression(root, nullable=False)
    lark = "\n".join([f"start: {start}", *writer.rules]) + "\n"
    return Pointing(lark, root, writer.alternatives)


def quoted(text: str) -> str:
    """A JSON string as the grammar and the renderer write it."""
    return json.dumps(text, ensure_ascii=False)


class _Writer:
    """Collects rules while it walks the schema."""

    def __init__(self, source: str, separators: Mapping[str, object]) -> None:
        self.source = source
        self.folded = fold(source).text
        self.separators = separators
        self.rules: list[str] = []
        self.alternatives: dict[Text, tuple[str, ...]] = {}
        self._terminals: dict[Text, str] = {}
        self._words = ""

    def expression(self, node: Node, *, nullable: bool) -> str:
        """What stands for `node` in a rule."""
        if not any_extractive(node):
            schema = write(node)
            whole = {"anyOf": [schema, {"type": "null"}]} if nullable else schema
            name = f"free_{len(self.rules)}"
            self.rules.append(f"{name}: %json {json.dumps({**whole, 'x-guidance': self.separators})}")
            return name
        match node:
            case Text():
                name = self._value(node)
            case Object():
                name = self._object(node)
            case List():
                name = self._list(node)
            case _:
                raise TypeError(type(node).__name__)
        return f'({name} | "null")' if nullable else name

    def _object(self, node: Object) -> str:
        parts = []
        for index, member in enumerate(node.fields):
            before = ITEM_SEPARATOR if index else "{"
            parts.append(_literal(before + quoted(member.name) + KEY_SEPARATOR))
            parts.append(self.expression(member.node, nullable=member.nullable))
        name = f"object_{len(self.rules)}"
        self.rules.append(f"{name}: {' '.join(parts)} {_literal('}')}")
        return name

    def _list(self, node: List) -> str:
        item = self.expression(node.items, nullable=False)
        name = f"list_{len(self.rules)}"
        low, high = max(node.min_items - 1, 0), "" if node.max_items is None else node.max_items - 1
        some = f'"[" {item} ({_literal(ITEM_SEPARATOR)} {item}){{{low},{high}}} "]"'
        if node.max_items == 0:
            some = '"[]"'
        elif node.min_items == 0:
            some = f'"[]" | {some}'
        self.rules.append(f"{name}: {some}")
        return name

    def _value(self, node: Text) -> str:
        if node in self._terminals:
            return self._terminals[node]
        name = f"VALUE_{len(self._terminals)}"
        self._terminals[node] = name
        limit = node.max_length or MAX_CHARS
        extractive = node.extractive
        spans = self._spans(extractive.type, limit) if extractive and extractive.type != "text" else []
        if spans:
            self.alternatives[node] = tuple(quoted(span) for span in spans)
            self.rules.append(f"{name}: {' | '.join(_literal(quoted(span)) for span in spans)}")
        elif not (extractive and extractive.unit == "line" and self._lines(name, limit)):
            self._run_of_words(name, limit)
        return name

    def _spans(self, value_type: str, limit: int) -> list[str]:
        """The folded spans that the finder of this type accepts, without repeats, in the order of the text."""
        found = (fold(self.source[span.start : span.end]).text for span in find(self.source, value_type))  # type: ignore[arg-type]
        return [span for span in dict.fromkeys(found) if span and len(span) <= limit and span in self.folded]

    def _lines(self, name: str, limit: int) -> bool:
        """Runs of whole lines: each line, with the next ones behind it as far as the limit goes."""
        lines = [line for line in (fold(line).text for line in self.source.splitlines()) if line]
        runs = []
        for first, line in enumerate(lines):
            if len(line) > limit:
                continue
            length, last = len(line), first
            while last + 1 < len(lines) and last - first < MAX_LINES - 1 and length + 1 + len(lines[last + 1]) <= limit:
                last += 1
                length += 1 + len(lines[last])
            run = ""
            for behind in range(last, first, -1):
                run = f"({_literal(' ' + _inner(lines[behind]))} {run})?"
            runs.append(f"{_literal(_inner(line))} {run}".strip())
        if runs:
            self.rules.append(f'{name}: "\\"" ({" | ".join(dict.fromkeys(runs))}) "\\""')
        return bool(runs)

    def _run_of_words(self, name: str, limit: int) -> None:
        words = units(self.folded)
        if not any(len(word) <= limit and word != " " for word in words):
            self.rules.append(f"{name}: {_literal(quoted(''))}")
            return
        if not self._words:
            self._words = "WORDS"
            chunks = json.dumps({"substring_chunks": [_inner(word) for word in words]})
            self.rules.append(f"WORDS: %regex {chunks}")
        bound = f"(?s:{_EDGE}({_ANY}{{0,{limit - 2}}}{_EDGE})?)" if limit > 1 else f"(?s:{_EDGE})"
        self.rules.append(f"{name}_IN: WORDS & /{bound}/")
        self.rules.append(f'{name}: "\\"" {name}_IN "\\""')


def expected(root: Object, text: str) -> tuple[Node, bool] | None:
    """The node (and whether it may be null) whose value begins exactly at the end of `text`; None inside a value.

    `text` is the beginning of an answer in the fixed rendering.
    """
    found = _expect(root, False, text, 0)
    return found if isinstance(found, tuple) else None


def _expect(node: Node, nullable: bool, text: str, at: int) -> tuple[Node, bool] | int | None:
    """The end of the value of `node` that begins at `at`; or the node where the text ends; None within a scalar."""
    if at == len(text):
        return node, nullable
    if isinstance(node, Object | List) and text[at] in "{[":
        members = node.fields if isinstance(node, Object) else None
        at, count = at + 1, 0
        while at < len(text) and text[at] not in "}]":
            if count and text.startswith(ITEM_SEPARATOR, at):
                at += len(ITEM_SEPARATOR)
            if members is None:
                found = _expect(node.items, False, text, at) if isinstance(node, List) else None
            else:
                key = quoted(members[count].name) + KEY_SEPARATOR
                if not text.startswith(key, at):
                    return None
                member: Field = members[count]
                found = _expect(member.node, member.nullable, text, at + len(key))
            if not isinstance(found, int):
                return found
            at, count = found, count + 1
        if at == len(text):
            # Behind `[` an item may come; behind a finished item or field, a separator must.
            return (node.items, False) if isinstance(node, List) and text[-1] == "[" and not count else None
        return at + 1
    try:
        return json.JSONDecoder().raw_decode(text, at)[1]
    except ValueError:
        return None


def _inner(text: str) -> str:
    return quoted(text)[1:-1]


def _literal(text: str) -> str:
    """A Lark string literal."""
    return json.dumps(text, ensure_ascii=False)

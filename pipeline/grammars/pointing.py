"""Extractive fields: a grammar whose values point into the chunk, written in llguidance's dialect of Lark.

A value is a run of whole words of the folded text, a run of lines, or one of the spans that the finder of its
type accepts. Objects are written out with the fixed separators; what is generated freely stays `%json`.

A list with `in_order` is written an item at a time: a grammar that reaches it ends behind the comma of the next item,
and `behind()` writes the next one, whose items point behind the words that are used.

This module makes grammar text and lists of alternatives; it knows neither the library's objects nor tokens.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from pipeline.grammars.places import Places, Window
from pipeline.grammars.progress import Path, Progress
from pipeline.schema import (
    ITEM_SEPARATOR,
    KEY_SEPARATOR,
    List,
    Node,
    Object,
    Text,
    Unit,
    ValueType,
    Within,
    any_extractive,
)
from pipeline.schema.canonical import write

MAX_CHARS = 400  # of a value whose schema gives no maxLength
MAX_LINES = 5  # of a run of lines
RANKED_LINES = 80  # a chunk of more lines is too long to compare all their runs
_DEEP = 4  # parentheses in one rule; llguidance 1.9 refuses some ten
_ANY = r'([^"\\]|\\.)'
_EDGE = r'([^ "\\]|\\.)'  # a value neither begins nor ends with a space


@dataclass(slots=True)
class Alternatives:
    """The JSON texts of all the values that a field can have, in the order of the text: spans of its `type`, or,
    where `lines` says so, runs of lines, and how many of them the field expects: "line" one, "lines" several."""

    values: dict[str, None] = field(default_factory=dict, repr=False)
    type: ValueType = "text"
    lines: Unit | None = None

    def besides(self, said: list[str]) -> Alternatives:
        """Without the runs that share lines with a run said before: small models like to say the same lines again."""
        used = [_inner(value) for value in said if _quoted(value) in self.values]
        if not (self.lines and used):
            return self
        kept = {v: None for v in self.values if not any(v[1:-1] in old or old in v[1:-1] for old in used)}
        return Alternatives(kept, self.type, self.lines)


class Pointing:
    """A grammar for one schema over one source, as far as the answer has come."""

    def __init__(
        self,
        root: Object,
        places: Places,
        separators: Mapping[str, object],
        progress: Progress | None = None,
        text: str = "",
    ) -> None:
        self._root = root
        self._places = places
        self._separators = separators
        self._items = len(progress.items) if progress else 0
        self._ordered = progress.ordered if progress else None
        self._stages = _has_order(root)
        writer = _Writer(places, separators)
        if progress is None or progress.ordered is None:
            start = writer.then(root, (), "", nullable=False)
        else:
            done = text[: progress.end] + ITEM_SEPARATOR[0]
            start = f"{_literal(done)} {writer.resume(root, progress, progress.ordered, (), '')}"
        self.lark = "\n".join([f"start: {start}", *writer.rules]) + "\n"
        self._alternatives = writer.alternatives

    @classmethod
    def over(cls, root: Object, source: str, separators: Mapping[str, object]) -> Pointing:
        """The grammar of `root` whose extractive values stand in `source`. `separators` go to the `%json` leaves."""
        return cls(root, Places(source), separators)

    def alternatives_at(self, text: str) -> tuple[Alternatives, bool]:
        """All that a typed value, or one of whole lines, can be, where it begins exactly at the end of `text`, and
        whether null may stand in their place."""
        progress = Progress(self._root, text)
        if progress.expected is None:
            return Alternatives(), False
        found = self._alternatives.get(progress.expected, Alternatives())
        return found.besides(progress.said), progress.nullable

    def continuations(self, text: str, most: int) -> list[str]:
        """How the document goes on, in at most so many characters and as JSON writes them, behind the value that is
        begun at the end of `text`: one for each place where it may be copied from. Empty where these are many, and
        where no value is being copied."""
        begun = Progress(self._root, text).begun
        if begun is None or begun[0] not in self._alternatives:
            return []
        try:
            said = json.loads(f'{begun[1]}"')
        except ValueError:  # it ends within an escape, or is about to be null
            return []
        return [_inner(rest[:most]) for rest in self._places.following(said)]

    def behind(self, text: str) -> Pointing | None:
        """The grammar from here on, where `text` ends with the comma behind an item of an ordered list."""
        if not self._stages or not text.endswith(ITEM_SEPARATOR[0]):
            return None
        progress = Progress(self._root, text)
        if progress.ordered is None or not progress.items or progress.end != len(text) - 1:
            return None
        if (progress.ordered, len(progress.items)) == (self._ordered, self._items):
            return None
        return Pointing(self._root, self._places, self._separators, progress, text)


class _Writer:
    """Collects rules while it walks the schema. An expression that ends with `behind` is followed by nothing else."""

    def __init__(self, places: Places, separators: Mapping[str, object]) -> None:
        self.places = places
        self.separators = separators
        self.rules: list[str] = []
        self.alternatives: dict[Path, Alternatives] = {}
        self._terminals: dict[tuple[Text, Window], str] = {}
        self._chunks: dict[Window, str] = {}

    def _rule(self, kind: str, body: str) -> str:
        name = f"{kind}_{len(self.rules)}"
        self.rules.append(f"{name}: {body}")
        return name

    # The way to ordered lists: each rule holds everything that follows.

    def then(self, node: Node, path: Path, behind: str, *, nullable: bool) -> str:
        """`node` and what stands behind it, to the end of the answer or of the next ordered item."""
        if not _has_order(node):
            return f"{self.whole(node, path, self.places.all, nullable=nullable)} {behind}".strip()
        if isinstance(node, Object):
            body = _literal("{") + " " + self._members(node, 0, path, behind)
        else:
            assert isinstance(node, List)  # noqa: S101 - only lists and objects hold order
            some = self._next(node, 0, 0, path, behind)
            body = '"[" (' + (f'"]" {behind} | {some}' if some else f'"]" {behind}') + ")"
        return f'({body} | "null" {behind})' if nullable else body

    def _members(self, node: Object, first: int, path: Path, behind: str) -> str:
        """The members from `first` on, the closing brace and what follows."""
        rest = self._rule("end", f"{_literal('}')} {behind}")
        for index in range(len(node.fields) - 1, first - 1, -1):
            member = node.fields[index]
            key = (ITEM_SEPARATOR if index else "") + _quoted(member.name) + KEY_SEPARATOR
            value = self.then(member.node, (*path, member.name), rest, nullable=member.nullable)
            rest = self._rule("member", f"{_literal(key)} {value}")
        return rest

    def _next(self, node: List, count: int, start: int, path: Path, behind: str) -> str:
        """One item more of an ordered list with the mark behind it: the bracket and what follows, or a comma.

        The grammar ends behind the comma and not before it, because "}," is one token in most vocabularies: a model
        that is held to a bare "}" has all but said that the list ends.
        """
        ways: list[str] = []
        for (goes_on, ends), windows in self._continued(node, count, start).items():
            item = self._item(node, (*path, "[]"), windows)
            marks = [f'"]" {behind}'] * ends + [_literal(ITEM_SEPARATOR[0])] * goes_on
            if item is not None:
                ways.append(f"{item} ({' | '.join(marks)})")
        return " | ".join(ways)

    def _continued(self, node: List, count: int, start: int) -> dict[tuple[bool, bool], list[Window]]:
        """Where the next item may stand, by whether another may follow it and whether the list may end behind it."""
        if node.max_items is not None and count >= node.max_items:
            return {}
        found: dict[tuple[bool, bool], list[Window]] = {}
        full = node.max_items is not None and count + 1 >= node.max_items
        cut = 0 if full else self._last_start(node, start)
        for window in self._offered(node, start)[0]:
            if node.within == "row" and self.places.tables:
                following, must = self._offered(node, window[1])
                goes_on = not full and any(self._possible(node.items, one) for one in following)
                found.setdefault((goes_on, not (goes_on and must)), []).append(window)
            elif window[1] <= cut:
                found.setdefault((True, True), []).append(window)
            else:
                found.setdefault((False, True), []).append(window)
                if window[0] < cut:
                    found.setdefault((True, False), []).append((window[0], cut))
        return found

    def _last_start(self, node: List, start: int) -> int:
        """The last place from which an item may still stand: another follows one that ends here or before."""
        ends = [start, *(end for _, end in self.places.words if end > start)]
        return ends[max(bisect_left(ends, True, key=lambda end: not self._leaves_room(node, end)) - 1, 0)]

    def _leaves_room(self, node: List, end: int) -> bool:
        return any(self._possible(node.items, one) for one in self._offered(node, end)[0])

    def resume(self, node: Node, progress: Progress, target: Path, path: Path, behind: str) -> str:
        """What follows the finished items of the list at `target` and the comma behind them."""
        if isinstance(node, List):
            start = 0
            for value in progress.items:
                start = self._item_end(node, value, start)
            return f"{_literal(ITEM_SEPARATOR[1:])} ({self._next(node, len(progress.items), start, path, behind)})"
        assert isinstance(node, Object)  # noqa: S101 - the target lies within objects
        index = next(i for i, member in enumerate(node.fields) if member.name == target[len(path)])
        member = node.fields[index]
        rest = self._members(node, index + 1, path, behind)
        return self.resume(member.node, progress, target, (*path, member.name), rest)

    def _item_end(self, node: List, value: object, start: int) -> int:
        """The least place behind all words that an item uses. One that uses none has used up its row of a table, or
        all places but the last one: it would be said again and again."""
        rows = node.within == "row" and bool(self.places.tables)
        for window in self._offered(node, start)[0]:
            ends = [self.places.end_of(text, said, window) for text, said in _extractive(node.items, value)]
            if not ends and rows:
                return window[1]
            if ends and None not in ends:
                return max(end for end in ends if end is not None)
        return self._last_start(node, start)

    # Whole values.

    def whole(self, node: Node, path: Path, window: Window, *, nullable: bool) -> str:
        """What stands for all of `node`, its values within the window."""
        if not any_extractive(node):
            schema = write(node)
            either = {"anyOf": [schema, {"type": "null"}]} if nullable else schema
            leaf = json.dumps({**either, "x-guidance": self.separators}, ensure_ascii=False)
            return self._rule("free", f"%json {leaf}")
        if nullable and not self._possible(node, window):
            return '"null"'
        match node:
            case Text():
                name = self._value(node, path, window)
            case Object():
                windows = [one for one in self._windows(node.within, window) if self._holds(node, one)]
                ways = [self._object(node, path, one) for one in windows or [window]]
                name = ways[0] if len(ways) == 1 else self._rule("held", " | ".join(ways))
            case List():
                name = self._list(node, path, window)
            case _:
                raise TypeError(type(node).__name__)
        return f'({name} | "null")' if nullable else name

    def _object(self, node: Object, path: Path, window: Window) -> str:
        parts = []
        for index, member in enumerate(node.fields):
            before = ITEM_SEPARATOR if index else "{"
            parts.append(_literal(before + _quoted(member.name) + KEY_SEPARATOR))
            parts.append(self.whole(member.node, (*path, member.name), window, nullable=member.nullable))
        return self._rule("object", f"{' '.join(parts)} {_literal('}')}")

    def _list(self, node: List, path: Path, window: Window) -> str:
        item = self._item(node, (*path, "[]"), self._windows(node.within, window)) if node.max_items != 0 else None
        if item is None:
            return self._rule("list", '"[]"')
        low, high = max(node.min_items - 1, 0), "" if node.max_items is None else node.max_items - 1
        some = f'"[" {item} ({_literal(ITEM_SEPARATOR)} {item}){{{low},{high}}} "]"'
        return self._rule("list", some if node.min_items else f'"[]" | {some}')

    def _item(self, node: List, path: Path, windows: list[Window]) -> str | None:
        """An item within one of the windows; None if nothing is left."""
        windows = [one for one in windows if self._possible(node.items, one)]
        ways = [self.whole(node.items, path, one, nullable=False) for one in windows]
        return self._rule("item", " | ".join(ways)) if ways else None

    def _offered(self, node: List, start: int) -> tuple[list[Window], bool]:
        """Where the next item of an ordered list may stand, and whether there must be one: a list that has begun
        with a table goes on to its last row."""
        if node.within != "row" or not self.places.tables:
            return self._windows(node.within, (start, self.places.all[1])), False
        for table in self.places.tables:
            if table[0][0] < start <= table[-1][1]:
                rest = [row for row in table if row[0] >= start and self._possible(node.items, row)]
                if rest:
                    return rest[:1], True
        return [table[0] for table in self.places.tables if table[0][0] >= start], False

    def _windows(self, within: Within | None, window: Window) -> list[Window]:
        if within is None or (within == "row" and not self.places.tables):
            return [window]
        rows = [row for table in self.places.tables for row in table] if within == "row" else []
        pieces = {"line": self.places.lines, "block": self.places.blocks, "row": rows}[within]
        cut = [(max(start, window[0]), min(end, window[1])) for start, end in pieces]
        return [(start, end) for start, end in cut if start < end]

    def _possible(self, node: Node, window: Window) -> bool:
        """Whether the window holds a value for each field that needs one."""
        match node:
            case Object():
                return any(self._holds(node, one) for one in self._windows(node.within, window))
            case Text(extractive=e) if e is not None:
                limit = node.max_length or MAX_CHARS
                if self.places.values_in(node, self.places.all, limit):
                    return bool(self.places.values_in(node, window, limit))
                return any(word != " " and len(word) <= limit for word in self.places.words_in(window))
        return True

    def _holds(self, node: Object, window: Window) -> bool:
        return any(word != " " for word in self.places.words_in(window)) and all(
            member.nullable or self._possible(member.node, window) for member in node.fields
        )

    def _value(self, node: Text, path: Path, window: Window) -> str:
        limit = node.max_length or MAX_CHARS
        values = self.places.values_in(node, window, limit)
        alternatives = self.alternatives.setdefault(path, Alternatives())
        alternatives.values.update(dict.fromkeys(map(_quoted, values)))
        extractive = node.extractive
        if extractive is not None:
            alternatives.type = extractive.type
        if not values and extractive is not None and extractive.unit != "word":
            alternatives.lines = extractive.unit
            alternatives.values.update(dict.fromkeys(map(_quoted, self._runs(limit, window))))
        if (node, window) in self._terminals:
            return self._terminals[node, window]
        name = f"VALUE_{len(self._terminals)}"
        self._terminals[node, window] = name
        if values:
            self.rules.append(f"{name}: {' | '.join(_literal(_quoted(value)) for value in values)}")
        elif not (extractive and extractive.unit != "word" and self._lines(name, limit, window)):
            self._run_of_words(name, limit, window)
        return name

    def _lines(self, name: str, limit: int, window: Window) -> bool:
        """Runs of lines: from each place where a value may begin, on to the ends within the limit."""
        text, runs = self.places.text, []
        for start, ends in _reach(self.places, limit, window):
            run = ""
            for depth, (before, end) in enumerate(reversed(list(pairwise([start, *ends]))), start=1):
                run = f"{_literal(_inner(text[before:end]))} {run}".strip()
                if before != start and depth % _DEEP == 0:
                    self.rules.append(f"{name}_PART_{len(self.rules)}: {run}")
                    run = f"{name}_PART_{len(self.rules) - 1}"
                run = f"({run})?" if before != start else run
            runs.append(run)
        if runs:
            self.rules.append(f'{name}: "\\"" ({" | ".join(dict.fromkeys(runs))}) "\\""')
        return bool(runs)

    def _runs(self, limit: int, window: Window) -> list[str]:
        """What the rule of `_lines` accepts, one by one; nothing where the lines are too many to compare."""
        if len(self.places.lines) > RANKED_LINES:
            return []
        return [self.places.text[start:end] for start, end in runs_of_lines(self.places, limit, window)]

    def _run_of_words(self, name: str, limit: int, window: Window) -> None:
        words = self.places.words_in(window)
        if not any(len(word) <= limit and word != " " for word in words):
            self.rules.append(f"{name}: {_literal(_quoted(''))}")
            return
        if window not in self._chunks:
            self._chunks[window] = f"WORDS_{len(self._chunks)}"
            chunks = json.dumps({"substring_chunks": [_inner(word) for word in words]}, ensure_ascii=False)
            self.rules.append(f"{self._chunks[window]}: %regex {chunks}")
        bound = f"(?s:{_EDGE}({_ANY}{{0,{limit - 2}}}{_EDGE})?)" if limit > 1 else f"(?s:{_EDGE})"
        self.rules.append(f"{name}_IN: {self._chunks[window]} & /{bound}/")
        self.rules.append(f'{name}: "\\"" {name}_IN "\\""')


def runs_of_lines(places: Places, limit: int, window: Window) -> list[Window]:
    """The runs of lines in the window that a field of `unit="line"` or "lines" can point at."""
    return [(start, end) for start, ends in _reach(places, limit, window) for end in ends]


def _reach(places: Places, limit: int, window: Window) -> list[tuple[int, list[int]]]:
    """Every place where a run of lines may begin, with its ends: in this line, and in the next ones where it begins
    with the line."""
    lines = places.line_parts
    reach = []
    for number, (starts, _) in enumerate(lines):
        for start in starts:
            last = number + (MAX_LINES if start == places.lines[number][0] else 1)
            ends = [end for _, stops in lines[number:last] for end in stops if end <= window[1]]
            if start >= window[0] and (within := [end for end in ends if 0 < end - start <= limit]):
                reach.append((start, within))
    return reach


def _has_order(node: Node) -> bool:
    """Whether an ordered list stands in this part of the schema."""
    if isinstance(node, List):
        return node.in_order
    return isinstance(node, Object) and any(_has_order(member.node) for member in node.fields)


def _extractive(node: Node, value: object) -> list[tuple[Text, str]]:
    """The values of a finished item that point into the document."""
    match node, value:
        case Text(), str() if node.extractive is not None and value:
            return [(node, value)]
        case Object(), dict():
            return [pair for member in node.fields for pair in _extractive(member.node, value[member.name])]
        case List(), list():
            return [pair for item in value for pair in _extractive(node.items, item)]
    return []


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _inner(text: str) -> str:
    return _quoted(text)[1:-1]


def _literal(text: str) -> str:
    """A Lark string literal."""
    return json.dumps(text, ensure_ascii=False)

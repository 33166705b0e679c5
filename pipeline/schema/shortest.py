"""The shortest values a node allows: what an unfinished answer is closed with.

A pattern's shortest match is found by walking the automaton of its parse tree, breadth first.
Knows nothing of JSON.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pipeline.errors import SchemaError
from pipeline.schema.nodes import Number, Text

# The standard library's own parser of regular expressions. It has no public name.
from re import _constants as sre  # type: ignore[attr-defined]  # isort: skip
from re import _parser  # type: ignore[attr-defined]  # isort: skip

FORMATS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "duration": "P1D",
    "email": "a@b.cd",
    "ipv4": "1.1.1.1",
    "ipv6": "::",
    "uri": "a:b",
    "uuid": "00000000-0000-0000-0000-000000000000",
}
"""The formats that a string may have, each with a short value. The default grammar holds no others."""

_MAX_STATES = 4000
_ALPHABET = "a0A- _.,:/@+(#é中\n" + "".join(chr(c) for c in range(33, 127))


@lru_cache(maxsize=256)
def shortest_text(node: Text) -> str:
    """A shortest string this node allows. Raises SchemaError where none is found."""
    if node.format is not None:
        value = FORMATS[node.format]
        if node.pattern is not None:
            raise SchemaError("`pattern` stands beside `format`", hint="Say one of them.")
        if not node.min_length <= len(value) <= (node.max_length or len(value)):
            raise SchemaError("`format` and the length bounds exclude each other or are not supported together")
        return value
    if node.pattern is None:
        return "a" * node.min_length
    return _shortest_match(node.pattern, node.min_length, node.max_length)


def shortest_number(node: Number) -> int | float | None:
    """The number with the fewest characters within the bounds; None where there is none."""

    def fits(value: int | float) -> bool:
        exact = Decimal(repr(value))
        return (
            (node.minimum is None or exact >= Decimal(repr(node.minimum)))
            and (node.maximum is None or exact <= Decimal(repr(node.maximum)))
            and (node.exclusive_minimum is None or exact > Decimal(repr(node.exclusive_minimum)))
            and (node.exclusive_maximum is None or exact < Decimal(repr(node.exclusive_maximum)))
        )

    lows = [bound for bound in (node.minimum, node.exclusive_minimum) if bound is not None]
    highs = [bound for bound in (node.maximum, node.exclusive_maximum) if bound is not None]
    near = [0] + [whole + step for bound in lows + highs for whole in (math.floor(bound),) for step in (-1, 0, 1, 2)]
    tries: list[int | float] = [value for value in near if fits(value)]
    if not tries and not node.integer and lows and highs:
        low, high = max(lows), min(highs)
        for digits in range(1, 18):
            tries = [t for t in (round(low, digits), round((low + high) / 2, digits), round(high, digits)) if fits(t)]
            if tries:
                break
    return min(tries, key=lambda value: (len(repr(value)), value)) if tries else None


@lru_cache(maxsize=256)
def _shortest_match(pattern: str, low: int, high: int | None) -> str:
    try:
        tree = _parser.parse(pattern)
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise SchemaError(f"`pattern` is not a regular expression: {error}") from error
    try:
        found = _search(_Automaton(tree), compiled, low, high)
    except RecursionError as error:
        raise SchemaError("`pattern` is nested too deep") from error
    if found is None:
        raise SchemaError("`pattern` matches nothing that can be found within the length bounds")
    return found


class _Automaton:
    """States and edges of a pattern. An edge is a test of one character, or None where it costs nothing."""

    def __init__(self, tree: Any) -> None:  # noqa: ANN401 - the parser's tree has no public type
        self.edges: list[list[tuple[re.Pattern[str] | str | None, int]]] = []
        start, end = self._state(), self._state()
        self.start, self.end = start, end
        self._sequence(list(tree), start, end)
        # An unanchored pattern may have anything around it.
        if not (tree and tree[0] in ((sre.AT, sre.AT_BEGINNING), (sre.AT, sre.AT_BEGINNING_STRING))):
            self.edges[start].append((".", start))
        if not (tree and tree[-1] in ((sre.AT, sre.AT_END), (sre.AT, sre.AT_END_STRING))):
            self.edges[end].append((".", end))

    def _state(self) -> int:
        if len(self.edges) >= _MAX_STATES:
            raise SchemaError("`pattern` is too large", hint="Use smaller repeats, or minLength and maxLength.")
        self.edges.append([])
        return len(self.edges) - 1

    def _sequence(self, items: list[Any], start: int, end: int) -> None:
        here = start
        for item in items:
            following = self._state()
            self._item(item, here, following)
            here = following
        self.edges[here].append((None, end))

    def _item(self, item: Any, start: int, end: int) -> None:  # noqa: ANN401
        kind, value = item
        if kind is sre.LITERAL:
            self.edges[start].append((chr(value), end))
        elif kind in (sre.NOT_LITERAL, sre.IN, sre.ANY):
            self.edges[start].append((_test(kind, value), end))
        elif kind is sre.BRANCH:
            for branch in value[1]:
                self._sequence(list(branch), start, end)
        elif kind is sre.SUBPATTERN:
            self._sequence(list(value[3]), start, end)
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            low, high, inner = value
            here = start
            for _ in range(low):
                following = self._state()
                self._sequence(list(inner), here, following)
                here = following
            if high is sre.MAXREPEAT:
                loop = self._state()
                self.edges[here].append((None, loop))
                self._sequence(list(inner), loop, loop)
                here = loop
            else:
                for _ in range(high - low):
                    self.edges[here].append((None, end))
                    following = self._state()
                    self._sequence(list(inner), here, following)
                    here = following
            self.edges[here].append((None, end))
        elif kind is sre.AT:
            self.edges[start].append((None, end))  # checked again on the whole match
        else:
            raise SchemaError(
                f"`pattern` uses {str(kind).lower()}, which is not supported",
                hint="Look-around and references back cannot be held while writing.",
            )

    def closure(self, states: frozenset[int]) -> frozenset[int]:
        out, todo = set(states), list(states)
        while todo:
            for test, following in self.edges[todo.pop()]:
                if test is None and following not in out:
                    out.add(following)
                    todo.append(following)
        return frozenset(out)

    def steps(self, states: frozenset[int]) -> Iterator[tuple[str, frozenset[int]]]:
        """One character for each way on."""
        edges = [(test, to) for state in states for test, to in self.edges[state] if test is not None]
        seen: set[frozenset[int]] = set()
        for char in _letters(test for test, _ in edges):
            to = frozenset(to for test, to in edges if _passes(test, char))
            if to and to not in seen:
                seen.add(to)
                yield char, self.closure(to)


def _letters(tests: Iterator[re.Pattern[str] | str]) -> list[str]:
    literal = dict.fromkeys(test for test in tests if isinstance(test, str) and test != ".")
    return [*literal, *_ALPHABET]


def _passes(test: re.Pattern[str] | str, char: str) -> bool:
    if isinstance(test, str):
        return (test == "." and char != "\n") or test == char
    return test.match(char) is not None


def _test(kind: Any, value: Any) -> re.Pattern[str]:  # noqa: ANN401
    if kind is sre.ANY:
        return re.compile(r"[^\n]")
    if kind is sre.NOT_LITERAL:
        return re.compile(f"[^{re.escape(chr(value))}]")
    parts, negated = [], ""
    classes = {
        sre.CATEGORY_DIGIT: r"\d",
        sre.CATEGORY_NOT_DIGIT: r"\D",
        sre.CATEGORY_SPACE: r"\s",
        sre.CATEGORY_NOT_SPACE: r"\S",
        sre.CATEGORY_WORD: r"\w",
        sre.CATEGORY_NOT_WORD: r"\W",
    }
    for inner, what in value:
        if inner is sre.NEGATE:
            negated = "^"
        elif inner is sre.LITERAL:
            parts.append(re.escape(chr(what)))
        elif inner is sre.RANGE:
            parts.append(f"{re.escape(chr(what[0]))}-{re.escape(chr(what[1]))}")
        else:
            parts.append(classes[what])
    return re.compile(f"[{negated}{''.join(parts)}]")


def _search(machine: _Automaton, compiled: re.Pattern[str], low: int, high: int | None) -> str | None:
    """Breadth first, so the first whole match of enough length is a shortest one."""
    first = machine.closure(frozenset((machine.start,)))
    todo: deque[tuple[frozenset[int], str]] = deque([(first, "")])
    seen: set[tuple[frozenset[int], int]] = {(first, 0)}
    while todo and len(seen) < _MAX_STATES * 5:
        states, text = todo.popleft()
        if machine.end in states and len(text) >= low and compiled.search(text):
            return text
        if high is not None and len(text) >= high:
            continue
        for char, following in machine.steps(states):
            key = (following, min(len(text) + 1, low))
            if key not in seen:
                seen.add(key)
                todo.append((following, text + char))
    return None

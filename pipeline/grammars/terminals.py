"""One value that points into the chunk: the Lark terminal that accepts it, and the list of all that it can be.

A value is a run of whole words of the folded text, a run of lines, or one of the spans that the finder of its type
accepts. Objects and lists are not written here, and in which window a value may stand is said by the caller.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import pairwise

from pipeline.grammars.columns import TableRow
from pipeline.grammars.places import MAX_CHARS, Places, Window
from pipeline.grammars.progress import Path
from pipeline.schema import Extractive, Text, Unit, ValueType

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
        used = [inner(value) for value in said if quoted(value) in self.values]
        if not (self.lines and used):
            return self
        kept = {v: None for v in self.values if not any(v[1:-1] in old or old in v[1:-1] for old in used)}
        return Alternatives(kept, self.type, self.lines)


class Terminals:
    """The terminals of one grammar, each appended to its `rules`, once for a window. `alternatives`: what the values
    of each field can be, in all its windows."""

    def __init__(self, places: Places, rules: list[str]) -> None:
        self.alternatives: dict[Path, Alternatives] = {}
        self._places = places
        self._rules = rules
        self._names: dict[tuple[Text, Window], str] = {}
        self._chunks: dict[Window, str] = {}

    def value(self, node: Text, path: Path, window: Window) -> str:
        """The name of the terminal for a value of `node` in the window; keeps what it can be under `path`."""
        limit = node.max_length or MAX_CHARS
        values = self._places.values_in(node, window, limit)
        alternatives = self.alternatives.setdefault(path, Alternatives())
        alternatives.values.update(dict.fromkeys(map(quoted, values)))
        extractive = node.extractive
        if extractive is not None:
            alternatives.type = extractive.type
        if not values and extractive is not None and extractive.unit != "word":
            alternatives.lines = extractive.unit
            alternatives.values.update(dict.fromkeys(map(quoted, self._runs(extractive, limit, window))))
        if (node, window) in self._names:
            return self._names[node, window]
        name = f"VALUE_{len(self._names)}"
        self._names[node, window] = name
        if values:
            self._rules.append(f"{name}: {' | '.join(literal(quoted(value)) for value in values)}")
        elif not (extractive and extractive.unit != "word" and self._lines(name, extractive, limit, window)):
            self._run_of_words(name, limit, window)
        return name

    def _lines(self, name: str, extractive: Extractive, limit: int, window: Window) -> bool:
        """Runs of lines: from each place where a value may begin, on to the ends within the limit."""
        text, runs = self._places.text, []
        for start, ends in _reach(self._places, extractive, limit, window):
            run = ""
            for depth, (before, end) in enumerate(reversed(list(pairwise([start, *ends]))), start=1):
                run = f"{literal(inner(text[before:end]))} {run}".strip()
                if before != start and depth % _DEEP == 0:
                    self._rules.append(f"{name}_PART_{len(self._rules)}: {run}")
                    run = f"{name}_PART_{len(self._rules) - 1}"
                run = f"({run})?" if before != start else run
            runs.append(run)
        if runs:
            self._rules.append(f'{name}: "\\"" ({" | ".join(dict.fromkeys(runs))}) "\\""')
        return bool(runs)

    def _runs(self, extractive: Extractive, limit: int, window: Window) -> list[str]:
        """What the rule of `_lines` accepts, one by one; nothing where the lines are too many to compare."""
        if len(self._places.lines) > RANKED_LINES and self._places.row(window) is None:
            return []
        runs = runs_of_lines(self._places, extractive, limit, window)
        return [self._places.text[start:end] for start, end in runs]

    def _run_of_words(self, name: str, limit: int, window: Window) -> None:
        words = self._places.words_in(window)
        if not any(len(word) <= limit and word != " " for word in words):
            self._rules.append(f"{name}: {literal(quoted(''))}")
            return
        if window not in self._chunks:
            self._chunks[window] = f"WORDS_{len(self._chunks)}"
            chunks = json.dumps({"substring_chunks": [inner(word) for word in words]}, ensure_ascii=False)
            self._rules.append(f"{self._chunks[window]}: %regex {chunks}")
        bound = f"(?s:{_EDGE}({_ANY}{{0,{limit - 2}}}{_EDGE})?)" if limit > 1 else f"(?s:{_EDGE})"
        self._rules.append(f"{name}_IN: {self._chunks[window]} & /{bound}/")
        self._rules.append(f'{name}: "\\"" {name}_IN "\\""')


def runs_of_lines(places: Places, extractive: Extractive, limit: int, window: Window) -> list[Window]:
    """The runs of lines in the window that a field of `unit="line"` or "lines" can point at."""
    return [(start, end) for start, ends in _reach(places, extractive, limit, window) for end in ends]


def stands_beside(places: Places, node: Text, window: Window) -> bool:
    """Whether the window holds a value beside a word that the field is near: then the document says the value."""
    if node.extractive is None or not node.extractive.near:
        return False
    limit = node.max_length or MAX_CHARS
    if node.extractive.unit != "word":
        begins = set().union(*places.begins_beside(node.extractive.near))
        return any(start in begins for start, _ in _reach(places, node.extractive, limit, window))
    groups = [*places.beneath(node.extractive, window), *places.beside(node.extractive, limit)]
    return any(window[0] <= start and end <= window[1] for group in groups for start, end in group)


def _reach(places: Places, extractive: Extractive, limit: int, window: Window) -> list[tuple[int, list[int]]]:
    """Every place where a run of lines may begin, with its ends: in this line, and in the next ones where it begins
    with the line. Of these the places beside the first word that the field is near which has any, if one has; else
    those of runs without dates, amounts, telephone numbers and the like, if there are any."""
    if row := places.row(window):
        return _reach_in_row(places.text, row, extractive.near, limit)
    lines = places.line_parts
    reach = []
    for number, line in enumerate(lines):
        first = line.first_part if extractive.unit == "line" else []
        for start in line.begins:
            last = number + (MAX_LINES if start == places.lines[number][0] else 1)
            ends = sorted([*first, *(end for one in lines[number:last] for end in one.ends)])
            within = [end for end in ends if end <= window[1] and 0 < end - start <= limit]
            if start >= window[0] and within:
                reach.append((start, within))
    beside = ([one for one in reach if one[0] in begins] for begins in places.begins_beside(extractive.near))
    return next(filter(None, beside), None) or _without_facts(places.facts, reach) or reach


def _without_facts(facts: list[int], reach: list[tuple[int, list[int]]]) -> list[tuple[int, list[int]]]:
    """The runs that hold none of the facts: names and postal addresses do not."""
    found = []
    for start, ends in reach:
        nearest = bisect_left(facts, start)
        free = [end for end in ends if nearest == len(facts) or end <= facts[nearest]]
        if free:
            found.append((start, free))
    return found


def _reach_in_row(text: str, row: TableRow, near: tuple[str, ...], limit: int) -> list[tuple[int, list[int]]]:
    """The same within a row of a table: runs of its cells that begin and end with one that has letters, or the cell
    below a word that the field is near, where each cell is below a part of the header."""
    worded = [(start, end) for start, end in row.cells if any(map(str.isalpha, text[start:end]))]
    if len(row.header.ends) == len(row.cells):
        for start, end in row.below(near):
            if (start, end) in worded and end - start <= limit:
                return [(start, [end])]
    reach = [(start, [end for _, end in worded if 0 < end - start <= limit]) for start, _ in worded]
    return [one for one in reach if one[1]]


def quoted(text: str) -> str:
    """A JSON string."""
    return json.dumps(text, ensure_ascii=False)


def inner(text: str) -> str:
    """What stands between the quotes of a JSON string."""
    return quoted(text)[1:-1]


def literal(text: str) -> str:
    """A Lark string literal."""
    return json.dumps(text, ensure_ascii=False)

"""Extractive fields: a grammar whose values point into the chunk, written in llguidance's dialect of Lark.

Here stands its structure: objects are written out with the fixed separators; what is generated freely stays `%json`.
The values themselves are written in `terminals`, and in which windows they may stand is said by `windows`.

A list with `in_order` is written an item at a time: a grammar that reaches it ends behind the comma of the next item,
and `behind()` writes the next one, whose items point behind the words that are used.

This module makes grammar text and lists of alternatives; it knows neither the library's objects nor tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipeline.grammars.places import Places, Window
from pipeline.grammars.progress import Path, Progress
from pipeline.grammars.terminals import Alternatives, Terminals, inner, literal, quoted, stands_beside
from pipeline.grammars.windows import holds, item_end, next_windows, pieces, possible
from pipeline.schema import ITEM_SEPARATOR, KEY_SEPARATOR, List, Node, Object, Text, any_extractive
from pipeline.schema.canonical import write


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
            start = f"{literal(done)} {writer.resume(root, progress, progress.ordered, (), '')}"
        self.lark = "\n".join([f"start: {start}", *writer.rules]) + "\n"
        self._alternatives = writer.terminals.alternatives

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
        return [inner(rest[:most]) for rest in self._places.following(said)]

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
        self.terminals = Terminals(places, self.rules)

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
            body = literal("{") + " " + self._members(node, 0, path, behind)
        else:
            assert isinstance(node, List)  # noqa: S101 - only lists and objects hold order
            some = self._next(node, 0, 0, path, behind)
            body = '"[" (' + (f'"]" {behind} | {some}' if some else f'"]" {behind}') + ")"
        return f'({body} | "null" {behind})' if nullable else body

    def _members(self, node: Object, first: int, path: Path, behind: str) -> str:
        """The members from `first` on, the closing brace and what follows."""
        rest = self._rule("end", f"{literal('}')} {behind}")
        for index in range(len(node.fields) - 1, first - 1, -1):
            member = node.fields[index]
            key = (ITEM_SEPARATOR if index else "") + quoted(member.name) + KEY_SEPARATOR
            value = self.then(member.node, (*path, member.name), rest, nullable=member.nullable)
            rest = self._rule("member", f"{literal(key)} {value}")
        return rest

    def _next(self, node: List, count: int, start: int, path: Path, behind: str) -> str:
        """One item more of an ordered list with the mark behind it: the bracket and what follows, or a comma.

        The grammar ends behind the comma and not before it, because "}," is one token in most vocabularies: a model
        that is held to a bare "}" has all but said that the list ends.
        """
        ways: list[str] = []
        for (goes_on, ends), windows in next_windows(self.places, node, count, start).items():
            item = self._item(node, (*path, "[]"), windows)
            marks = [f'"]" {behind}'] * ends + [literal(ITEM_SEPARATOR[0])] * goes_on
            if item is not None:
                ways.append(f"{item} ({' | '.join(marks)})")
        return " | ".join(ways)

    def resume(self, node: Node, progress: Progress, target: Path, path: Path, behind: str) -> str:
        """What follows the finished items of the list at `target` and the comma behind them."""
        if isinstance(node, List):
            start = 0
            for value in progress.items:
                start = item_end(self.places, node, value, start)
            return f"{literal(ITEM_SEPARATOR[1:])} ({self._next(node, len(progress.items), start, path, behind)})"
        assert isinstance(node, Object)  # noqa: S101 - the target lies within objects
        index = next(i for i, member in enumerate(node.fields) if member.name == target[len(path)])
        member = node.fields[index]
        rest = self._members(node, index + 1, path, behind)
        return self.resume(member.node, progress, target, (*path, member.name), rest)

    # Whole values.

    def whole(self, node: Node, path: Path, window: Window, *, nullable: bool) -> str:
        """What stands for all of `node`, its values within the window."""
        if not any_extractive(node):
            schema = write(node)
            either = {"anyOf": [schema, {"type": "null"}]} if nullable else schema
            leaf = json.dumps({**either, "x-guidance": self.separators}, ensure_ascii=False)
            return self._rule("free", f"%json {leaf}")
        if nullable and not possible(self.places, node, window):
            return '"null"'
        match node:
            case Text():
                name = self.terminals.value(node, path, window)
                nullable = nullable and not stands_beside(self.places, node, window)
            case Object():
                windows = [one for one in pieces(self.places, node.within, window) if holds(self.places, node, one)]
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
            parts.append(literal(before + quoted(member.name) + KEY_SEPARATOR))
            parts.append(self.whole(member.node, (*path, member.name), window, nullable=member.nullable))
        return self._rule("object", f"{' '.join(parts)} {literal('}')}")

    def _list(self, node: List, path: Path, window: Window) -> str:
        windows = pieces(self.places, node.within, window) if node.max_items != 0 else []
        item = self._item(node, (*path, "[]"), windows)
        if item is None:
            return self._rule("list", '"[]"')
        low, high = max(node.min_items - 1, 0), "" if node.max_items is None else node.max_items - 1
        some = f'"[" {item} ({literal(ITEM_SEPARATOR)} {item}){{{low},{high}}} "]"'
        return self._rule("list", some if node.min_items else f'"[]" | {some}')

    def _item(self, node: List, path: Path, windows: list[Window]) -> str | None:
        """An item within one of the windows; None if nothing is left."""
        windows = [one for one in windows if possible(self.places, node.items, one)]
        ways = [self.whole(node.items, path, one, nullable=False) for one in windows]
        return self._rule("item", " | ".join(ways)) if ways else None


def _has_order(node: Node) -> bool:
    """Whether an ordered list stands in this part of the schema."""
    if isinstance(node, List):
        return node.in_order
    return isinstance(node, Object) and any(_has_order(member.node) for member in node.fields)

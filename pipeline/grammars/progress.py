"""How far an answer has come: what may begin at its end, and which items of an ordered list are finished.

Reads the beginning of an answer in the fixed rendering along its schema. Knows nothing of grammars or documents.
"""

from __future__ import annotations

import json

from pipeline.schema import ITEM_SEPARATOR, KEY_SEPARATOR, List, Node, Object

Path = tuple[str, ...]
"""The names on the way to a node; `[]` for the items of a list."""

_DECODER = json.JSONDecoder()


class Progress:
    """One reading of `text`. `expected`: the node whose value begins exactly at its end, where one does.

    `begun`: the node whose value has begun and is not finished, and the JSON text of that beginning.
    `ordered`: the list with `in_order` that is open at the end of the text, `items` its finished items and `end`
    where the last of them ends.
    """

    def __init__(self, root: Object, text: str) -> None:
        self.expected: Path | None = None
        self.begun: tuple[Path, str] | None = None
        self.nullable = False
        self.ordered: Path | None = None
        self.items: list[object] = []
        self.end = 0
        self.said: list[str] = []  # the finished strings, in order
        self._text = text
        self._value(root, (), 0, nullable=False)

    def _value(self, node: Node, path: Path, at: int, *, nullable: bool) -> int | None:
        """The end of the value that begins at `at`; None where the text ends first."""
        text = self._text
        if at == len(text):
            self.expected, self.nullable = path, nullable
            return None
        if isinstance(node, Object) and text[at] == "{":
            return self._object(node, path, at + 1)
        if isinstance(node, List) and text[at] == "[":
            return self._list(node, path, at + 1)
        try:
            value, end = _DECODER.raw_decode(text, at)
        except ValueError:
            self.begun = path, text[at:]
            return None
        if isinstance(value, str):
            self.said.append(value)
        return int(end)

    def _object(self, node: Object, path: Path, at: int) -> int | None:
        before = ""
        for member in node.fields:
            key = before + json.dumps(member.name, ensure_ascii=False) + KEY_SEPARATOR
            if not self._text.startswith(key, at):
                return None
            end = self._value(member.node, (*path, member.name), at + len(key), nullable=member.nullable)
            if end is None:
                return None
            at, before = end, ITEM_SEPARATOR
        return at + 1 if self._text.startswith("}", at) else None

    def _list(self, node: List, path: Path, at: int) -> int | None:
        if node.in_order:
            self.ordered, self.items, self.end = path, [], at
        before = ""
        while not self._text.startswith("]", at):
            if not self._text.startswith(before, at):
                return None
            start = at + len(before)
            end = self._value(node.items, (*path, "[]"), start, nullable=False)
            if end is None:
                return None
            if node.in_order:
                self.items.append(json.loads(self._text[start:end]))
                self.end = end
            at, before = end, ITEM_SEPARATOR
        if node.in_order:
            self.ordered = None
        return at + 1

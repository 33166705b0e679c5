"""The values of an answer, one by one in the order of its schema, and the nodes of a schema with their paths.

A list item's values know the item they belong to. Nothing is looked for here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.data import Found
from pipeline.grounding.folding import Place
from pipeline.schema import Boolean, Choice, List, Node, Number, Object, Text


@dataclass(slots=True)
class Leaf:
    """One value and the places where it may stand. `place` is chosen last."""

    path: str
    generic: str
    node: Text | Number | None  # None: generated, so there is nothing to look for
    value: object = field(repr=False)
    item: str = ""  # the path of the outermost list item it belongs to
    found: Found = Found.NOT_FOUND
    places: list[Place] = field(default_factory=list, repr=False)
    count: int = 0
    place: Place | None = None

    @property
    def written(self) -> str:
        """The value as a text."""
        return self.value if isinstance(self.value, str) else f"{self.value}"


def nodes_of(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """A node and all that is inside of it, with their paths, items unnumbered: `items[].price`."""
    yield path, node
    if isinstance(node, Object):
        for member in node.fields:
            yield from nodes_of(member.node, f"{path}.{member.name}" if path else member.name)
    elif isinstance(node, List):
        yield from nodes_of(node.items, f"{path}[]")


def leaves_of(node: Node, value: object, path: str, generic: str, item: str = "") -> Iterator[Leaf]:
    """The values that get evidence. Left out: nulls, blank texts, and what is not the text or number asked for."""
    match node:
        case Object() if isinstance(value, Mapping):
            dot = "." if path else ""
            for member in node.fields:
                name = f"{dot}{member.name}"
                yield from leaves_of(member.node, value.get(member.name), path + name, generic + name, item)
        case List() if isinstance(value, list | tuple):
            for index, inner in enumerate(value):
                here = f"{path}[{index}]"
                yield from leaves_of(node.items, inner, here, f"{generic}[]", item or here)
        case Text() if isinstance(value, str) and value.strip():
            yield Leaf(path, generic, None if node.summary else node, value, item)
        case Number() if isinstance(value, int | float) and not isinstance(value, bool):
            yield Leaf(path, generic, node, value, item)
        case Boolean() | Choice() if value is not None:
            yield Leaf(path, generic, None, value, item)

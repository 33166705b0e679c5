"""How many of the answers that were drawn beside the one that counts say the same, value by value.

Values are compared by what they mean where their field has a type (1/11/2018 is not 11/1/2018), else by letters and
digits. Items of a list are not numbered here: an item is agreed on where a sample has an equal value anywhere in its
list, so an answer that found one item more does not disagree on all that follow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from pipeline.confidence.rating import field_of
from pipeline.finders import normalise
from pipeline.schema import List, Node, Object, Text


def agreeing(schema: Object, values: Mapping[str, object], samples: Sequence[Mapping[str, object]]) -> dict[str, int]:
    """For each scalar of `values`, by path, how many samples have it too."""
    seen: dict[tuple[str, object], set[int]] = defaultdict(set)
    for number, sample in enumerate(samples):
        for path, meaning in _scalars(schema, sample, ""):
            seen[field_of(path), meaning].add(number)
    return {path: len(seen[field_of(path), meaning]) for path, meaning in _scalars(schema, values, "")}


def _scalars(node: Node, value: object, path: str) -> Iterator[tuple[str, object]]:
    match node:
        case Object() if isinstance(value, Mapping):
            for member in node.fields:
                if member.name in value:
                    here = f"{path}.{member.name}" if path else member.name
                    yield from _scalars(member.node, value[member.name], here)
        case List() if isinstance(value, list | tuple):
            for index, inner in enumerate(value):
                yield from _scalars(node.items, inner, f"{path}[{index}]")
        case _:
            yield path, _meaning(node, value)


def _meaning(node: Node, value: object) -> object:
    """Equal where two values say the same."""
    if not isinstance(value, str):
        return (type(value) is bool, value)
    if isinstance(node, Text) and node.type != "text" and (normal := normalise(value, node.type)) is not None:
        return normal.meaning(node.type)
    return "".join(char for char in value.casefold() if char.isalnum()) or value

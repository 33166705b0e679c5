"""How many of the answers that were drawn beside the one that counts say the same, value by value.

Values are compared by letters and digits. Items of a list are not numbered here: an item is agreed on where a sample
has an equal value anywhere in its list, so an answer that found one item more does not disagree on all that follow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from pipeline.confidence.rating import field_of


def agreeing(values: Mapping[str, object], samples: Sequence[Mapping[str, object]]) -> dict[str, int]:
    """For each scalar of `values`, by path, how many samples have it too."""
    seen: dict[tuple[str, object], set[int]] = defaultdict(set)
    for number, sample in enumerate(samples):
        for path, value in _scalars(sample, ""):
            seen[field_of(path), _folded(value)].add(number)
    return {path: len(seen[field_of(path), _folded(value)]) for path, value in _scalars(values, "")}


def _scalars(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _scalars(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _scalars(inner, f"{path}[{index}]")
    else:
        yield path, value


def _folded(value: object) -> object:
    if not isinstance(value, str):
        return (type(value) is bool, value)
    return "".join(char for char in value.casefold() if char.isalnum()) or value

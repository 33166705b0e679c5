"""One value against one label, and the best pairs of many."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from pipeline.finders import ValueType, normalise


def is_right(label: object, value: object, type: ValueType) -> tuple[bool, bool]:
    """Right as it is written, and right by letters and digits. Null is right nowhere but for a null label."""
    alternatives = label["any_of"] if isinstance(label, Mapping) and "any_of" in label else [label]
    if value is None or isinstance(value, Mapping | list | tuple):
        both_empty = value is None and None in alternatives
        return both_empty, both_empty
    exact = any(_is_exact(one, value) for one in alternatives)
    return exact, exact or any(_is_normalised(one, value, type) for one in alternatives if one is not None)


def _is_exact(label: object, value: object) -> bool:
    if isinstance(label, bool) or isinstance(value, bool):
        return label is value
    return label == value


def _is_normalised(label: object, value: object, type: ValueType) -> bool:
    if type in ("money", "number") or _is_number(label) or _is_number(value):
        one, other = _numbers(label), _numbers(value)
        if one and other:
            return bool(one & other)
    if type == "date" and _is_same_day(str(label), str(value)):
        return True
    if type == "currency" and _is_same_currency(str(label), str(value)):
        return True
    one_text, other_text = _squeeze(str(label)), _squeeze(str(value))
    return one_text == other_text if one_text or other_text else str(label).strip() == str(value).strip()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(value: object) -> set[Decimal]:
    """The numbers that a value may mean: 1.234 may be two."""
    if _is_number(value):
        return {Decimal(str(value))}
    found = set()
    for decimal in (None, ".", ","):
        for type in ("money", "number"):
            normal = normalise(str(value), type, decimal=decimal)
            if normal is not None:
                found.add(Decimal(normal.value))
                break
    return found


def _is_same_day(label: str, value: str) -> bool:
    """Whether both may mean one day. 03/04/2018 may be two days, but is neither of those that 04/03/2018 may be."""
    readings = [
        [normalise(side, "date", day_first=day_first) for day_first in (True, False)] for side in (label, value)
    ]
    one, other = ([reading.value for reading in both if reading] for both in readings)
    if len({*one}) > 1 and len({*other}) > 1:
        return one == other
    return not {*one}.isdisjoint(other)


def _is_same_currency(label: str, value: str) -> bool:
    """Whether both name one currency: a sign or a code."""
    one, other = normalise(label, "currency"), normalise(value, "currency")
    return one is not None and other is not None and one.value == other.value


def _squeeze(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())


def best_total(likeness: npt.NDArray[np.float64]) -> int:
    """What the best pairs are worth together."""
    if likeness.size == 0:
        return 0
    return int(sum(likeness[row, column] for row, column in best_pairs(likeness)))


def best_pairs(likeness: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs of a row and a column each, so that their likeness adds up to the most (Hungarian method)."""
    if likeness.shape[0] > likeness.shape[1]:
        return sorted((row, column) for column, row in best_pairs(likeness.T))
    rows, columns = likeness.shape
    cost = likeness.max() - likeness
    row_price, column_price = np.zeros(rows + 1), np.zeros(columns + 1)
    row_of = np.zeros(columns + 1, dtype=int)  # 0: free; column 0 is where each search starts
    for row in range(1, rows + 1):
        row_of[0], column = row, 0
        least = np.full(columns + 1, np.inf)
        came_from = np.zeros(columns + 1, dtype=int)
        seen = np.zeros(columns + 1, dtype=bool)
        while row_of[column]:
            seen[column] = True
            current = row_of[column]
            reduced = cost[current - 1] - row_price[current] - column_price[1:]
            closer = ~seen[1:] & (reduced < least[1:])
            least[1:][closer] = reduced[closer]
            came_from[1:][closer] = column
            following = int(np.argmin(np.where(seen, np.inf, least)[1:])) + 1
            step = least[following]
            row_price[row_of[seen]] += step
            column_price[seen] -= step
            least[~seen] -= step
            column = following
        while column:
            row_of[column] = row_of[came_from[column]]
            column = came_from[column]
    return sorted((int(row_of[column]) - 1, column - 1) for column in range(1, columns + 1) if row_of[column])

"""Counts of right values, and how their F1 would vary with other documents of the same kind (bootstrap)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Interval = tuple[float, float]
"""95 of 100 resamples of the documents lie in it."""


@dataclass(frozen=True, slots=True)
class Score:
    """How many values were given, asked for, and right."""

    right: int = 0
    predicted: int = 0
    gold: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(self.right + other.right, self.predicted + other.predicted, self.gold + other.gold)

    @property
    def precision(self) -> float:
        """The share of given values that are right; 1 where nothing was given or asked for."""
        return self.right / self.predicted if self.predicted else float(not self.gold)

    @property
    def recall(self) -> float:
        """The share of labels that were met; 1 where there are none."""
        return self.right / self.gold if self.gold else float(not self.predicted)

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        total = self.predicted + self.gold
        return 2 * self.right / total if total else 1.0


def resamples(documents: int, samples: int, seed: int) -> npt.NDArray[np.float64]:
    """How often each document is drawn, for each resample."""
    if not documents:
        return np.zeros((samples, 0))
    generator = np.random.default_rng(seed)
    return generator.multinomial(documents, np.full(documents, 1 / documents), size=samples).astype(float)


def count_table(ids: Sequence[str], fields: Sequence[Mapping[str, Score]]) -> npt.NDArray[np.float64]:
    """right, predicted + gold for each document and field."""
    counts = np.zeros((len(ids), len(fields), 2))
    for row, document in enumerate(ids):
        for column, by_document in enumerate(fields):
            score = by_document.get(document)
            if score:
                counts[row, column] = score.right, score.predicted + score.gold
    return counts


def f1_table(counts: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """F1 of each field in each resample; 1 where a resample has nothing of the field."""
    drawn = np.einsum("sd,dfk->sfk", weights, counts)
    total = drawn[:, :, 1]
    return np.asarray(np.divide(2 * drawn[:, :, 0], total, out=np.ones_like(total), where=total > 0))


def interval(values: npt.NDArray[np.float64]) -> Interval:
    """Where the middle 95 of 100 values lie."""
    low, high = np.quantile(values, [0.025, 0.975])
    return (float(low), float(high))

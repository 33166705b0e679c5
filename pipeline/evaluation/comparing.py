"""One run against another on the same labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.scores import Interval, count_table, f1_table, interval, resamples
from pipeline.evaluation.scoring import Report


@dataclass(frozen=True, slots=True)
class Difference:
    """How much F1 rose from one run to another on the same documents. `is_noise`: the interval holds 0."""

    name: str
    before: float
    after: float
    interval: Interval

    @property
    def gain(self) -> float:
        """After less before."""
        return self.after - self.before

    @property
    def is_noise(self) -> bool:
        """Whether a difference as large may come from the choice of documents alone."""
        return self.interval[0] <= 0 <= self.interval[1]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One run against another, on the documents that both were scored on."""

    documents: int
    micro: Difference
    fields: tuple[Difference, ...]
    better: tuple[tuple[str, str], ...]  # document, field
    worse: tuple[tuple[str, str], ...]


def compare(before: Report, after: Report, *, samples: int = 1000, seed: int = 0) -> Comparison:
    """What got better and what worse between two runs, and whether it is more than the choice of documents.

    Both runs are resampled together (paired bootstrap), on the documents and fields that both were scored on.
    """
    ids = [document for document in before.by_document if document in after.by_document]
    names = [score.name for score in before.fields if any(score.name in before.by_document[d] for d in ids)]
    names = [name for name in names if any(name in after.by_document[d] for d in ids)]
    weights = resamples(len(ids), samples, seed)
    sides = [
        count_table(ids, [{d: r.by_document[d][name] for d in ids if name in r.by_document[d]} for name in names])
        for r in (before, after)
    ]
    changes = [
        (document, name, after.by_document[document][name].f1 - before.by_document[document][name].f1)
        for document in ids
        for name in names
        if name in before.by_document[document] and name in after.by_document[document]
    ]
    return Comparison(
        documents=len(ids),
        micro=_difference("micro", [side.sum(axis=1, keepdims=True) for side in sides], 0, weights),
        fields=tuple(_difference(name, sides, column, weights) for column, name in enumerate(names)),
        better=tuple((document, name) for document, name, gain in changes if gain > 0),
        worse=tuple((document, name) for document, name, gain in changes if gain < 0),
    )


def _difference(
    name: str, sides: Sequence[npt.NDArray[np.float64]], column: int, weights: npt.NDArray[np.float64]
) -> Difference:
    each_once = np.ones((1, weights.shape[1]))
    before, after = (float(f1_table(side, each_once)[0, column]) for side in sides)
    gains = f1_table(sides[1], weights)[:, column] - f1_table(sides[0], weights)[:, column]
    return Difference(name, before, after, interval(gains))

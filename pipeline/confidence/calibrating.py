"""Values known to be right or wrong -> a calibration, and how good such a one is on documents it has not seen.

A ridge logistic regression: few labels must not make it sure. Fields share all weights; each has an offset of its own
that the ridge pulls to nothing where the field has few values.

What no labelled value shows must not pass for harmless: a value that stands nowhere, and one that OCR read with doubt,
are lowered whatever the labels say, and more where they say so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as attribute

import numpy as np
import numpy.typing as npt

from pipeline.confidence.rating import FEATURES, Calibration

_RIDGE = 1.0
_STEPS = 100
_FOLDS = 10
_BINS = 10
_AT_MOST = {"unfounded": math.log(0.2), "misread": -2.0}
"""Weights that are never larger: a fifth of the odds; the odds times the square of how sure OCR was."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Observation:
    """One value: whose it is, its features, and whether it is right."""

    document: str
    field: str
    right: bool
    numbers: tuple[float, ...] = attribute(repr=False)


@dataclass(frozen=True, slots=True)
class Bin:
    """Values of about the same confidence: how sure, and how often right."""

    values: int
    confidence: float
    right: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """The share of values that can be kept so that `precision` of them are right, and the confidence from which."""

    precision: float
    share: float
    threshold: float | None  # None: no such set


def fit(task: str, observations: Sequence[Observation]) -> Calibration:
    """The calibration that these values support. At least one is needed."""
    names = sorted({one.field for one in observations})
    numbers = np.array([one.numbers for one in observations], dtype=float)
    mean, spread = numbers.mean(axis=0), numbers.std(axis=0)
    spread[spread < 1e-9] = 1.0  # the same everywhere: nothing to learn
    fields = np.array([[one.field == name for name in names] for one in observations], dtype=float)
    right = np.array([one.right for one in observations], dtype=float)
    intercept, weights, offsets = _bounded((numbers - mean) / spread, fields, right, spread)
    return Calibration(
        task,
        len(observations),
        float(intercept - weights @ mean),
        dict(zip(FEATURES, map(float, weights), strict=True)),
        dict(zip(names, map(float, offsets), strict=True)),
    )


def _bounded(scaled: Floats, fields: Floats, right: Floats, spread: Floats) -> tuple[float, Floats, Floats]:
    """The intercept, the weights of the features as they were before scaling, and those of the fields.

    A weight that comes out above its bound is held there, and the others are fitted anew around it.
    """
    most = np.array([_AT_MOST.get(name, math.inf) for name in FEATURES])
    held = np.zeros(len(FEATURES), dtype=bool)
    ones = np.ones((len(right), 1))
    while True:
        given = np.where(held, most, 0.0)
        columns = np.hstack([ones, np.where(held, 0.0, scaled), fields])
        found = _logistic(columns, (scaled * spread) @ given, right)
        weights = found[1 : 1 + len(FEATURES)] / spread + given
        if not (weights > most).any():
            return float(found[0]), weights, found[1 + len(FEATURES) :]
        held |= weights > most


def _logistic(columns: Floats, given: Floats, right: Floats) -> Floats:
    """The weights that, beside the logits that are `given`, say best what is right.

    Newton's method; the intercept (column 0) is not pulled to nothing. Steps that do not help are halved.
    """
    ridge = np.full(columns.shape[1], _RIDGE)
    ridge[0] = 1e-6

    def loss(weights: Floats) -> float:
        logits = columns @ weights + given
        return float(np.logaddexp(0, logits).sum() - right @ logits + ridge @ weights**2 / 2)

    weights = np.zeros(columns.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(columns @ weights + given, -500, 500)))
        slope = columns.T @ (chance - right) + ridge * weights
        curve = (columns * (chance * (1 - chance))[:, None]).T @ columns + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > 1e-9:
            step /= 2
        weights = weights - step
        if np.abs(step).max() < 1e-9:
            break
    return weights


def held_out(observations: Sequence[Observation]) -> list[float]:
    """The confidence of each value by a calibration that has not seen its document (ten folds)."""
    documents = list(dict.fromkeys(one.document for one in observations))
    folds = min(_FOLDS, len(documents))
    fold = {document: at % folds for at, document in enumerate(documents)}
    confidences = [0.5] * len(observations)
    for number in range(folds):
        seen = [one for one in observations if fold[one.document] != number]
        if not seen:
            continue
        calibration = fit("", seen)
        for at, one in enumerate(observations):
            if fold[one.document] == number:
                confidences[at] = calibration.probability(one.field, one.numbers)
    return confidences


def reliability(confidences: Sequence[float], right: Sequence[bool]) -> tuple[Bin, ...]:
    """Values in ten bins of confidence, empty ones left out."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, is_right in zip(confidences, right, strict=True):
        bins.setdefault(min(int(confidence * _BINS), _BINS - 1), []).append((confidence, is_right))
    return tuple(
        Bin(len(held), sum(c for c, _ in held) / len(held), sum(r for _, r in held) / len(held))
        for _, held in sorted(bins.items())
    )


def coverage(
    confidences: Sequence[float], right: Sequence[bool], precisions: Sequence[float] = (0.90, 0.95, 0.99)
) -> tuple[Coverage, ...]:
    """How many values can be kept at each precision. Values of equal confidence are kept or dropped together."""
    steps = coverage_curve(confidences, right)
    out = []
    for precision in precisions:
        good = [(share, threshold) for share, reached, threshold in steps if reached >= precision]
        share, threshold = max(good, default=(0.0, None))
        out.append(Coverage(precision, share, threshold))
    return tuple(out)


def coverage_curve(confidences: Sequence[float], right: Sequence[bool]) -> list[tuple[float, float, float]]:
    """(share kept, precision, threshold), surest first."""
    ranked = sorted(zip(confidences, right, strict=True), key=lambda pair: -pair[0])
    steps, good = [], 0
    for kept, (confidence, is_right) in enumerate(ranked, start=1):
        good += is_right
        if kept == len(ranked) or ranked[kept][0] != confidence:
            steps.append((kept / len(ranked), good / kept, confidence))
    return steps

"""A value's signal and its evidence -> one number from 0 to 1.

Without a calibration the number puts values in an order and promises no frequency. With one it says how often such
values were right on labelled documents.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pipeline.confidence.signals import Signal
from pipeline.data import Evidence, Found
from pipeline.errors import UserError

FEATURES = (
    "allowed",
    "likelihood",
    "kept",
    "gap",
    "length",
    "agreement",
    "occurrences",
    "unasked",
    "folded",
    "fuzzy",
    "unfounded",
    "misread",
)
"""What a calibration weighs, beside the field."""

_GROUND = {
    Found.GENERATED: 1.0,  # it need not stand anywhere
    Found.POINTED: 1.0,
    Found.EXACT: 1.0,
    Found.FOLDED: 0.95,
    Found.FUZZY: 0.6,  # close to the text is not the text
    Found.FROM_EXAMPLE: 0.05,  # copied from where no fact of this document stands
    Found.NOT_FOUND: 0.2,  # may be converted or inferred; is more often invented
}
_UNASKED = 0.5  # nothing was chosen, so nothing is known
_LEAST = -20.0  # logarithms below say the same: never
_MOST_GAP = 10.0


def field_of(path: str) -> str:
    """The field that a path belongs to, items unnumbered: `items[].price`."""
    return re.sub(r"\[\d+\]", "[]", path)


def features(signal: Signal, evidence: Evidence) -> tuple[float, ...]:
    """The numbers behind FEATURES."""
    return (
        max(signal.allowed, _LEAST),
        max(signal.logprob / max(signal.tokens, 1), _LEAST),
        max(math.log1p(-signal.removed), _LEAST) if signal.removed < 1 else _LEAST,
        min(signal.gap, _MOST_GAP),
        math.log1p(signal.tokens),
        signal.agreement,
        math.log1p(max(evidence.occurrences - 1, 0)),
        float(signal.tokens == 0),
        float(evidence.found is Found.FOLDED),
        float(evidence.found is Found.FUZZY),
        float(evidence.found in (Found.FROM_EXAMPLE, Found.NOT_FOUND)),
        -max(math.log(signal.read), _LEAST) if signal.read > 0 else -_LEAST,
    )


def rate(signal: Signal, evidence: Evidence) -> float:
    """The uncalibrated number: how well the value is grounded and was read, times how sure the model was of it.

    The last is the geometric mean of two likelihoods, for each misses what the other sees: that of the whole value
    among what the grammar allowed (which of these), and that of its average token under the model alone (whether any
    of these; the average, because long values are not wrong for being long). Where further answers were drawn, it is
    the mean of that and of how far they agree.
    """
    sure = math.exp((signal.allowed + signal.logprob / signal.tokens) / 2) if signal.tokens else _UNASKED
    if signal.samples:
        sure = (sure + signal.agreement) / 2
    return _GROUND[evidence.found] * signal.read * sure


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic regression over FEATURES and the field, fitted to one task with one model."""

    task: str
    values: int  # that it was fitted to
    intercept: float
    weights: Mapping[str, float]
    fields: Mapping[str, float]

    def probability(self, field: str, numbers: Sequence[float]) -> float:
        """How often such values were right. Never surer than the number of values it was fitted to allows."""
        logit = self.intercept + self.fields.get(field, 0.0)
        logit += math.fsum(self.weights[name] * x for name, x in zip(FEATURES, numbers, strict=True))
        least = 1 / (self.values + 2)
        return min(max(1 / (1 + math.exp(-max(min(logit, 500.0), -500.0))), least), 1 - least)

    def to_json(self) -> str:
        """As it is kept in a file."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Read what `to_json` wrote. Raises UserError where it was written for other features."""
        try:
            read = cls(**json.loads(text))
            fits = set(read.weights) == set(FEATURES) and isinstance(read.values, int)
        except (ValueError, TypeError):
            fits = False
        if not fits:
            raise UserError(
                "The calibration was not written by this version of Nightdesk.",
                hint="Remove the file, or make it anew: nightdesk eval --calibrate.",
            )
        return read


def rated(
    evidence: Sequence[Evidence], signals: Mapping[str, Signal], calibration: Calibration | None = None
) -> tuple[Evidence, ...]:
    """The evidence with its confidence filled in, where there is a value and its tokens are known."""
    return tuple(_rated(piece, signals.get(piece.path), calibration) for piece in evidence)


def _rated(evidence: Evidence, signal: Signal | None, calibration: Calibration | None) -> Evidence:
    if signal is None or evidence.found is Found.CUT:
        return evidence
    if calibration is None:
        confidence = rate(signal, evidence)
    else:
        confidence = calibration.probability(field_of(evidence.path), features(signal, evidence))
    return dataclasses.replace(evidence, confidence=round(confidence, 6))

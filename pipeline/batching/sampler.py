"""The one place where a token is chosen from logits, for every engine and every grammar."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.batching import Logits
from pipeline.grammars import Mask


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen token. `logprob` is under the unmasked model, `removed` the probability the mask took away,
    `gap` the distance between the two best allowed logits (inf where there was no second)."""

    token: int
    logprob: float
    removed: float
    gap: float


def forced(token: int) -> Choice:
    """A token that the grammar left no choice about; the model was not asked."""
    return Choice(token, 0.0, 0.0, math.inf)


def log_normaliser(logits: Logits) -> float:
    """log(sum(exp(logits))), the number that turns logits into log-probabilities."""
    top = float(logits.max())
    return top + math.log(float(np.exp(logits - top, dtype=np.float32).sum(dtype=np.float64)))


def choose(logits: Logits, mask: Mask, temperature: float, random: np.random.Generator) -> Choice:
    """The best allowed token (temperature 0) or a draw from the allowed ones, after masking.

    `mask` has one bit a token, little-endian; at least one must be set. Ties go to the lowest id.
    """
    allowed = np.flatnonzero(np.unpackbits(mask.view(np.uint8), count=logits.size, bitorder="little"))
    if allowed.size == 1:  # the same figures whether the engine takes forced tokens without asking or not
        return forced(int(allowed[0]))
    values = logits[allowed]
    normaliser = log_normaliser(logits)
    mass = np.exp(values.astype(np.float64) - normaliser)
    best = int(values.argmax())
    picked = best
    if temperature > 0:
        weights = np.exp((values.astype(np.float64) - float(values[best])) / temperature)
        cumulated = weights.cumsum()
        picked = int(np.searchsorted(cumulated, random.random() * cumulated[-1], side="right"))
    top_two = np.partition(values, -2)[-2:]
    return Choice(
        token=int(allowed[picked]),
        logprob=float(values[picked]) - normaliser,
        removed=max(0.0, 1.0 - float(mass.sum())),
        gap=float(top_two[1] - top_two[0]),
    )

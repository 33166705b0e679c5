"""The one place where a token is chosen from logits, for every engine and every grammar."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
    top, weights = _weights(logits)
    return top + math.log(float(weights.sum(dtype=np.float64)))


def _weights(logits: Logits) -> tuple[float, npt.NDArray[np.float32]]:
    """The largest logit, and exp(logit - largest) of each."""
    top = float(logits.max())
    return top, np.exp(logits - np.float32(top))


def choose(logits: Logits, mask: Mask, temperature: float, random: np.random.Generator) -> Choice:
    """The best allowed token (temperature 0) or a draw from the allowed ones, after masking.

    `mask` has one bit a token, little-endian; at least one must be set. Ties go to the lowest id.
    """
    allowed = np.unpackbits(mask.view(np.uint8), count=logits.size, bitorder="little").view(np.bool_)
    if np.count_nonzero(allowed) == 1:  # the same figures whether the engine takes forced tokens without asking or not
        return forced(int(allowed.argmax()))
    # Whole rows with holes: collecting what is allowed takes longer, of a vocabulary of 262,000 milliseconds a token.
    masked = np.where(allowed, logits, np.float32(-np.inf))
    best = picked = int(masked.argmax())
    if temperature > 0:
        drawn = np.exp((masked.astype(np.float64) - float(masked[best])) / temperature).cumsum()
        picked = int(np.searchsorted(drawn, random.random() * drawn[-1], side="right"))
    masked[best] = -np.inf
    top, weights = _weights(logits)
    whole = float(weights.sum(dtype=np.float64))
    return Choice(
        token=picked,
        logprob=float(logits[picked]) - top - math.log(whole),
        removed=max(0.0, 1.0 - float(weights.sum(where=allowed, dtype=np.float64)) / whole),
        gap=float(logits[best] - masked.max()),
    )

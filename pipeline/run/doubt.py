"""How sure OCR was of the words of a value: a value is no surer than the reading of its least sure word."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Sequence

from pipeline.data import Evidence, Word

_DOUBT = 0.7  # a word that Tesseract is less sure of is read with doubt


def doubted(evidence: Sequence[Evidence], words: Sequence[Word]) -> tuple[Evidence, ...]:
    """The evidence with its confidence times that of the least sure word that it stands on. `words` are in order."""
    return tuple(_doubted(piece, _least(piece, words)) for piece in evidence) if words else tuple(evidence)


def is_doubtful(evidence: Evidence, words: Sequence[Word]) -> bool:
    """Whether a word of the value was read with doubt."""
    return _least(evidence, words) < _DOUBT


def _doubted(evidence: Evidence, least: float) -> Evidence:
    if evidence.confidence is None:
        return evidence
    return dataclasses.replace(evidence, confidence=round(evidence.confidence * least, 6))


def _least(evidence: Evidence, words: Sequence[Word]) -> float:
    """1 where the value stands on no word that OCR read."""
    if evidence.start is None or evidence.end is None:
        return 1.0
    first = bisect_right(words, evidence.start, key=lambda word: word.end)
    least = 1.0
    for word in words[first:]:
        if word.start >= evidence.end:
            break
        least = min(least, word.confidence)
    return least

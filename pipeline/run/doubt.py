"""How sure OCR was of the words of a value: a value is no surer than the reading of its least sure word."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from pipeline.confidence import Signal
from pipeline.data import Evidence, Word

_DOUBT = 0.7  # a word that Tesseract is less sure of is read with doubt


def read(signals: Mapping[str, Signal], evidence: Sequence[Evidence], words: Sequence[Word]) -> Mapping[str, Signal]:
    """The signals with how sure OCR was of the least sure word that each value stands on. `words` are in order."""
    if not words:
        return signals
    places = {piece.path: piece for piece in evidence}
    return {
        path: dataclasses.replace(signal, read=_least(places[path], words)) if path in places else signal
        for path, signal in signals.items()
    }


def is_doubtful(evidence: Evidence, words: Sequence[Word]) -> bool:
    """Whether a word of the value was read with doubt."""
    return _least(evidence, words) < _DOUBT


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

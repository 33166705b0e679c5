"""Roughly how fast a model writes on this machine, before it is loaded: an estimate, and named so wherever it is shown.

To write one token every weight that takes part is read from memory once, so one answer at a time is written at about
memory bandwidth / bytes of these weights. Answers written together, the reading of prompts, a GPU and the cache of long
prompts are not in it.
"""

from __future__ import annotations

import time
from functools import cache

import numpy as np

from pipeline.models.gguf import Header

_BLOCK = 64 << 20  # larger than the caches of a processor
_ROUNDS = 3


def tokens_a_second(header: Header, bandwidth: float) -> float:
    """The estimate: `bandwidth` (bytes a second) over the bytes that one token reads."""
    return bandwidth / max(1.0, read_for_a_token(header))


def read_for_a_token(header: Header) -> float:
    """Bytes of weights that take part in one token: of a mixture of experts about the share that is used."""
    used, count = (header.metadata.get(f"{header.architecture}.expert_{key}") for key in ("used_count", "count"))
    share = used / count if isinstance(used, int) and isinstance(count, int) and 0 < used < count else 1.0
    return header.tensor_bytes * share


@cache
def bandwidth() -> float:
    """Bytes a second that one core copies in memory now: the best of a few rounds, some hundredths of a second."""
    source, target = np.ones(_BLOCK, np.uint8), np.ones(_BLOCK, np.uint8)
    best = 0.0
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        np.copyto(target, source)
        best = max(best, 2 * _BLOCK / (time.perf_counter() - began))
    return best

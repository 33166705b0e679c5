"""One question asked several times: the answer that counts, and others drawn beside it.

All of them share the whole prompt but its last token, so it stands in the KV cache once and each further answer costs
what it writes itself. To the engine they are prompts like any other; only their names tell that they belong together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from pipeline.config import Sampling
from pipeline.data import Prompt, Segment


def with_samples(prompt: Prompt, sampling: Sampling) -> Iterator[Prompt]:
    """The prompt, and as many of its siblings as `sampling` asks for. Without any it stays as it is."""
    if not sampling.samples:
        yield prompt
        return
    *before, last = prompt.segments
    segments = tuple(dataclasses.replace(segment, shared=True) for segment in before)
    if len(last.tokens) > 1:  # the last token's logits are needed anew in each sequence
        segments = (*segments, Segment.of(last.tokens[:-1], shared=True))
    prompt = dataclasses.replace(prompt, segments=(*segments, Segment.of(last.tokens[-1:])))
    yield prompt
    for number in range(1, sampling.samples + 1):
        key = f"{prompt.work_key}/{number}"
        yield dataclasses.replace(prompt, work_key=key, temperature=sampling.sample_temperature)


def question_of(work_key: str) -> tuple[str, int]:
    """The work key of the question, and the number of the sample (0: the answer that counts)."""
    key, _, number = work_key.partition("/")
    return key, int(number or 0)

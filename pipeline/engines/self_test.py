"""Seconds that tell, the first time a file is used, whether sequences disturb each other and a prefix can be shared.

Equal prompts side by side, greedy, must give one answer, and prompts whose beginning was copied from a holder must give
the answer of those that decoded it themselves. llama.cpp has mixed up the states of recurrent models in batches before
(its issue 29002), so with those `one answer` is meant to the letter. Of models that only attend, equal rows of one call
may differ by rounding: an answer may part from the first one where that one's best token and the other's are closer
than NEAR (demo model, LOG.md). Loads weights; the result is remembered by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.batching import Backend, Logits, Row
from pipeline.batching.ranking import MOST_FORKS
from pipeline.engines.sizes import Sizes
from pipeline.errors import ChildError, EngineError
from pipeline.models.tokenizer import Tokenizer
from pipeline.supervise import Worker

Verdict = Literal["passed", "alone", "unshared"]
"""Several answers at a time are right; one at a time is; only one at a time with nothing shared is."""

TOGETHER = 6
NEAR = 0.4  # of the standard deviation of a row: a call of another shape moves a logit by up to 0.18 of it (LOG.md)
LARGE = 2 << 30  # bytes of weights; what is larger gets a third of the tokens
SECONDS = 900.0
_TEXT = (
    "The meeting was moved from Tuesday to Thursday because the hall was closed for repairs. Three of the members "
    "could not come. The treasurer reported 1,240.50 in the account and asked for"
)


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What a child is asked: a file, the settings that it will be run with, and how much to try."""

    path: Path
    sizes: Sizes
    strict: bool  # equal prompts must give equal answers, however near two tokens are
    large: bool

    @property
    def prompt(self) -> int:
        """The most tokens of a prompt; half of them are shared."""
        return 24 if self.large else 64

    @property
    def steps(self) -> int:
        """Tokens that are answered."""
        return 8 if self.large else 24


def ask(test: SelfTest, environment: dict[str, str]) -> Verdict | None:
    """Test in a child; None where it did not live to tell. Raises ModelError where the model cannot be loaded."""
    worker: Worker[SelfTest, Verdict] = Worker(run, name="self-test", timeout=SECONDS, environment=environment)
    try:
        return worker.ask(test)
    except ChildError:
        return None
    finally:
        worker.child.stop()


def run(test: SelfTest) -> Verdict:
    """Load the file and test it, here. At most 900 tokens are decoded, 400 of a large file."""
    from pipeline.engines import pools

    tokenizer = Tokenizer.load(test.path)
    first = [tokenizer.bos] if tokenizer.add_bos and tokenizer.bos is not None else []
    prompt = [*first, *tokenizer.encode(_TEXT, first=True)][: test.prompt]
    forks = range(TOGETHER + 1, TOGETHER + 1 + MOST_FORKS if test.sizes.comparison_cells else TOGETHER + 1)
    sequences = forks.stop
    sizes = replace(test.sizes, cells=1024, max_sequences=sequences, max_batch=512, max_outputs=sequences, ubatch=512)
    sizes = replace(sizes, prefill_cells=min(sizes.prefill_cells, 1024))
    sizes = replace(sizes, comparison_cells=min(sizes.comparison_cells, 1024))
    model = pools.load(test.path, sizes, least=2)  # prompts are short here
    try:
        return verdict(model, prompt, test.steps, strict=test.strict, forks=forks[:TOGETHER])
    finally:
        model.close()


def verdict(model: Backend, prompt: Sequence[int], steps: int, *, strict: bool, forks: Sequence[int] = ()) -> Verdict:
    """The test itself, over any backend with an empty cache. `forks`: sequences that have a pool of their own."""
    if _undisturbed(model, TOGETHER, prompt, steps, strict=strict, forks=forks):
        return "passed"
    return "alone" if _undisturbed(model, 1, prompt, steps, strict=strict, forks=forks) else "unshared"


def _undisturbed(
    model: Backend, slots: int, prompt: Sequence[int], steps: int, *, strict: bool, forks: Sequence[int]
) -> bool:
    try:
        own, reference = _answered(model, slots, prompt, steps, shared=False)
        shared, _ = _answered(model, slots, prompt, steps, shared=True)
        forked, _ = _answered(model, 1, prompt, steps, shared=True, forks=forks) if forks else ([], [])
    except EngineError:
        return False
    if strict and not _one(own) & _one(shared):
        return False
    return all(_near(reference, answer) for answer in (*own, *shared, *forked))


def _answered(
    model: Backend, slots: int, prompt: Sequence[int], steps: int, *, shared: bool, forks: Sequence[int] = ()
) -> tuple[list[list[int]], list[Logits]]:
    """What each slot, or each fork of a single slot, answers to the prompt, all written together, and the logits of the
    first one.

    The first half of the prompt is decoded by each slot, or by a holder that it is copied from; the calls that follow
    are of the same shape either way.
    """
    for sequence in range(TOGETHER + 1):
        model.drop(sequence)
    users = range(1, slots + 1)
    half = len(prompt) // 2
    for sequence in [0] if shared else users:
        model.decode([Row(token, i, (sequence,)) for i, token in enumerate(prompt[:half])])
    for slot in users if shared else ():
        model.copy(0, slot)
    last = len(prompt) - 1
    model.decode([Row(prompt[i], i, (slot,), logits=i == last) for slot in users for i in range(half, len(prompt))])
    ends = [number * (len(prompt) - half) - 1 for number in users]
    writers = forks or users
    if forks:
        ends *= len(forks)
    for fork in forks:
        model.copy(1, fork)
    answers: list[list[int]] = [[] for _ in writers]
    reference = []
    for step in range(steps):
        reference.append(model.logits(ends[0]).copy())
        for answer, end in zip(answers, ends, strict=True):
            answer.append(int(np.argmax(model.logits(end))))
        position = len(prompt) + step
        model.decode([Row(a[-1], position, (slot,), logits=True) for slot, a in zip(writers, answers, strict=True)])
        ends = [*range(len(writers))]
    for fork in forks:
        model.drop(fork)
    return answers, reference


def _one(answers: list[list[int]]) -> bool:
    return len({*map(tuple, answers)}) == 1


def _near(reference: list[Logits], answer: list[int]) -> bool:
    """Whether the answer is the reference's, or parts from it at a token that is nearly as good there."""
    for logits, token in zip(reference, answer, strict=True):
        best = int(np.argmax(logits))
        if token != best:
            return bool(logits[best] - logits[token] < NEAR * logits.std())
    return True

"""Seconds that tell whether sequences answered together with this model disturb each other.

llama.cpp has mixed up the states of recurrent models in batches before (its issue 29002). Equal prompts side by side,
greedy, must give one answer; and a prompt whose beginning was copied from a holder must give that answer too, or part
from it where the two best tokens are nearly equal. A model that fails is given one slot. Loads weights; the result is
remembered by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.batching import Backend, Logits, Row
from pipeline.engines.sizes import Sizes
from pipeline.errors import ChildError, EngineError, ModelError
from pipeline.models.tokenizer import Tokenizer
from pipeline.supervise import Worker

TOGETHER = 6
STEPS = 24
NEAR = 1.0  # logits; batch shapes alone move them by up to 0.8 (ENGINE.md 7)
SECONDS = 900.0
_TEXT = (
    "The meeting was moved from Tuesday to Thursday because the hall was closed for repairs. Three of the members "
    "could not come. The treasurer reported 1,240.50 in the account and asked for"
)
SIZES = Sizes(2048, TOGETHER + 1, 1024, TOGETHER + 1, 512, threads=1)

_Answer = list[tuple[int, float]]  # tokens, each with its distance to the second best


def passes(path: Path, threads: int) -> bool:
    """Run the test in a child: a crash there is a failure of the test and not of the run."""
    worker: Worker[tuple[Path, int], bool] = Worker(_run, name="self-test", timeout=SECONDS)
    try:
        return worker.ask((path, threads))
    except (ChildError, ModelError):
        return False
    finally:
        worker.child.stop()


def _run(request: tuple[Path, int]) -> bool:
    from pipeline.engines.llama import Llama

    path, threads = request
    tokenizer = Tokenizer.load(path)
    first = [tokenizer.bos] if tokenizer.add_bos and tokenizer.bos is not None else []
    model = Llama(path, replace(SIZES, threads=threads))
    try:
        return undisturbed(model, [*first, *tokenizer.encode(_TEXT, first=True)][:96])
    finally:
        model.close()


def undisturbed(model: Backend, prompt: Sequence[int]) -> bool:
    """The test itself, over any backend with an empty cache."""
    half = len(prompt) // 2
    slots = range(1, TOGETHER + 1)
    try:
        whole = _continued(model, slots, prompt, 0)
        for slot in slots:
            model.drop(slot)
        model.decode([Row(token, i, (0,)) for i, token in enumerate(prompt[:half])])
        for slot in slots:
            model.copy(0, slot)
        shared = _continued(model, slots, prompt[half:], half)
    except EngineError:
        return False
    return _one(whole) and _one(shared) and _near(whole[0], shared[0])


def _continued(model: Backend, slots: Sequence[int], tokens: Sequence[int], start: int) -> list[_Answer]:
    """Decode these tokens in every slot in one call, then go on greedily, all together."""
    last = len(tokens) - 1
    model.decode([Row(t, start + i, (slot,), logits=i == last) for slot in slots for i, t in enumerate(tokens)])
    ends = [(number + 1) * len(tokens) - 1 for number in range(len(slots))]
    answers: list[_Answer] = [[] for _ in slots]
    for step in range(STEPS):
        for answer, row in zip(answers, ends, strict=True):
            answer.append(_best(model.logits(row)))
        position = start + len(tokens) + step
        rows = [Row(a[-1][0], position, (slot,), logits=True) for slot, a in zip(slots, answers, strict=True)]
        model.decode(rows)
        ends = list(range(len(rows)))
    return answers


def _best(logits: Logits) -> tuple[int, float]:
    second, first = np.argpartition(logits, -2)[-2:]
    return int(first), float(logits[first] - logits[second])


def _one(answers: list[_Answer]) -> bool:
    return len({tuple(token for token, _ in answer) for answer in answers}) == 1


def _near(one: _Answer, other: _Answer) -> bool:
    for (token, gap), (also, distance) in zip(one, other, strict=True):
        if token != also:
            return max(gap, distance) < NEAR
    return True

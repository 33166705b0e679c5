"""Which rows go into the next decode call. Pure: it reads sequences and counts rows.

Prompt calls and generation calls are kept apart (ENGINE.md 8b: generation rows in a prompt call take the tiled
attention path and cost more). Prompts come first, so that a slot that became free is busy again at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.batching import Row
from pipeline.batching.sequence import Sequence as Answer
from pipeline.batching.sequence import State


def schedule(answers: Iterable[Answer], *, max_batch: int, max_outputs: int) -> list[tuple[Answer, int]]:
    """Answers with the number of their pending tokens to decode now: whole prompts one behind the other, else one
    generation step for everybody. Empty when no answer has pending tokens."""
    answers = list(answers)
    kind = State.PREFILL if any(a.state is State.PREFILL for a in answers) else State.DECODE
    plan: list[tuple[Answer, int]] = []
    room = max_batch
    for answer in answers:
        if answer.state is not kind or not answer.pending or room == 0 or len(plan) == max_outputs:
            continue
        take = min(room, len(answer.pending))
        plan.append((answer, take))
        room -= take
    return plan


def rows_of(plan: Sequence[tuple[Answer, int]]) -> tuple[list[Row], list[tuple[Answer, int]]]:
    """The rows of a plan, and for each answer whose pending tokens end in this call the index of the last of them.
    The rows of its draft follow."""
    rows: list[Row] = []
    ends: list[tuple[Answer, int]] = []
    for answer, take in plan:
        last = take == len(answer.pending)
        if last:
            ends.append((answer, len(rows) + take - 1))
        for offset, token in enumerate((*answer.pending[:take], *answer.draft)):
            wanted = last and offset >= take - 1
            rows.append(Row(token, answer.length + offset, (answer.slot,), logits=wanted))
    return rows, ends

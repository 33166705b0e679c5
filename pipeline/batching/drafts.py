"""Drafts: guesses how an answer goes on where it copies from its document, decoded before they are chosen.

The rows of a draft stand behind the pending ones in the same call. The loop then chooses token by token as it always
does, from the logits of one row after the other, as long as the draft holds what was chosen. So a draft saves calls and
never changes an answer; a wrong one costs its rows. It stays within the answer's budget, and so within the cells that
the ledger has reserved for it. Answers that are drawn (a temperature) are not drafted.
"""

from __future__ import annotations

from collections.abc import Sequence as Tokens

from pipeline.batching.sequence import Sequence, State

MOST = 6  # tokens of a draft


def propose(plan: Tokens[tuple[Sequence, int]], *, max_batch: int, max_outputs: int) -> None:
    """Set the drafts of the answers that write in this call, as many as have room in it."""
    rows = min(max_batch - sum(take for _, take in plan), max_outputs - len(plan))
    for sequence, take in plan:
        most = min(MOST, rows, sequence.room - 1)  # the last token is not decoded
        if sequence.state is State.DECODE and take == len(sequence.pending) and not sequence.prompt.temperature:
            sequence.draft = tuple(sequence.cursor.continuation(most)) if most > 0 else ()
            rows -= len(sequence.draft)


def agreeing(tokens: Tokens[int], draft: Tokens[int]) -> int:
    """How many of the first tokens are the same."""
    pairs = zip(tokens, draft, strict=False)
    return next((n for n, (one, other) in enumerate(pairs) if one != other), min(len(tokens), len(draft)))

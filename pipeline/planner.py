"""Pending prompts of several tasks -> the order that shares most. Pure: it moves prompts and compares places.

Prompts of one task share its prefix, so a task's prompts stay together. Prompts of several tasks share a document
where the tasks let it stand first (`document_first`): then one document's prompts follow each other, and its tokens
are decoded once for all of them. What stands first is the task's word, never the planner's: it changes the prompt,
and with it what would have to be done again. `prompt_tokens` says what either costs.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

from pipeline.data import Prompt


def order(streams: Iterable[tuple[bool, Iterator[tuple[int, Prompt]]]]) -> Iterator[Prompt]:
    """The tasks one after the other, those with the document first merged into one at the place of their first.

    A stream is whether its task has the document first, and its prompts with the places of their texts. Places ascend
    and are the same in every stream, so a task that lacks some documents, or began later, shares all the others.
    Holds one prompt of each stream.
    """
    groups: dict[int, list[Iterator[tuple[int, Prompt]]]] = {}
    for number, (document_first, prompts) in enumerate(streams):
        groups.setdefault(-1 if document_first else number, []).append(prompts)
    for group in groups.values():
        yield from map(itemgetter(1), heapq.merge(*group, key=itemgetter(0)))


def prompt_tokens(frames: Sequence[int], *, chunks: int, tokens: int) -> tuple[int, int]:
    """Tokens to prefill when several tasks ask about the same chunks: the tasks first, and the document first.

    `frames` are the tokens of each task's prompt beside the chunk, `tokens` those in all `chunks`. With the tasks first
    each frame is computed once and each chunk by every task; with the document first it is the other way round.
    """
    return sum(frames) + len(frames) * tokens, tokens + chunks * sum(frames)

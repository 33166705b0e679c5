"""Pending prompts of several tasks -> the order that shares most. Pure: it moves prompts and compares hashes.

Prompts of one task share its prefix, so a task's prompts stay together. Prompts of several tasks share a document
where the tasks let it stand first (`document_first`): then one document's prompts follow each other, and its tokens
are decoded once for all of them. What stands first is the task's word, never the planner's: it changes the prompt,
and with it what would have to be done again. `prompt_tokens` says what either costs.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from pipeline.data import Prompt


def order(streams: Iterable[Iterator[Prompt]]) -> Iterator[Prompt]:
    """Merge the tasks' prompts: the first stream leads, and each other one whose next prompt shares a document with
    the one just given follows at once.

    Holds one prompt of each stream. Streams that bring the documents in the same order share best; any order is right.
    """
    sources = [*streams]
    queues = [deque(itertools.islice(source, 1)) for source in sources]
    while any(queues):
        leader = next(queue for queue in queues if queue)
        shared = _shared(leader[0])
        for queue, source in zip(queues, sources, strict=True):
            if queue and (queue is leader or (shared and _shared(queue[0]) == shared)):
                yield queue.popleft()
                queue.extend(itertools.islice(source, 1))


def prompt_tokens(frames: Sequence[int], *, chunks: int, tokens: int) -> tuple[int, int]:
    """Tokens to prefill when several tasks ask about the same chunks: the tasks first, and the document first.

    `frames` are the tokens of each task's prompt beside the chunk, `tokens` those in all `chunks`. With the tasks first
    each frame is computed once and each chunk by every task; with the document first it is the other way round.
    """
    return sum(frames) + len(frames) * tokens, tokens + chunks * sum(frames)


def _shared(prompt: Prompt) -> str | None:
    """What the prompt shares with those of other tasks: its first segment. What follows differs from task to task."""
    return prompt.segments[0].hash if prompt.segments and prompt.segments[0].shared else None

"""One answer on its way: PREFILL -> DECODE (-> RANK -> DECODE ...) -> DONE. Only the loop changes it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.batching.ranking import Ranking
from pipeline.batching.sampler import Choice
from pipeline.data import Completion, Counts, Prompt, Stop, fingerprint
from pipeline.grammars import Cursor
from pipeline.grammars.thinking import Thinking


class State(enum.Enum):
    """Where a sequence stands."""

    PREFILL = "prefill"  # prompt tokens are pending
    DECODE = "decode"  # one chosen token is pending, perhaps with forced ones behind it
    RANK = "rank"  # whole alternatives are to be scored
    DONE = "done"


@dataclass(slots=True)
class Sequence:
    """The state of one answer. `length` counts the positions already in the KV cache."""

    prompt: Prompt
    cursor: Cursor
    slot: int
    length: int
    pending: list[int]
    reused: int
    state: State = State.PREFILL
    stop: Stop = Stop.END
    ranking: Ranking | None = None  # while alternatives are compared
    forks: tuple[int, ...] = ()  # that the comparison has
    held: Mapping[tuple[int, ...], int] = field(default_factory=dict)  # what some of them hold, by its tokens
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    removed: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    forced: int = 0
    prefilled: int = 0
    draft: tuple[int, ...] = ()  # decoded behind the pending tokens, on the guess that they come next
    drafted: int = 0
    accepted: int = 0
    random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        seed = int(fingerprint(self.prompt.seed, self.prompt.work_key)[:16], 16)
        self.random = np.random.default_rng(seed)

    @property
    def room(self) -> int:
        """Tokens left in the budget of the answer; those of a thought before it are not counted."""
        return self.prompt.max_tokens + self.thought - len(self.tokens)

    @property
    def thought(self) -> int:
        """Tokens so far that are no part of the answer."""
        return self.cursor.thought if isinstance(self.cursor, Thinking) else 0

    def append(self, choice: Choice, *, forced: bool = False) -> None:
        """Take one output token: into the grammar, the answer and the pending rows."""
        self.cursor.commit(choice.token)
        self.tokens.append(choice.token)
        self.logprobs.append(choice.logprob)
        self.removed.append(choice.removed)
        self.gaps.append(choice.gap)
        self.pending.append(choice.token)
        self.forced += forced

    def completion(self) -> Completion:
        """The finished answer."""
        answer = self.thought
        sampled = len(self.tokens) - self.forced
        return Completion(
            work_key=self.prompt.work_key,
            tokens=tuple(self.tokens[answer:]),
            logprobs=tuple(self.logprobs[answer:]),
            removed=tuple(self.removed[answer:]),
            gaps=tuple(self.gaps[answer:]),
            counts=Counts(self.prefilled, self.reused, self.forced, sampled, self.drafted, self.accepted),
            stop=self.stop,
            thought=tuple(self.tokens[:answer]),
        )

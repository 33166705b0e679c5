"""An answer's tokens and their figures -> what they say about each of its values.

A token belongs to a value where a byte of it does, the quotes included: what a value is begins with whether it is a
string or null, and a string that goes on is another string. Keys and punctuation tell nothing and are left out.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from pipeline.data import Completion, Vocabulary

_DECODER = json.JSONDecoder(strict=False)
_SPACE = re.compile(r"[ \t\n\r]*")
_SURE = 1e-15  # a share of probability that is as good as none

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Signal:
    """What the model's figures say about one value. Logarithms are natural.

    `allowed` is how likely the whole value was among all that the grammar allowed; where candidates were ranked, among
    these. `logprob` is its likelihood under the model alone. What lies between them is what the grammar took away.
    """

    tokens: int  # that the model was asked about; 0: the grammar left no choice
    logprob: float
    allowed: float
    removed: float  # the largest share of probability that the mask took at one token
    gap: float  # the least distance to the second best; inf where there was none
    samples: int = 0  # further answers that were drawn
    agreed: int = 0  # of these, how many say the same
    read: float = 1.0  # how sure OCR was of the least sure word that the value stands on; 1 where it read none

    @property
    def agreement(self) -> float:
        """The chance that one more sample would agree, by Laplace's rule: 0.5 where none was drawn."""
        return (self.agreed + 1) / (self.samples + 2)


def signals(completion: Completion, vocabulary: Vocabulary) -> dict[str, Signal]:
    """A Signal for each finished value of the answer, by path: `total`, `items[2].price`."""
    if not completion.logprobs:  # a server gives no figures
        return {}
    ends: list[int] = []
    answer = bytearray()
    for token in completion.tokens:
        answer += vocabulary.pieces[token]
        ends.append(len(answer))
    # Each byte as a character, so that places are bytes: JSON's own signs are ASCII.
    return {
        path: _signal(completion, bisect_right(ends, start), min(bisect_left(ends, end) + 1, len(ends)))
        for path, (start, end) in value_spans(answer.decode("latin-1")).items()
    }


def value_spans(text: str) -> dict[str, Span]:
    """Where each scalar of a JSON text stands, by path; what is cut off or no JSON ends the list."""
    spans: dict[str, Span] = {}
    _walk(text, _blank(text, 0), "", spans)
    return spans


def _walk(text: str, at: int, path: str, spans: dict[str, Span]) -> int | None:
    """The end of the value at `at`; None where it has none."""
    sign = text[at : at + 1]
    if sign == "{":
        return _members(text, at + 1, path, spans)
    if sign == "[":
        return _items(text, at + 1, path, spans)
    end = _scalar(text, at)
    if end is not None:
        spans[path] = (at, end)
    return end


def _members(text: str, at: int, path: str, spans: dict[str, Span]) -> int | None:
    at = _blank(text, at)
    while text[at : at + 1] == '"':
        end = _scalar(text, at)
        if end is None:
            return None
        name = json.loads(text[at:end].encode("latin-1"), strict=False)
        at = _blank(text, end)
        if text[at : at + 1] != ":":
            return None
        after = _walk(text, _blank(text, at + 1), f"{path}.{name}" if path else name, spans)
        if after is None:
            return None
        at = _behind_comma(text, after)
    return at + 1 if text[at : at + 1] == "}" else None


def _items(text: str, at: int, path: str, spans: dict[str, Span]) -> int | None:
    at = _blank(text, at)
    index = 0
    while at < len(text) and text[at] != "]":
        after = _walk(text, at, f"{path}[{index}]", spans)
        if after is None:
            return None
        at = _behind_comma(text, after)
        index += 1
    return at + 1 if at < len(text) else None


def _scalar(text: str, at: int) -> int | None:
    if text[at : at + 1] in ("{", "["):
        return None
    try:
        return _DECODER.raw_decode(text, at)[1]
    except ValueError:
        return None


def _blank(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _behind_comma(text: str, at: int) -> int:
    at = _blank(text, at)
    return _blank(text, at + 1) if text[at : at + 1] == "," else at


def _signal(completion: Completion, first: int, end: int) -> Signal:
    logprob = mass = removed = 0.0
    gap = math.inf
    tokens = 0
    for at in range(first, end):
        its_logprob, its_removed = completion.logprobs[at], completion.removed[at]
        if its_logprob == 0.0 and its_removed == 0.0 and math.isinf(completion.gaps[at]):
            continue  # forced: the model was not asked
        tokens += 1
        logprob += its_logprob
        # Where all but nothing was removed, rounding leaves no mass: the token itself was what was left.
        mass += math.log1p(-its_removed) if its_removed < 1 - _SURE else its_logprob
        removed = max(removed, its_removed)
        gap = min(gap, completion.gaps[at])
    return Signal(tokens, logprob, min(0.0, logprob - mass), removed, gap)

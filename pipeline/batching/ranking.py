"""Whole alternatives scored together over the shared KV cache, as a token tree on forks of one sequence.

The likelihood of an alternative is the product of its tokens' probabilities, closing quote included; the total of
long ones of very different lengths (runs of lines) is divided by a power of their length. Alternatives that begin
alike share rows: every leaf of the tree has a fork, and a row is seen by the forks of all leaves below it. The last
token of an alternative is never decoded here: its probability comes from the row before.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable
from collections.abc import Sequence as Tokens
from dataclasses import dataclass, replace

from pipeline.batching import Logits, Row
from pipeline.batching.sampler import Choice, log_normaliser
from pipeline.grammars import Candidates

Path = tuple[int, ...]

PROBE = 4  # tokens of each alternative that are looked at before the unlikely ones are left out
MOST_ROWS = 96  # rows spent on one choice among runs of lines; without a bound it costs more than the document
LONGEST = 192  # tokens; a longer alternative is not worth scoring, and no context has fewer cells for it


def short_enough(candidates: Candidates) -> Candidates:
    """Without the alternatives that are too long to score."""
    kept = tuple(a for a in candidates.alternatives if len(a) <= LONGEST)
    return replace(candidates, alternatives=kept)


def first_logprobs(candidates: Candidates, logits: Logits) -> dict[int, float]:
    """Log-probability of every token that an alternative, or what may stand in their place, begins with."""
    normaliser = log_normaliser(logits)
    ways = (*candidates.alternatives, candidates.otherwise)
    return {way[0]: float(logits[way[0]]) - normaliser for way in ways if way}


def wants_otherwise(candidates: Candidates, first: dict[int, float]) -> bool:
    """Whether what may stand in their place is likelier than all beginnings of the alternatives together."""
    if not candidates.otherwise:
        return False
    beginnings = {alternative[0] for alternative in candidates.alternatives}
    return math.exp(first[candidates.otherwise[0]]) > math.fsum(math.exp(first[token]) for token in beginnings)


def otherwise(candidates: Candidates, first: dict[int, float]) -> Choice:
    """The first token of what stands in place of the alternatives; the grammar forces the rest."""
    token = candidates.otherwise[0]
    others = [logprob for other, logprob in first.items() if other != token]
    mass = math.fsum(math.exp(logprob) for logprob in first.values())
    return Choice(token, first[token], max(0.0, 1.0 - mass), first[token] - max(others, default=-math.inf))


@dataclass(frozen=True, slots=True)
class Tree:
    """The rows that score a group of alternatives. `nodes` names each row by the tokens that lead to it."""

    group: tuple[Path, ...]
    forks: tuple[int, ...]
    rows: tuple[Row, ...]
    nodes: tuple[Path, ...]


def grow(group: Tokens[Path], forks: Tokens[int], position: int) -> Tree:
    """The tree of these alternatives, whose first token stands at `position`; parents come before children.

    Takes as many of `forks` as the tree has leaves.
    """
    leaves = _leaves(group)
    owners: dict[Path, list[int]] = {}
    for leaf, fork in zip(leaves, forks, strict=False):
        for depth in range(1, len(leaf) + 1):
            owners.setdefault(leaf[:depth], []).append(fork)
    nodes = sorted(owners, key=lambda node: (len(node), node))
    rows = tuple(Row(node[-1], position + len(node) - 1, tuple(owners[node]), logits=True) for node in nodes)
    return Tree(tuple(group), tuple(forks[: len(leaves)]), rows, tuple(nodes))


def _leaves(group: Iterable[Path]) -> list[Path]:
    """The longest stretches to decode: alternatives without their last token that no other one goes on from."""
    leaves: list[Path] = []
    for stem in sorted(alternative[:-1] for alternative in group):
        if leaves and stem[: len(leaves[-1])] == leaves[-1]:
            leaves[-1] = stem
        elif stem:
            leaves.append(stem)
    return leaves


def _by_stem(alternatives: Iterable[Path]) -> list[Path]:
    """In the order in which each one shares most with the one before."""
    return sorted(set(alternatives), key=lambda alternative: (alternative[:-1], alternative))


def _cost(before: Path, alternative: Path) -> tuple[int, int]:
    """Rows and leaves that an alternative adds to a tree whose last one, by stem, is `before`."""
    old, new = before[:-1], alternative[:-1]
    common = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        common += 1
    return len(new) - common, int(common < len(new) and (common < len(old) or not old))


def _rows(group: Iterable[Path]) -> int:
    """How many rows the tree of these alternatives has."""
    return sum(_cost(before, one)[0] for before, one in itertools.pairwise([(), *_by_stem(group)]))


class Ranking:
    """One choice among alternatives, scored group by group. Changed by the sequence's owner alone."""

    def __init__(self, candidates: Candidates, first: dict[int, float]) -> None:
        self._first = first
        self._power = candidates.length_power
        self._scores: dict[Path, tuple[float, ...]] = {}
        self._alternatives = _by_stem(candidates.alternatives)
        self._probing = self._power > 0 and _rows(self._alternatives) > MOST_ROWS
        self._waiting = deque(self._probes() if self._probing else self._alternatives)

    @property
    def done(self) -> bool:
        """Everything is scored."""
        return not self._waiting

    def next_group(self, *, forks: int, rows: int) -> tuple[Path, ...]:
        """The next alternatives that fit these forks and rows; empty where not even one does."""
        group: list[Path] = []
        while self._waiting:
            more_rows, more_leaves = _cost(group[-1] if group else (), self._waiting[0])
            rows, forks = rows - more_rows, forks - more_leaves
            if rows < 0 or forks < 0:
                break
            group.append(self._waiting.popleft())
        return tuple(group)

    def take(self, tree: Tree, logits: Tokens[Logits]) -> None:
        """Score a group from the logits of its tree's rows."""
        normalisers = [log_normaliser(row) for row in logits]
        index = {node: i for i, node in enumerate(tree.nodes)}
        for alternative in tree.group:
            values = [self._first[alternative[0]]]
            for depth in range(1, len(alternative)):
                row = index[alternative[:depth]]
                values.append(float(logits[row][alternative[depth]]) - normalisers[row])
            self._scores[alternative] = tuple(values)
        if self._probing and not self._waiting:
            self._prune()

    def choices(self) -> list[Choice]:
        """The winner's tokens. The first one carries what the ranking tells: the probability that went to no
        alternative, and the distance to the second best."""
        ranked = sorted(self._scores, key=lambda path: (-self._score(path), path))
        winner, *rest = ranked
        mass = math.fsum(math.exp(math.fsum(values)) for values in self._scores.values())
        gap = self._score(winner) - self._score(rest[0]) if rest else math.inf
        logprobs = self._scores[winner]
        head = Choice(winner[0], logprobs[0], max(0.0, 1.0 - mass), gap)
        tail = [Choice(t, p, 0.0, math.inf) for t, p in zip(winner[1:], logprobs[1:], strict=True)]
        return [head, *tail]

    def _score(self, path: Path) -> float:
        total = math.fsum(self._scores[path])
        return total / math.pow(len(path), self._power)

    def _probes(self) -> list[Path]:
        return _by_stem(alternative[:PROBE] for alternative in self._alternatives)

    def _prune(self) -> None:
        """Keep the alternatives with the likeliest beginnings, as many as the rows allow."""
        self._probing = False
        kept: list[Path] = []
        for probe in sorted(self._scores, key=lambda path: (-self._score(path), path)):
            wider = kept + [a for a in self._alternatives if a[:PROBE] == probe]
            if kept and _rows(wider) > MOST_ROWS:
                break
            kept = wider
        self._scores.clear()
        self._waiting = deque(_by_stem(kept))

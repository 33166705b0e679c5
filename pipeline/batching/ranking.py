"""Whole alternatives compared over the shared KV cache, as a token tree on forks of one sequence.

The likelihood of an alternative is the product of its tokens' probabilities, closing quote included; the total of
long ones of very different lengths (runs of lines) is divided by a power of their length. The last token of an
alternative is never decoded here: its probability comes from the row before, and is that of every token that ends the
value there.

The comparison goes in rounds of successive halving (Karnin, Koren, Somekh 2013): each round looks twice as deep into
the alternatives, and as it may spend only so many rows, into about half as many of them, the likeliest first. What
begins alike shares rows, and what one round decoded stays on its fork for the next. Beginnings that lie `margin` behind
the best are left. Where all alternatives fit the rounds and no margin is set, none is left out. Which ones stay depends
on the figures alone, not on slots or forks.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Tokens
from dataclasses import dataclass, replace

from pipeline.batching import Logits, Row
from pipeline.batching.sampler import Choice, log_normaliser
from pipeline.grammars import MOST_ROWS, NO_CANDIDATES, Candidates, Cursor

Path = tuple[int, ...]

FIRST_DEPTH = 3  # tokens of each alternative that the first round looks at
LONGEST = 192  # tokens; a longer alternative is not worth scoring
HELD = 128  # cells on the forks of one comparison before a round, at most, but for one alternative that is longer
MOST_LEAVES = 32  # branches of a round
MOST_FORKS = MOST_LEAVES + 1  # of one comparison: the best finished alternative is kept beside them
MOST_CELLS = 2 * max(HELD, LONGEST) + MOST_ROWS  # the best finished one beside the rest


def to_compare(cursor: Cursor, temperature: float) -> Candidates:
    """What the next value can be, where it is to be compared as a whole: a draw is made token by token."""
    return NO_CANDIDATES if temperature else short_enough(cursor.candidates())


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


class Ranking:
    """One choice among alternatives. Changed by the sequence's owner alone: `next_round`, decode, `take`, again."""

    def __init__(self, candidates: Candidates, first: dict[int, float]) -> None:
        self._power = candidates.length_power
        self._margin = candidates.margin
        self._ends = candidates.ends
        self.rows = min(candidates.rows, MOST_ROWS)  # of a round, at most
        self.forks = min(len(candidates.alternatives), self.rows, MOST_LEAVES) + 1  # that it needs
        self._alive = sorted(set(candidates.alternatives))
        longest = max(map(len, self._alive))
        self._held = max(HELD, longest)  # so the likeliest beginning can always go on
        most = self._held + longest + self.rows  # what is held, the best finished one, what is new
        self.cells = min(sum(map(len, self._alive)), most)  # on its forks, at most
        self._logprobs: dict[Path, float] = {path[:1]: first[path[0]] for path in self._alive}
        self._decoded: set[Path] = set()  # nodes: the tokens that lead to a row
        self._depth = 1  # tokens of each living alternative that are scored
        self._finished: dict[Path, float] = {}
        self._finish()

    @property
    def done(self) -> bool:
        """Everything that is still wanted is scored."""
        return all(len(path) <= self._depth for path in self._alive)

    def next_round(self) -> tuple[Path, ...]:
        """Go deeper: the branches to decode, each to its end. None is the beginning of another one."""
        beginnings: defaultdict[Path, list[Path]] = defaultdict(list)
        for path in self._alive:
            if len(path) > self._depth:
                beginnings[path[: self._depth]].append(path)
        scores = {beginning: self._score(beginning) for beginning in beginnings}
        likeliest_first = sorted(scores, key=lambda path: (-scores[path], path))
        depth = FIRST_DEPTH if self._depth == 1 else 2 * self._depth
        if self._margin == math.inf and self._fits(_nodes(self._alive, longest := max(map(len, self._alive)))):
            depth = longest  # nobody would be left out: one call does it
        while not self._fits(_nodes(beginnings[likeliest_first[0]], depth)):
            depth -= 1
        best = max([*scores.values(), *self._finished.values()])
        nodes: set[Path] = set()
        self._alive = []
        for beginning in likeliest_first:
            wider = nodes | _nodes(beginnings[beginning], depth)
            hopeless = self._depth > 1 and scores[beginning] < best - self._margin
            if (self._alive or self._finished) and (hopeless or not self._fits(wider)):
                break
            nodes = wider
            self._alive += beginnings[beginning]
        self._decoded |= nodes
        self._depth = depth
        return _leaves(nodes)

    def _fits(self, nodes: set[Path]) -> bool:
        """Whether a round may have these nodes."""
        new = nodes - self._decoded
        return len(new) <= self.rows and len(nodes) - len(new) <= self._held and len(_leaves(nodes)) <= MOST_LEAVES

    def take(self, logits: Mapping[Path, Logits]) -> None:
        """Score what the round looked at, from the logits behind each of its nodes."""
        children: defaultdict[Path, set[Path]] = defaultdict(set)
        for path in self._alive:
            for end in range(2, min(len(path), self._depth) + 1):
                children[path[: end - 1]].add(path[:end])
        whole = {path for path in self._alive if path[-1] in self._ends}
        for node, row in logits.items():
            normaliser = log_normaliser(row)
            for path in children[node]:
                wanted = log_normaliser(row[self._ends[path[-1]]]) if path in whole else float(row[path[-1]])
                self._logprobs[path] = wanted - normaliser
        self._finish()

    @property
    def best(self) -> Path:
        """The best of those that are scored to their ends; empty where there is none yet."""
        return min(self._finished, key=lambda path: (-self._finished[path], path), default=())

    def choices(self) -> list[Choice]:
        """The winner's tokens. The first one carries what the comparison tells: the probability that went to no
        alternative that was scored, and the distance to the second best."""
        winner = self.best
        others = [score for path, score in self._finished.items() if path != winner]
        mass = math.fsum(math.exp(self._total(path)) for path in self._finished)
        gap = self._finished[winner] - max(others) if others else math.inf
        head = Choice(winner[0], self._logprobs[winner[:1]], max(0.0, 1.0 - mass), gap)
        ends = range(2, len(winner) + 1)
        return [head, *(Choice(winner[end - 1], self._logprobs[winner[:end]], 0.0, math.inf) for end in ends)]

    def _finish(self) -> None:
        for path in self._alive:
            if len(path) <= self._depth and path not in self._finished:
                self._finished[path] = self._score(path)

    def _score(self, path: Path) -> float:
        return self._total(path) / math.pow(len(path), self._power)

    def _total(self, path: Path) -> float:
        return math.fsum(self._logprobs[path[:end]] for end in range(1, len(path) + 1))


@dataclass(frozen=True, slots=True)
class Growth:
    """How the forks of a comparison become those of its next round: drop, copy, then decode the rows.

    `copies` are pairs of source and target. `nodes` names each row by the tokens that lead to it, `held` each fork by
    the tokens that it holds afterwards.
    """

    dropped: tuple[int, ...]
    copies: tuple[tuple[int, int], ...]
    rows: tuple[Row, ...]
    nodes: tuple[Path, ...]
    held: Mapping[Path, int]


def grow(
    leaves: Iterable[Path], held: Mapping[Path, int], best: Path, *, forks: Tokens[int], slot: int, position: int
) -> Growth:
    """The rows that bring these branches, whose first token stands at `position`, on from where forks hold them.

    A fork that holds the best finished alternative is kept.
    """
    bases = {leaf: _longest_beginning(leaf, held) for leaf in leaves}
    used = set(bases.values())
    now: dict[Path, int] = {}
    if not any(_begins(best[:-1], leaf) for leaf in bases):
        now = dict(_holding(best[:-1], held))
    dropped = tuple(fork for path, fork in held.items() if path not in used and path not in now)
    busy = set(held.values()) - set(dropped)
    spare = [fork for fork in forks if fork not in busy]
    copies: list[tuple[int, int]] = []
    owners: defaultdict[Path, list[int]] = defaultdict(list)
    for leaf, base in bases.items():
        if base and base in used:
            used.remove(base)
            fork = held[base]
        else:
            fork = spare.pop()
            copies.append((held.get(base, slot), fork))
        now[leaf] = fork
        for end in range(len(base) + 1, len(leaf) + 1):
            owners[leaf[:end]].append(fork)
    nodes = sorted(owners, key=lambda node: (len(node), node))
    rows = tuple(Row(node[-1], position + len(node) - 1, tuple(owners[node]), logits=True) for node in nodes)
    return Growth(dropped, tuple(copies), rows, tuple(nodes), now)


def holding(path: Path, held: Mapping[Path, int]) -> int | None:
    """The fork whose cells begin with these tokens."""
    return next((fork for _, fork in _holding(path, held)), None)


def _holding(path: Path, held: Mapping[Path, int]) -> list[tuple[Path, int]]:
    """One fork at most, with all that it holds."""
    return [item for item in held.items() if path and _begins(path, item[0])][:1]


def _begins(beginning: Path, path: Path) -> bool:
    return path[: len(beginning)] == beginning


def _longest_beginning(leaf: Path, held: Mapping[Path, int]) -> Path:
    """Of what is held; empty where nothing of it is."""
    return max((path for path in held if _begins(path, leaf)), key=len, default=())


def _nodes(paths: Iterable[Path], depth: int) -> set[Path]:
    """The rows that score this many tokens of each path: the last one needs none."""
    return {path[:end] for path in paths for end in range(1, min(len(path), depth))}


def _leaves(nodes: set[Path]) -> tuple[Path, ...]:
    inner = {node[:-1] for node in nodes}
    return tuple(sorted(nodes - inner))

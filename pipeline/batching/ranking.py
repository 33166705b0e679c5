"""Whole alternatives scored together over the shared KV cache, as a token tree on forks of one sequence.

The likelihood of an alternative is the product of its tokens' probabilities, closing quote included. Alternatives that
begin alike share rows; each row is seen by the forks of all alternatives that run through it. The last token of an
alternative is never decoded here: its probability comes from the row before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence as Tokens
from dataclasses import dataclass

from pipeline.batching import Logits, Row
from pipeline.batching.sampler import Choice, log_normaliser
from pipeline.grammars import Candidates


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

    group: tuple[tuple[int, ...], ...]
    forks: tuple[int, ...]
    rows: tuple[Row, ...]
    nodes: tuple[tuple[int, ...], ...]


def grow(group: Tokens[Tokens[int]], forks: Tokens[int], position: int) -> Tree:
    """The tree of these alternatives, whose first token stands at `position`; parents come before children."""
    owners: dict[tuple[int, ...], list[int]] = {}
    for alternative, fork in zip(group, forks, strict=True):
        for depth in range(1, len(alternative)):
            owners.setdefault(tuple(alternative[:depth]), []).append(fork)
    nodes = sorted(owners, key=lambda node: (len(node), node))
    rows = tuple(Row(node[-1], position + len(node) - 1, tuple(owners[node]), logits=True) for node in nodes)
    return Tree(tuple(tuple(a) for a in group), tuple(forks), rows, tuple(nodes))


def groups(alternatives: Tokens[Tokens[int]], *, forks: int, rows: int) -> list[tuple[tuple[int, ...], ...]]:
    """Cut alternatives into groups that fit the forks and rows there are, counted without sharing."""
    result: list[tuple[tuple[int, ...], ...]] = []
    group: list[tuple[int, ...]] = []
    used = 0
    for alternative in sorted(tuple(a) for a in alternatives):
        need = len(alternative) - 1
        if group and (len(group) == forks or used + need > rows):
            result.append(tuple(group))
            group, used = [], 0
        group.append(alternative)
        used += need
    if group:
        result.append(tuple(group))
    return result


def score(tree: Tree, first: dict[int, float], logits: Tokens[Logits]) -> list[tuple[float, ...]]:
    """Log-probability of each token of each alternative. `first` holds those of the first tokens."""
    normalisers = [log_normaliser(row) for row in logits]
    index = {node: i for i, node in enumerate(tree.nodes)}
    result = []
    for alternative in tree.group:
        values = [first[alternative[0]]]
        for depth in range(1, len(alternative)):
            row = index[alternative[:depth]]
            values.append(float(logits[row][alternative[depth]]) - normalisers[row])
        result.append(tuple(values))
    return result


def choices(winner: Tokens[int], logprobs: Tokens[float], totals: Tokens[float]) -> list[Choice]:
    """The winner's tokens as choices. Its first token carries what the ranking tells: the probability that went to
    no alternative, and the distance to the second best."""
    mass = math.fsum(math.exp(total) for total in totals)
    best, *rest = sorted(totals, reverse=True)
    gap = best - rest[0] if rest else math.inf
    head = Choice(winner[0], logprobs[0], max(0.0, 1.0 - mass), gap)
    tail = [Choice(t, p, 0.0, math.inf) for t, p in zip(winner[1:], logprobs[1:], strict=True)]
    return [head, *tail]

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batching import ranking
from pipeline.batching.ranking import Ranking, grow
from pipeline.grammars import Candidates

N_VOCAB = 7
paths = st.lists(st.integers(0, N_VOCAB - 1), min_size=1, max_size=6).map(tuple)
groups = st.lists(paths, min_size=1, max_size=12, unique=True)


def logits_after(path: tuple[int, ...]) -> np.ndarray:
    """A made-up model: the next token's logits depend on the path alone."""
    return np.random.default_rng(abs(hash(path)) % 2**32).normal(size=N_VOCAB).astype(np.float32)


def logprob(path: tuple[int, ...]) -> float:
    total = 0.0
    for depth, token in enumerate(path):
        row = logits_after(path[:depth])
        total += float(row[token]) - ranking.log_normaliser(row)
    return total


def rank(choice: Ranking, *, forks: int, rows: int) -> list[int]:
    """Drive a ranking to its end; the sizes of its groups' trees."""
    sizes = []
    while not choice.done:
        group = choice.next_group(forks=forks, rows=rows)
        tree = grow(group, range(100, 100 + forks), position=50)
        assert len(tree.forks) <= forks
        assert len(tree.rows) <= rows
        sizes.append(len(tree.rows))
        choice.take(tree, [logits_after(node) for node in tree.nodes])
    return sizes


def start(alternatives: list[tuple[int, ...]], *, power: float = 0.0) -> Ranking:
    candidates = Candidates(tuple(alternatives), length_power=power)
    return Ranking(candidates, ranking.first_logprobs(candidates, logits_after(())))


@given(groups, st.sampled_from([0.0, 0.5, 1.0]))
def test_the_likeliest_whole_alternative_wins_however_it_is_grouped(
    alternatives: list[tuple[int, ...]], power: float
) -> None:
    def score(path: tuple[int, ...]) -> float:
        return logprob(path) / len(path) ** power

    best = max(score(path) for path in alternatives)
    for forks, rows in ((1, sys.maxsize), (3, 6), (64, 512)):
        choice = start(alternatives, power=power)
        rank(choice, forks=forks, rows=rows)
        winner = tuple(one.token for one in choice.choices())
        assert winner in alternatives
        assert score(winner) == pytest.approx(best, abs=1e-4)


@given(groups)
def test_alternatives_that_begin_alike_share_rows(alternatives: list[tuple[int, ...]]) -> None:
    nodes = {path[:depth] for path in alternatives for depth in range(1, len(path))}

    assert sum(rank(start(alternatives), forks=64, rows=512)) == len(nodes)
    assert ranking._rows(alternatives) == len(nodes)


@given(groups)
def test_every_row_is_seen_by_the_leaves_below_it_and_by_no_other(alternatives: list[tuple[int, ...]]) -> None:
    tree = grow(tuple(alternatives), range(64), position=9)

    owners = dict(zip(tree.nodes, tree.rows, strict=True))
    for node, row in owners.items():
        assert row.position == 9 + len(node) - 1
        below = {fork for longer, other in owners.items() if longer[: len(node)] == node for fork in other.sequences}
        assert set(row.sequences) == below
    for fork in tree.forks:
        positions = [row.position for row in tree.rows if fork in row.sequences]
        assert positions == list(range(9, 9 + len(positions)))


def test_the_first_choice_carries_the_mass_and_the_gap_of_the_ranking() -> None:
    alternatives = [(1, 2), (1, 3), (4,)]
    choice = start(alternatives)
    rank(choice, forks=8, rows=64)

    head, *tail = choice.choices()

    totals = sorted((logprob(path) for path in alternatives), reverse=True)
    assert head.removed == pytest.approx(1 - sum(math.exp(total) for total in totals), abs=1e-5)
    assert head.gap == pytest.approx(totals[0] - totals[1], abs=1e-5)
    assert all(one.removed == 0 and one.gap == math.inf for one in tail)


def test_unlikely_beginnings_are_left_out_where_there_are_too_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "MOST_ROWS", 12)
    monkeypatch.setattr(ranking, "PROBE", 4)
    alternatives = [(a, b, 1, 2, *range(tail)) for a in range(4) for b in range(4) for tail in range(1, 4)]
    choice = start(alternatives, power=0.5)

    sizes = rank(choice, forks=64, rows=512)

    assert sizes[-1] <= 12
    best_start = max({path[: ranking.PROBE] for path in alternatives}, key=lambda path: logprob(path))
    assert best_start in {path[: ranking.PROBE] for path in choice._scores}
    assert len(choice._scores) < len(alternatives)


def test_null_is_weighed_against_the_beginnings_not_against_a_whole() -> None:
    candidates = Candidates(((1, 2), (1, 3), (4, 4)), otherwise=(5, 6))
    even = {1: math.log(0.3), 4: math.log(0.15), 5: math.log(0.4)}
    rare = {1: math.log(0.3), 4: math.log(0.05), 5: math.log(0.4)}

    assert not ranking.wants_otherwise(candidates, even)
    assert ranking.wants_otherwise(candidates, rare)
    assert ranking.otherwise(candidates, rare).token == 5

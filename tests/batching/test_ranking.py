from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batching import ranking
from pipeline.batching.ranking import Ranking, grow, holding
from pipeline.grammars import Candidates

N_VOCAB = 7
SLOT, FIRST_FORK, POSITION = 5, 100, 50
tokens = st.integers(0, N_VOCAB - 1)
groups = st.lists(st.lists(tokens, min_size=1, max_size=6).map(tuple), min_size=1, max_size=12, unique=True)
many = st.lists(st.lists(tokens, min_size=1, max_size=30).map(tuple), min_size=1, max_size=60, unique=True)


def logits_after(path: tuple[int, ...]) -> np.ndarray:
    """A made-up model: the next token's logits depend on the path alone."""
    return np.random.default_rng(abs(hash(path)) % 2**32).normal(size=N_VOCAB).astype(np.float32)


def logprob(path: tuple[int, ...]) -> float:
    total = 0.0
    for depth, token in enumerate(path):
        row = logits_after(path[:depth])
        total += float(row[token]) - ranking.log_normaliser(row)
    return total


def start(
    alternatives: list[tuple[int, ...]],
    *,
    power: float = 0.0,
    rows: int = ranking.MOST_ROWS,
    margin: float = math.inf,
) -> Ranking:
    candidates = Candidates(tuple(alternatives), length_power=power, rows=rows, margin=margin)
    return Ranking(candidates, ranking.first_logprobs(candidates, logits_after(())))


class Cache:
    """What sequences hold, told by the moves of a comparison; complains about a wrong one."""

    def __init__(self, choice: Ranking) -> None:
        self.choice = choice
        self.content: dict[int, tuple[int, ...]] = {}
        self.held: dict[tuple[int, ...], int] = {}
        self.rounds: list[int] = []
        self.forks = range(FIRST_FORK, FIRST_FORK + choice.forks)

    def to_the_end(self) -> tuple[int, ...]:
        while not self.choice.done:
            best = self.choice.best
            growth = grow(self.choice.next_round(), self.held, best, forks=self.forks, slot=SLOT, position=POSITION)
            for fork in growth.dropped:
                self.content[fork] = ()
            for source, target in growth.copies:
                assert not self.content.get(target)
                self.content[target] = () if source == SLOT else self.content[source]
            for row, node in zip(growth.rows, growth.nodes, strict=True):
                for fork in row.sequences:
                    assert fork in self.forks
                    assert row.position == POSITION + len(self.content[fork])
                    self.content[fork] += (row.token,)
                    assert self.content[fork] == node
            assert {path: fork for path, fork in growth.held.items() if self.content[fork] != path} == {}
            alive = {fork: path for fork, path in self.content.items() if path}
            assert set(alive) == set(growth.held.values())
            assert len({path[:end] for path in alive.values() for end in range(1, len(path) + 1)}) <= self.choice.cells
            self.held = dict(growth.held)
            self.rounds.append(len(growth.rows))
            self.choice.take({node: logits_after(node) for node in growth.nodes})
            assert growth.rows or self.choice.done, "a round that decodes nothing would come again for ever"
        return tuple(one.token for one in self.choice.choices())


@settings(deadline=None)
@given(groups, st.sampled_from([0.0, 0.5, 1.0]))
def test_the_likeliest_whole_alternative_wins_where_all_fit_the_rounds(
    alternatives: list[tuple[int, ...]], power: float
) -> None:
    def score(path: tuple[int, ...]) -> float:
        return logprob(path) / len(path) ** power

    winner = Cache(start(alternatives, power=power)).to_the_end()

    assert winner in alternatives
    assert score(winner) == pytest.approx(max(map(score, alternatives)), abs=1e-4)


@settings(deadline=None)
@given(groups)
def test_alternatives_that_all_fit_are_compared_in_one_call(alternatives: list[tuple[int, ...]]) -> None:
    cache = Cache(start(alternatives))

    cache.to_the_end()

    assert len(cache.rounds) <= 1


@settings(deadline=None)
@given(groups)
def test_no_row_is_decoded_twice(alternatives: list[tuple[int, ...]]) -> None:
    nodes = {path[:depth] for path in alternatives for depth in range(1, len(path))}
    cache = Cache(start(alternatives))

    cache.to_the_end()

    assert sum(cache.rounds) == len(nodes)


@settings(deadline=None, max_examples=60)
@given(many, st.sampled_from([0.0, 0.8]), st.sampled_from([1, 7, 24, 48]))
def test_a_round_keeps_to_its_rows_and_forks_and_ends_with_an_alternative(
    alternatives: list[tuple[int, ...]], power: float, rows: int
) -> None:
    cache = Cache(start(alternatives, power=power, rows=rows))

    assert cache.to_the_end() in alternatives
    assert all(size <= rows for size in cache.rounds)


@st.composite
def long(draw: st.DrawFn) -> list[tuple[int, ...]]:
    """Alternatives about as long as they may be, which part late or not at all."""
    one = tuple(draw(st.lists(tokens, min_size=ranking.LONGEST, max_size=ranking.LONGEST)))
    cuts = st.tuples(st.integers(1, ranking.LONGEST - 1), tokens, st.integers(1, ranking.LONGEST))
    parted = draw(st.lists(cuts, max_size=5))
    return list(
        {one[: draw(st.integers(120, ranking.LONGEST))]} | {((*one[:at], t, *one[at + 1 :])[:n]) for at, t, n in parted}
    )


@settings(deadline=None, max_examples=12)
@given(long(), st.sampled_from([0.0, 0.8]), st.sampled_from([24, 48]), st.sampled_from([2.0, math.inf]))
def test_long_alternatives_come_to_an_end_within_the_rows_and_cells_of_every_round(
    alternatives: list[tuple[int, ...]], power: float, rows: int, margin: float
) -> None:
    cache = Cache(start(alternatives, power=power, rows=rows, margin=margin))

    assert cache.to_the_end() in alternatives
    assert all(size <= rows for size in cache.rounds)


@settings(deadline=None, max_examples=60)
@given(many)
def test_the_winner_is_still_on_a_fork(alternatives: list[tuple[int, ...]]) -> None:
    cache = Cache(start(alternatives, rows=12))

    stem = cache.to_the_end()[:-1]

    fork = holding(stem, cache.held)
    assert (fork is None) == (not stem)
    assert fork is None or cache.content[fork][: len(stem)] == stem


def test_the_likeliest_beginnings_go_on_where_the_rows_do_not_reach() -> None:
    alternatives = [(a, b, 1, 2, *range(tail)) for a in range(6) for b in range(6) for tail in range(1, 4)]
    cache = Cache(start(alternatives, power=0.5, rows=12))

    cache.to_the_end()

    scored = {path[:1] for path in cache.choice._finished}
    assert max({path[:1] for path in alternatives}, key=logprob) in scored
    assert len(scored) < 6


@settings(deadline=None, max_examples=60)
@given(many, st.sampled_from([0.5, 0.8]))
def test_beginnings_a_margin_behind_the_best_cost_no_more_rows(
    alternatives: list[tuple[int, ...]], power: float
) -> None:
    everyone = Cache(start(alternatives, power=power, rows=48))
    few = Cache(start(alternatives, power=power, rows=48, margin=0.5))

    winner = everyone.to_the_end()

    assert few.to_the_end() in alternatives
    assert sum(few.rounds[:2]) <= sum(everyone.rounds[:2])
    assert Cache(start(alternatives, power=power, rows=48, margin=1000.0)).to_the_end() == winner


def test_a_finished_alternative_far_ahead_ends_the_comparison() -> None:
    choice = Ranking(Candidates(((1, 9), (2, 3, 4, 5, 6)), length_power=0.5, margin=1.0), {1: -0.1, 2: -2.4})

    assert choice.next_round() == ((1,), (2, 3))
    nine_is_sure = np.full(10, -12.0, np.float32)
    nine_is_sure[9] = 0.0
    choice.take({(1,): nine_is_sure, (2,): nine_is_sure, (2, 3): nine_is_sure})

    assert not choice.done
    assert choice.next_round() == ()
    assert choice.done
    assert choice.best == (1, 9)


def test_the_first_choice_carries_the_mass_and_the_gap_of_the_ranking() -> None:
    alternatives = [(1, 2), (1, 3), (4,)]
    choice = start(alternatives)
    Cache(choice).to_the_end()

    head, *tail = choice.choices()

    totals = sorted((logprob(path) for path in alternatives), reverse=True)
    assert head.removed == pytest.approx(1 - sum(math.exp(total) for total in totals), abs=1e-5)
    assert head.gap == pytest.approx(totals[0] - totals[1], abs=1e-5)
    assert all(one.removed == 0 and one.gap == math.inf for one in tail)


def test_null_is_weighed_against_the_beginnings_not_against_a_whole() -> None:
    candidates = Candidates(((1, 2), (1, 3), (4, 4)), otherwise=(5, 6))
    even = {1: math.log(0.3), 4: math.log(0.15), 5: math.log(0.4)}
    rare = {1: math.log(0.3), 4: math.log(0.05), 5: math.log(0.4)}

    assert not ranking.wants_otherwise(candidates, even)
    assert ranking.wants_otherwise(candidates, rare)
    assert ranking.otherwise(candidates, rare).token == 5


def test_a_value_ends_with_the_probability_of_all_tokens_that_end_it() -> None:
    quote, quote_comma = 5, 6
    ends = {quote: np.array([quote, quote_comma])}
    alternatives = ((1, quote), (2, quote))
    first = {1: math.log(0.4), 2: math.log(0.5)}
    mostly_with_a_comma = np.log(np.array([0.02, 0.02, 0.02, 0.02, 0.02, 0.05, 0.85], np.float32))
    seldom_at_all = np.log(np.array([0.1, 0.1, 0.1, 0.1, 0.4, 0.1, 0.1], np.float32))

    def winner(candidates: Candidates) -> tuple[tuple[int, ...], float]:
        choice = Ranking(candidates, first)
        choice.next_round()
        choice.take({(1,): mostly_with_a_comma, (2,): seldom_at_all})
        return choice.best, choice.choices()[-1].logprob

    assert winner(Candidates(alternatives))[0] == (2, quote)
    best, logprob = winner(Candidates(alternatives, ends=ends))
    assert best == (1, quote)
    assert logprob == pytest.approx(math.log(0.9), abs=1e-5)

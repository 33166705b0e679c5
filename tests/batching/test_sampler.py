"""What is chosen and what is said about it, against the definition written out over the allowed tokens alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.batching.sampler import choose


def mask_of(allowed: list[int], size: int) -> np.ndarray:
    bits = np.zeros(-(-size // 32) * 32, np.uint8)
    bits[allowed] = 1
    return np.packbits(bits, bitorder="little").view(np.int32)


@pytest.mark.parametrize("seed", range(40))
def test_the_best_allowed_token_and_its_figures_are_those_of_the_definition(seed: int) -> None:
    chance = np.random.default_rng(seed)
    size = int(chance.integers(2, 400))
    logits = (chance.standard_normal(size) * chance.choice([0.1, 3, 40])).astype(np.float32)
    allowed = sorted(chance.choice(size, int(chance.integers(2, size + 1)), replace=False).tolist())
    probabilities = np.exp(logits.astype(np.float64) - logits.max())
    probabilities /= probabilities.sum()

    choice = choose(logits, mask_of(allowed, size), 0.0, chance)

    ranked = sorted(allowed, key=lambda token: (-logits[token], token))
    assert choice.token == ranked[0]
    assert choice.gap == pytest.approx(float(logits[ranked[0]]) - float(logits[ranked[1]]), abs=1e-5)
    assert choice.removed == pytest.approx(1 - probabilities[allowed].sum(), abs=1e-5)
    assert math.exp(choice.logprob) == pytest.approx(probabilities[choice.token], rel=1e-4, abs=1e-30)


def test_a_tie_goes_to_the_lowest_id_and_its_gap_is_nothing() -> None:
    choice = choose(np.ones(64, np.float32), mask_of([3, 40, 63], 64), 0.0, np.random.default_rng(0))

    assert (choice.token, choice.gap) == (3, 0.0)


def test_where_one_token_is_allowed_the_model_is_not_asked() -> None:
    choice = choose(np.ones(64, np.float32), mask_of([40], 64), 1.0, np.random.default_rng(0))

    assert (choice.token, choice.logprob, choice.removed, choice.gap) == (40, 0.0, 0.0, math.inf)


def test_draws_come_as_often_as_their_weights_and_never_from_what_is_not_allowed() -> None:
    logits = np.log(np.array([0.5, 0.2, 0.1, 0.1, 0.1], np.float32))
    chance = np.random.default_rng(1)
    drawn = [choose(logits, mask_of([1, 2], 5), 1.0, chance).token for _ in range(3000)]

    assert {*drawn} == {1, 2}
    assert drawn.count(1) / len(drawn) == pytest.approx(2 / 3, abs=0.03)

"""A sequence's state in both orders: what one context writes, the other one takes as its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.batching import Row
from pipeline.engines.llama import Llama
from pipeline.engines.sequence_state import State, reordered
from pipeline.engines.sizes import Sizes
from pipeline.errors import EngineError
from pipeline.models.gate import gate
from pipeline.models.gguf import check_model

SIZES = Sizes(512, 3, 128, 3, 128, 1)
TOKENS = 70


@contextmanager
def loaded(path: Path, *, flash_attention: bool) -> Iterator[Llama]:
    with closing(Llama(path, replace(SIZES, flash_attention=flash_attention))) as model:
        yield model


def written(model: Llama) -> State:
    """The state of a sequence whose cells lie between those of another one."""
    for at in range(TOKENS):
        model.decode([Row(5 + at, at, (0,)), Row(9 + at, at, (1,))])
    return model.state(1)


@pytest.fixture
def dense(models: dict[str, Path], family: str) -> Path:
    if gate(check_model(models[family])).memory != "attention" or family == "qwen2vl":
        pytest.skip("its cells are not copied")
    return models[family]


def test_cells_of_several_positions_are_refused(models: dict[str, Path]) -> None:
    with loaded(models["qwen2vl"], flash_attention=True) as model:
        state = written(model)
    for transposed in (True, False):
        with pytest.raises(EngineError, match="another format"):
            reordered(state, transposed=transposed)


def test_back_and_forth_is_the_same_to_the_byte(dense: Path) -> None:
    for flash_attention in (True, False):
        with loaded(dense, flash_attention=flash_attention) as model:
            state = written(model)
        other = reordered(state, transposed=flash_attention)

        assert not np.array_equal(other, state)
        assert np.array_equal(reordered(other, transposed=not flash_attention), state)
        assert reordered(state, transposed=not flash_attention) is state


def test_the_other_context_takes_it_and_gives_it_back_to_the_byte(dense: Path) -> None:
    with loaded(dense, flash_attention=True) as flash, loaded(dense, flash_attention=False) as plain:
        state = written(flash)
        with pytest.raises(EngineError):
            plain.restore(2, state)
        written(plain)  # its own cells, so that those to come lie elsewhere
        plain.restore(2, reordered(state, transposed=True))
        back = reordered(plain.state(2), transposed=False)

        assert back.size == state.size
        assert np.array_equal(back[16 + 12 * TOKENS :], state[16 + 12 * TOKENS :])  # behind the numbers of sequences


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.9, 0.999])
def test_a_state_of_another_format_is_refused(models: dict[str, Path], kept: float) -> None:
    with loaded(models["llama"], flash_attention=True) as model:
        state = written(model)
    with pytest.raises(EngineError):
        reordered(state[: int(kept * state.size)], transposed=True)
    for at in (8, 12, 16 + 12 * TOKENS):
        changed = state.copy()
        changed[at] += 3
        with pytest.raises(EngineError):
            reordered(changed, transposed=True)

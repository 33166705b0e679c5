"""What is read or compared in a pool of its own is worth what it is worth in the pool of all."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
import pytest

from pipeline.batching import Row
from pipeline.batching.ranking import MOST_CELLS, MOST_FORKS
from pipeline.config import Shape
from pipeline.engines import pools
from pipeline.engines.prefix_cache import Keeping
from pipeline.engines.shape import Demand, Machine, resolve
from pipeline.engines.sizes import Sizes
from pipeline.errors import EngineError
from pipeline.grammars import MOST_ROWS
from pipeline.models.gate import gate
from pipeline.models.gguf import Header, check_model
from tests.models.headers import THREE_BILLION

SIZES = Sizes(1536, 6, 512, 6, 128, 1, prefill_cells=512)
NEAR = 0.05  # logits
PREFIX, OWN = 100, 150


@contextmanager
def loaded(path: Path, sizes: Sizes, adapters: tuple[tuple[Path, float], ...] = ()) -> Iterator[Keeping]:
    model = pools.load(path, sizes, adapters)
    try:
        yield model
    finally:
        model.close()


def rows(sequence: int, first: int, count: int) -> list[Row]:
    return [
        Row(5 + 7 * at % 200, at, (sequence,), logits=at == first + count - 1) for at in range(first, first + count)
    ]


def read(model: Keeping, slot: int) -> np.ndarray:
    """A prompt behind the prefix that sequence 0 holds; its last logits."""
    model.copy(0, slot)
    model.decode(rows(slot, PREFIX, OWN))
    return model.logits(OWN - 1).copy()


def written(model: Keeping, slots: list[int]) -> list[np.ndarray]:
    """A step of generation behind such prompts, all in one call."""
    model.decode([Row(9, PREFIX + OWN, (slot,), logits=True) for slot in slots])
    return [model.logits(place).copy() for place in range(len(slots))]


def near(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.abs(one - other).max() < NEAR)


COMPARED = replace(SIZES, max_sequences=6 + MOST_FORKS, max_outputs=96, comparison_cells=1024)
FORKS = range(6, 6 + MOST_FORKS)
ONE_POOL = replace(COMPARED, cells=2560, prefill_cells=0, comparison_cells=0)


@pytest.fixture
def dense(models: dict[str, Path], family: str) -> Path:
    if gate(check_model(models[family])).memory != "attention" or family == "qwen2vl":
        pytest.skip("has no pool for prompts")
    return models[family]


@pytest.mark.parametrize("flash_attention", [True, False], ids=["flash", "prompts"])
def test_prompts_and_what_follows_are_as_in_one_pool(dense: Path, flash_attention: bool) -> None:
    sizes = replace(SIZES, short_rope=gate(check_model(dense)).first_context is not None)
    with loaded(dense, replace(sizes, prefill_cells=0)) as one:
        one.decode(rows(0, 0, PREFIX))
        expected = read(one, 1)
        (next_expected,) = written(one, [1])
    with loaded(dense, replace(sizes, flash_attention=flash_attention)) as two:
        two.decode(rows(0, 0, PREFIX))
        found = [read(two, slot) for slot in (1, 2, 3)]
        for logits in found:
            assert np.array_equal(logits, found[0])  # to the bit, whatever else the pool holds
            assert near(logits, expected)
        for logits in written(two, [1, 2, 3]):
            assert near(logits, next_expected)


def compared(model: Keeping, slot: int) -> list[np.ndarray]:
    """The logits of a token tree behind a prompt, and of what follows the branch that wins."""
    end, (left, right, third) = PREFIX + OWN, FORKS[:3]
    for fork in (left, right):
        model.copy(slot, fork)
    tree = [
        Row(9, end, (left, right)),
        Row(10, end + 1, (left,)),
        Row(11, end + 1, (right,)),
        Row(12, end + 2, (right,)),
    ]
    model.decode([replace(row, logits=True) for row in tree])
    found = [model.logits(place).copy() for place in range(len(tree))]
    model.copy(left, third)
    model.decode([Row(13, end + 2, (left,), logits=True), Row(14, end + 2, (third,), logits=True)])
    found += [model.logits(place).copy() for place in (0, 1)]
    model.copy(third, slot, end + 2)
    for fork in (left, right, third):
        model.drop(fork)
    model.decode([Row(15, end + 2, (slot,), logits=True)])
    return [*found, model.logits(0).copy()]


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_values_are_compared_as_in_one_pool(dense: Path, kv_type: Literal["f16", "q8_0"]) -> None:
    if kv_type == "q8_0" and (check_model(dense).key_length or 0) % 32:
        pytest.skip("its keys cannot be quantised")
    short = gate(check_model(dense)).first_context is not None
    found = []
    for sizes in (ONE_POOL, COMPARED):
        with loaded(dense, replace(sizes, short_rope=short, kv_type=kv_type)) as model:
            model.decode(rows(0, 0, PREFIX))
            for slot in (1, 2, 3):
                read(model, slot)
            found.append([*compared(model, 2), *compared(model, 1)])
    assert all(near(one, other) for one, other in zip(*found, strict=True))
    assert not near(found[0][1], found[0][2])


def test_pools_and_one_pool_tell_the_same_whatever_is_done_in_which_order(models: dict[str, Path]) -> None:
    with loaded(models["llama"], COMPARED) as pools, loaded(models["llama"], ONE_POOL) as one:
        both, at_random = (pools, one), random.Random(7)
        lengths = dict.fromkeys(range(6), 0)

        def decoded(made: list[Row]) -> None:
            for model in both:
                model.decode(made)
            for place in (place for place, row in enumerate(made) if row.logits):
                assert near(pools.logits(place), one.logits(place))

        def new(sequences: tuple[int, ...], at: int, count: int) -> list[Row]:
            tokens = [at_random.randrange(3, 250) for _ in range(count)]
            return [Row(token, at + i, sequences, logits=i == count - 1) for i, token in enumerate(tokens)]

        for _ in range(300):
            slot = at_random.randrange(1, 6)
            match at_random.choice(["read", "write", "compare", "compare", "drop", "renew"]):
                case "read" | "write" as what if lengths[slot] and lengths[slot] < 230:
                    count = at_random.randrange(64, 90) if what == "read" else at_random.randrange(1, 4)
                    decoded(new((slot,), lengths[slot], count))
                    lengths[slot] += count
                case "compare" if lengths[slot]:
                    forks, count = FORKS[: at_random.randrange(2, 5)], at_random.randrange(1, 4)
                    for model, fork in itertools.product(both, forks):
                        model.copy(slot, fork)
                    decoded([row for fork in forks for row in new((fork,), lengths[slot], count)])
                    winner = at_random.choice(forks)
                    lengths[slot] += count
                    for model in both:
                        model.copy(winner, slot, lengths[slot])
                        for fork in forks:
                            model.drop(fork)
                case "drop" if lengths[slot]:
                    start = at_random.choice([0, max(0, lengths[slot] - 2)])
                    for model in both:
                        model.drop(slot, start)
                    lengths[slot] = start
                case "renew":
                    for sequence in (0, slot) if at_random.random() < 0.2 else (slot,):
                        for model in both:
                            model.drop(sequence)
                        lengths[sequence] = 0
                    if not lengths[0]:
                        lengths[0] = PREFIX
                        step = at_random.choice([PREFIX, PREFIX // 2])  # read in its own pool, and in that of all
                        for start in range(0, PREFIX, step):
                            decoded(new((0,), start, step))
                    for model in both:
                        model.copy(0, slot)
                    lengths[slot] = PREFIX


def test_the_pool_of_comparisons_holds_the_longest_prompt_and_the_largest_comparison(models: dict[str, Path]) -> None:
    sizes = replace(COMPARED, cells=2048, prefill_cells=512, comparison_cells=512 + MOST_CELLS + 32)  # 1024
    with loaded(models["llama"], sizes) as model:
        for holder in (0, 1):  # the beginning of one task is no burden to another
            model.decode(rows(holder, 0, PREFIX))
            model.copy(holder, 2)
            model.decode(rows(2, PREFIX, 512 - PREFIX))
            model.copy(2, FORKS[0])
            for start in range(512, 512 + MOST_CELLS, MOST_ROWS):
                model.decode([Row(7, start + i, (FORKS[0],), logits=True) for i in range(MOST_ROWS)])
            for sequence in (FORKS[0], 2):
                model.drop(sequence)


def test_a_prompt_finds_its_cells_between_those_of_others(models: dict[str, Path]) -> None:
    with loaded(models["llama"], SIZES) as model:
        model.decode(rows(0, 0, PREFIX))
        expected = read(model, 1)
        (next_expected,) = written(model, [1])
        for slot in (2, 3, 4):
            model.copy(0, slot)
            for at in range(PREFIX, PREFIX + 60):  # one by one and in turn: every third cell is the same one's
                model.decode([Row(5, at, (slot,))])
        model.drop(1)
        model.drop(3)
        for slot in (1, 3, 5):
            assert np.array_equal(read(model, slot), expected)
        for logits in written(model, [1, 3, 5]):
            assert near(logits, next_expected)


def test_a_prompt_in_several_calls_goes_on_where_it_stood(models: dict[str, Path]) -> None:
    with loaded(models["llama"], SIZES) as model:
        model.decode(rows(0, 0, PREFIX))
        expected = read(model, 1)
        model.copy(0, 2)
        model.decode([replace(row, logits=False) for row in rows(2, PREFIX, 70)])
        model.decode(rows(2, PREFIX + 70, OWN - 70))

        assert near(model.logits(OWN - 71), expected)


def test_long_and_short_prompts_of_one_call_have_their_own_logits(models: dict[str, Path]) -> None:
    with loaded(models["llama"], SIZES) as model:
        model.decode(rows(0, 0, PREFIX))
        for slot in (1, 2, 3):
            model.copy(0, slot)
        model.decode(rows(1, PREFIX, 10) + rows(2, PREFIX, OWN) + rows(3, PREFIX, 20))
        found = [model.logits(end).copy() for end in (9, 9 + OWN, 29 + OWN)]
        for slot, count, logits in ((4, 10, found[0]), (5, 20, found[2])):
            model.copy(0, slot)
            model.decode(rows(slot, PREFIX, count))
            assert near(model.logits(count - 1), logits)
        assert not near(found[0], found[2])
        with pytest.raises(EngineError):
            model.logits(0)


def test_a_prompt_larger_than_its_pool_is_read_in_the_pool_of_all(models: dict[str, Path]) -> None:
    with loaded(models["llama"], SIZES) as roomy, loaded(models["llama"], replace(SIZES, prefill_cells=256)) as narrow:
        for model in (roomy, narrow):
            model.decode(rows(0, 0, 300))
        assert near(roomy.logits(299), narrow.logits(299))


def test_adapters_lie_over_both_pools(models: dict[str, Path], tmp_path: Path, tiny: ModuleType) -> None:
    adapter = ((Path(tiny.write_adapter(tmp_path)), 1.0),)
    found = []
    for sizes in (SIZES, replace(SIZES, prefill_cells=0)):
        with loaded(models["llama"], sizes, adapter) as model:
            model.decode(rows(0, 0, PREFIX))
            found.append([model.logits(PREFIX - 1).copy(), read(model, 1)])
    with loaded(models["llama"], SIZES) as plain:
        plain.decode(rows(0, 0, PREFIX))
        assert not near(plain.logits(PREFIX - 1), found[0][0])
    for one, other in zip(*found, strict=True):
        assert near(one, other)


def test_only_models_that_attend_to_everything_by_one_position_have_it(models: dict[str, Path], family: str) -> None:
    header = check_model(models[family])
    sizes = resolve(Shape(slots=4), header, Machine(1, 4 << 30), Demand(200, 250, 450, ranked=False)).sizes

    assert bool(sizes.prefill_cells) == (gate(header).memory == "attention" and family != "qwen2vl")


def test_one_slot_another_attention_and_a_full_machine_do_without(models: dict[str, Path]) -> None:
    header = check_model(models["llama"])

    def cells(shape: Shape, memory: int = 4 << 30) -> int:
        return resolve(shape, header, Machine(1, memory), Demand(200, 250, 450, ranked=False)).sizes.prefill_cells

    assert cells(Shape(slots=4)) == 512
    assert cells(Shape(slots=1)) == 0
    assert cells(Shape(slots=4, flash_attention=False)) == 0
    assert cells(Shape(slots=4, gpu_layers=-1)) == 0
    least = next(mib for mib in range(60, 400) if cells(Shape(slots=4, allow_swap=True), mib << 20))
    assert cells(Shape(slots=4, allow_swap=True), (least - 1) << 20) == 0


def test_answers_go_without_flash_attention_where_prompts_have_it(models: dict[str, Path]) -> None:
    header = check_model(models["llama"])

    def flash(memory: int = 4 << 30, *, ranked: bool = False, of: Header = header, **shape: object) -> tuple[bool, int]:
        wanted = Shape.model_validate({"slots": 4, "flash_attention": "prompts"} | shape)
        sizes = resolve(wanted, of, Machine(1, memory), Demand(200, 250, 450, ranked=ranked)).sizes
        return sizes.flash_attention, sizes.prefill_cells

    assert flash() == (False, 512)
    assert flash(ranked=True) == (False, 512)  # comparisons have a pool of their own
    assert flash(slots=1) == (True, 0)
    assert flash(kv_type="q8_0") == (True, 512)
    order = [(True, 0), (True, 512), (False, 512)]
    kinds = [flash(mib << 20, of=THREE_BILLION, allow_swap=True) for mib in range(2000, 8000)]
    assert kinds == sorted(kinds, key=order.index)  # as the memory has room for them
    assert {*kinds} >= {order[0], order[-1]}


def test_without_flash_attention_fewer_tokens_are_computed_at_once_only_beside_a_pool_for_prompts() -> None:
    assert replace(SIZES, flash_attention=False).computed == 64
    assert replace(SIZES, flash_attention=False, prefill_cells=0).computed == SIZES.ubatch
    assert SIZES.computed == SIZES.ubatch

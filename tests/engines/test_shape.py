"""The shape of an engine: as large as is of use, never so large that the machine swaps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batching.ranking import MOST_CELLS
from pipeline.config import Shape
from pipeline.engines.shape import (
    FORK_CELLS,
    PADDING,
    SLOTS,
    Demand,
    Machine,
    in_main_memory,
    layers_on_gpu,
    resolve,
    usable,
)
from pipeline.engines.sizes import Sizes
from pipeline.errors import ModelDoesNotFit
from pipeline.models.gguf import Header
from pipeline.models.memory import cell_bytes, estimate
from tests.models.headers import GIB
from tests.models.headers import THREE_BILLION as HEADER

MUCH = Machine(cores=4, free_memory=64 * GIB)


def total(header: Header, shape: object) -> int:
    return estimate(header, shape.sizes).total  # type: ignore[attr-defined]


def test_with_enough_memory_every_slot_holds_the_longest_prompt() -> None:
    shape = resolve(Shape(), HEADER, MUCH, Demand(1000, 700, 1700, ranked=False))

    assert shape.slots == SLOTS
    assert shape.sizes.cells >= 1000 + SLOTS * 700
    assert shape.sizes.cells % PADDING == 0
    assert shape.forks == 0


@settings(max_examples=60, deadline=None)
@given(
    free=st.integers(1, 40),
    prefix=st.integers(0, 8000),
    longest=st.integers(64, 8000),
    ranked=st.booleans(),
    slots=st.none() | st.integers(1, 200),
)
def test_what_is_chosen_fits_or_it_is_refused(
    free: int, prefix: int, longest: int, ranked: bool, slots: int | None
) -> None:
    machine, demand = Machine(4, free * GIB), Demand(prefix, longest, prefix + longest, ranked=ranked)
    try:
        shape = resolve(Shape(slots=slots), HEADER, machine, demand)
    except ModelDoesNotFit:
        one = resolve(Shape(slots=1, allow_swap=True), HEADER, machine, demand)
        assert total(HEADER, one) > usable(machine)
        return
    assert total(HEADER, shape) <= usable(machine)
    if compared := shape.sizes.comparison_cells:
        assert ranked
        assert compared >= prefix + longest + MOST_CELLS
    assert shape.sizes.cells >= prefix + longest + (FORK_CELLS if ranked and not compared else 0)
    assert shape.sizes.max_sequences <= shape.sizes.max_batch
    assert shape.sizes.max_sequences <= shape.sizes.max_outputs
    assert shape.slots >= 1


def test_less_memory_makes_a_smaller_pool_and_then_fewer_slots() -> None:
    pools = []
    for free in (16, 6, 5, 4.7):
        shape = resolve(Shape(), HEADER, Machine(4, int(free * GIB)), Demand(1000, 1000, 2000, ranked=False))
        pools.append(shape.sizes.cells)

    assert pools == sorted(pools, reverse=True)
    assert len(set(pools)) > 2


def test_what_would_swap_is_refused_with_both_numbers_and_allowed_on_demand() -> None:
    machine = Machine(4, 3 * GIB)
    with pytest.raises(ModelDoesNotFit, match=r"need 3\.\d GiB; 3\.0 GiB are free, and 10%") as raised:
        resolve(Shape(), HEADER, machine, Demand(1000, 1000, 2000, ranked=False))
    assert "--allow-swap" in raised.value.hint

    shape = resolve(Shape(allow_swap=True), HEADER, machine, Demand(1000, 1000, 2000, ranked=False))
    assert shape.slots == 1


def test_a_context_that_is_too_large_for_the_memory_is_refused_too() -> None:
    with pytest.raises(ModelDoesNotFit, match="are free"):
        resolve(Shape(context=1 << 20), HEADER, Machine(4, 8 * GIB), Demand(0, 100, 100, ranked=False))


def test_a_context_below_one_prompt_is_refused() -> None:
    with pytest.raises(ModelDoesNotFit, match="at least 1,100"):
        resolve(Shape(context=512), HEADER, MUCH, Demand(1000, 100, 1100, ranked=False))


def test_what_llama_cpp_measures_wins_over_the_formula() -> None:
    asked = []

    def measure(header: Header, sizes: object) -> object:
        asked.append(sizes)
        return replace(estimate(header, sizes), compute=50 * GIB)  # type: ignore[arg-type]

    with pytest.raises(ModelDoesNotFit):
        resolve(Shape(), HEADER, Machine(4, 40 * GIB), Demand(0, 100, 100, ranked=False), measure=measure)  # type: ignore[arg-type]
    assert asked


@pytest.mark.parametrize(("kind", "copies"), [("F16", 1), ("Q4_K_M", 3)])
def test_replicas_count_what_each_process_holds_for_itself(kind: str, copies: int) -> None:
    header = replace(HEADER, quantisation=kind)
    shape = resolve(Shape(replicas=3, slots=2), header, MUCH, Demand(100, 200, 300, ranked=False))
    memory = estimate(header, shape.sizes)

    assert (shape.replicas, shape.sizes.threads) == (3, 1)
    own = memory.cache + memory.compute + memory.outputs + memory.program + memory.prefill
    assert memory.prefill > 0
    assert memory.of(3) == copies * header.tensor_bytes + 3 * own
    assert memory.of(1) == memory.total


@pytest.mark.parametrize(("wanted", "each"), [(None, 2), (4, 2), (2, 1), (1, 1)])
def test_threads_are_divided_among_replicas(wanted: int | None, each: int) -> None:
    shape = resolve(Shape(replicas=2, threads=wanted), HEADER, MUCH, Demand(100, 200, 300, ranked=False))

    assert (shape.replicas, shape.sizes.threads) == (2, each)


def test_where_the_memory_does_not_hold_all_replicas_there_are_fewer_with_all_threads() -> None:
    machine = Machine(4, 8 * GIB)
    shape = resolve(Shape(replicas=4, threads=4), HEADER, machine, Demand(1000, 700, 1700, ranked=False))

    assert (shape.replicas, shape.sizes.threads) == (2, 2)
    assert estimate(HEADER, shape.sizes).of(2) <= usable(machine)


def test_a_quantised_cache_holds_more() -> None:
    machine = Machine(4, 5 * GIB)
    pools = [
        resolve(Shape(kv_type=kind), HEADER, machine, Demand(2000, 4000, 6000, ranked=False)).sizes.cells
        for kind in ("f16", "q8_0", "q4_0")
    ]

    assert pools[0] < pools[1] < pools[2]


def longrope(original: int) -> Header:
    return replace(
        HEADER,
        architecture="phi3",
        long_rope=True,
        metadata={"phi3.rope.scaling.original_context_length": original},
    )


@pytest.mark.parametrize(("longest", "short"), [(1000, True), (3096, True), (3097, False), (5000, False)])
def test_longrope_has_its_short_factors_where_one_prompt_fits_the_first_context_and_slots_like_others(
    longest: int, short: bool
) -> None:
    shape = resolve(Shape(), longrope(4096), MUCH, Demand(1000, longest, 1000 + longest, ranked=True))

    assert shape.sizes.short_rope is short
    assert shape.slots == SLOTS
    assert shape.sizes.cells > 4096


def test_what_one_prompt_takes_does_not_grow_with_the_prefixes_of_other_tasks() -> None:
    one, three = Demand(1000, 700, 1700, ranked=True), Demand(3600, 700, 1700, ranked=True)
    alone, beside = (resolve(Shape(), longrope(4096), MUCH, demand).sizes for demand in (one, three))

    assert alone.prefill_cells == beside.prefill_cells == 1792
    assert beside.short_rope
    assert beside.cells > alone.cells


def test_a_recurrent_model_ranks_nothing_and_its_states_count() -> None:
    mamba = replace(
        HEADER,
        architecture="mamba2",
        head_count_kv=0,
        metadata={
            "mamba2.ssm.inner_size": 4096,
            "mamba2.ssm.state_size": 128,
            "mamba2.ssm.conv_kernel": 4,
            "mamba2.ssm.group_count": 1,
        },
    )
    shape = resolve(Shape(), mamba, MUCH, Demand(100, 1000, 1100, ranked=True))

    assert shape.forks == 0
    assert shape.fork_cells == 0
    state = (3 * (4096 + 2 * 128) + 128 * 4096) * 4
    assert estimate(mamba, shape.sizes).cache == shape.sizes.max_sequences * 32 * state


# --- layers on a GPU


def test_no_gpu_takes_no_layers() -> None:
    assert resolve(Shape(), HEADER, MUCH, Demand(0, 100, 100, ranked=False)).sizes.gpu_layers == 0


def test_a_large_gpu_takes_all_and_what_was_asked_for_is_kept() -> None:
    machine = replace(MUCH, free_vram=24 * GIB)

    assert resolve(Shape(), HEADER, machine, Demand(0, 100, 100, ranked=False)).sizes.gpu_layers == -1
    assert resolve(Shape(gpu_layers=7), HEADER, machine, Demand(0, 100, 100, ranked=False)).sizes.gpu_layers == 7


@settings(max_examples=60, deadline=None)
@given(free=st.integers(0, 8 * GIB), cells=st.integers(256, 60_000))
def test_the_layers_on_the_gpu_never_take_more_than_is_free(free: int, cells: int) -> None:
    layers = layers_on_gpu(HEADER, free, cells=cells, kv_type="f16")

    moved = 33 if layers == -1 else layers  # the output is the first
    weights = sum(HEADER.layer_bytes[32 - max(0, moved - 1) :]) if moved > 1 else 0
    cache = cell_bytes(HEADER, "f16") * cells / 32 * max(0, moved - 1)
    assert (weights + cache < free) or moved <= 1
    assert moved == 0 or HEADER.tensor_bytes - sum(HEADER.layer_bytes) < free


def test_more_memory_never_means_fewer_layers() -> None:
    counts = [layers_on_gpu(HEADER, free << 28, cells=4096, kv_type="f16") % 34 for free in range(40)]

    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] == 33


@settings(max_examples=60, deadline=None)
@given(free=st.integers(0, 8 * GIB), kind=st.sampled_from(["F16", "Q4_K_M"]))
def test_what_is_on_the_gpu_is_not_asked_of_the_main_memory(free: int, kind: str) -> None:
    header = replace(HEADER, quantisation=kind)
    sizes = Sizes(4096, 20, 2048, 20, 512, 1, gpu_layers=layers_on_gpu(header, free, cells=4096, kv_type="f16"))
    memory = estimate(header, sizes)
    moved = 32 if sizes.gpu_layers < 0 else max(0, sizes.gpu_layers - 1)
    left = in_main_memory(header, sizes, memory)

    assert left.weights == memory.weights - sum(header.layer_bytes[32 - moved :])
    assert left.cache == pytest.approx(memory.cache * (32 - moved) / 32, abs=1)
    assert (left.compute, left.outputs, left.program) == (memory.compute, memory.outputs, memory.program)
    assert left.repacked <= left.weights


def test_a_model_that_only_the_gpu_can_hold_is_run_and_not_refused() -> None:
    little = Machine(4, GIB)
    with pytest.raises(ModelDoesNotFit):
        resolve(Shape(), HEADER, little, Demand(0, 100, 100, ranked=False))

    shape = resolve(Shape(), HEADER, replace(little, free_vram=24 * GIB), Demand(0, 100, 100, ranked=False))
    assert (shape.sizes.gpu_layers, shape.slots) == (-1, SLOTS)

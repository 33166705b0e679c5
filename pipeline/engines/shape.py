"""How large the engine is made: slots, cells, batch sizes, threads; from the model's header, the cores and the memory.

Arithmetic only. The shape decides how fast answers come, never what has to be done again (it is in no work key).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pipeline.batching.ranking import MOST_CELLS, MOST_FORKS
from pipeline.config import Shape
from pipeline.engines.batched import HOLDERS
from pipeline.engines.sizes import Sizes
from pipeline.errors import ModelDoesNotFit
from pipeline.grammars import MOST_ROWS
from pipeline.models.gate import gate
from pipeline.models.gguf import Header
from pipeline.models.memory import Memory, cell_bytes, estimate

SLOTS = 16  # measured best on two cores (ENGINE.md 8b); more only deepens the queue
FEW = 4  # where answers are written without flash attention: each pays for the cells of all (LOG.md)
COMPARISONS = 6  # of candidates at a time: most calls then have the 64 rows that the tiled attention path asks for
COMPARED_ROWS = 2 * MOST_ROWS  # of one call; each may take a third of a megabyte of logits
FORKS = COMPARISONS * MOST_FORKS
FORK_CELLS = 4 * MOST_CELLS  # more than six comparisons of runs of lines take, as a rule
BATCH = 2048
MOST_SEQUENCES = 256  # in one context of llama.cpp
PADDING = 256  # llama.cpp rounds the pool to this
RESERVE = 0.1  # of the free memory, left to everything else that runs meanwhile
VRAM_RESERVE = 0.1

Measure = Callable[[Header, Sizes], Memory]


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine offers now."""

    cores: int  # physical ones
    free_memory: int  # bytes
    free_vram: int = 0  # bytes; 0 also where llama.cpp was built without a GPU


@dataclass(frozen=True, slots=True)
class Demand:
    """What the tasks of a job ask of an engine, in tokens."""

    prefix: int  # shared, over all tasks
    longest: int  # the most of one prompt and its answer, without its prefix
    whole: int  # the most of one prompt and its answer, with it
    ranked: bool  # whether a task has alternatives compared


@dataclass(frozen=True, slots=True)
class Resolved:
    """A shape with nothing left open."""

    slots: int
    forks: int
    fork_cells: int
    sizes: Sizes
    replicas: int = 1  # processes of this shape


def less(machine: Machine, taken: int) -> Machine:
    """What the machine offers when `taken` bytes of weights more are loaded than a model's own."""
    return replace(
        machine, free_memory=max(0, machine.free_memory - taken), free_vram=max(0, machine.free_vram - taken)
    )


def usable(machine: Machine) -> int:
    """Bytes that can be taken without making this machine swap."""
    return int(machine.free_memory * (1 - RESERVE))


def smallest(context: int) -> Sizes:
    """The sizes of one answer at a time within this many cells."""
    return Sizes(-(-context // PADDING) * PADDING, HOLDERS + 1, BATCH, HOLDERS + 1, 512, threads=1)


def resolve(shape: Shape, header: Header, machine: Machine, demand: Demand, *, measure: Measure = estimate) -> Resolved:
    """Fill in what the user left open: as many slots as are of use, and fewer where the memory asks for it.

    Several replicas are each of this shape and share the cores; where they do not all fit, there are fewer.
    Raises ModelDoesNotFit when one prompt does not fit, or when it would make the machine swap and `shape.allow_swap`
    is off.
    """
    allowed = gate(header)
    flash_for_prompts = shape.flash_attention == "prompts"
    forks, fork_cells = (FORKS, FORK_CELLS) if demand.ranked and allowed.coupled else (0, 0)
    fixed = demand.prefix + fork_cells
    least = fixed + demand.longest
    if shape.context is not None and shape.context < least:
        raise ModelDoesNotFit(
            f"A context of {shape.context:,} cells is too small: this job needs at least {least:,} "
            f"(shared prompt {demand.prefix:,}, longest prompt and answer {demand.longest:,}).",
            hint="Raise `context`, or lower chunk_tokens in the task.",
        )

    def made(slots: int, cells: int, replicas: int = 1) -> Resolved:
        slots = min(slots, max(1, (cells - fixed) // 64), MOST_SEQUENCES - HOLDERS - forks)
        sequences = HOLDERS + slots + forks
        sizes = Sizes(
            cells=cells,
            max_sequences=sequences,
            max_batch=max(shape.batch, sequences, fork_cells),
            max_outputs=max(sequences, COMPARED_ROWS if forks else 0),
            ubatch=shape.ubatch,
            threads=max(1, (shape.threads or machine.cores) // replicas),
            kv_type=shape.kv_type,
            flash_attention=bool(shape.flash_attention),
            gpu_layers=_gpu_layers(shape, header, machine, cells, replicas),
            short_rope=allowed.first_context is not None and demand.whole <= allowed.first_context,
        )
        return Resolved(slots, forks, fork_cells, sizes, replicas)

    def needed(made: Resolved) -> int:
        return in_main_memory(header, made.sizes, measure(header, made.sizes)).of(made.replicas)

    room = usable(machine)
    lowest = _padded(shape.context or least)

    def fitted(slots: int, replicas: int) -> Resolved | None:
        def fits(cells: int) -> bool:
            return needed(made(slots, cells, replicas)) <= room

        cells = _most(lowest, _padded(shape.context or fixed + slots * demand.longest), fits)
        return None if cells is None else with_pools(made(slots, cells, replicas))

    def with_pools(found: Resolved) -> Resolved:
        wider = replace(found, sizes=for_prompts(header, found.sizes, found.slots, demand.whole))
        wanted = [wider]
        if wider.sizes.prefill_cells and forks:
            wanted.insert(0, for_comparisons(wider, demand.whole, shape.batch))
        if flash_for_prompts and (not forks or len(wanted) > 1):  # comparisons are many rows over the cells of all
            wanted.insert(0, replace(wanted[0], sizes=without_flash(wanted[0].sizes)))
        return next((each for each in wanted if needed(each) <= room), found)

    usual = SLOTS
    if flash_for_prompts:
        few = for_prompts(header, made(FEW, lowest).sizes, FEW, demand.whole)
        usual = SLOTS if without_flash(few).flash_attention else FEW

    for replicas in range(shape.replicas, 0, -1):
        slots = shape.slots or usual
        while slots:
            if (found := fitted(slots, replicas)) is not None:
                return found
            slots //= 2
    if shape.allow_swap:
        return made(shape.slots or 1, lowest)
    need = needed(made(1, lowest))
    raise ModelDoesNotFit(
        f"{header.path.name} and one prompt of this job need {need / 2**30:.1f} GiB; "
        f"{machine.free_memory / 2**30:.1f} GiB are free, and {RESERVE:.0%} of that is left to other programs.",
        hint="See what would fit: nightdesk fit TASK. With --allow-swap it runs anyway, very slowly.",
    )


def for_prompts(header: Header, sizes: Sizes, slots: int, longest: int) -> Sizes:
    """With a second pool for prompts of up to `longest` tokens where it is of use (see `pools`).

    A sliding window's old cells are not copied, recurrent layers have none, LongRoPE would give the two pools other
    factors, and a cell with M-RoPE has positions that `sequence_state` does not know.
    """
    allowed = gate(header)
    sections = f"{header.architecture}.rope.dimension_sections" in header.metadata
    copied = allowed.memory == "attention" and not sections and (allowed.first_context is None or sizes.short_rope)
    alone = slots == 1 or sizes.max_sequences == MOST_SEQUENCES
    if not copied or alone or not sizes.flash_attention or sizes.gpu_layers:
        return sizes
    return replace(sizes, prefill_cells=_padded(min(longest, sizes.cells)))


def for_comparisons(found: Resolved, longest: int, batch: int) -> Resolved:
    """With a third pool in which the values of one answer at a time are compared, in place of room for six comparisons
    in the large one. `longest`: the most tokens of a prompt and its answer."""
    sizes = found.sizes
    sequences = sizes.max_sequences - found.forks + MOST_FORKS
    smaller = replace(
        sizes,
        cells=sizes.cells - found.fork_cells // PADDING * PADDING,
        max_sequences=sequences,
        max_batch=max(batch, sequences),
        max_outputs=max(sequences, MOST_ROWS),
        comparison_cells=_padded(longest + MOST_CELLS),
    )
    return replace(found, forks=MOST_FORKS, fork_cells=MOST_CELLS, sizes=smaller)


def without_flash(sizes: Sizes) -> Sizes:
    """The pool of answers without flash attention, where the prompts have a pool with it; else the sizes as they are.

    Only for values that have two orders (`sequence_state`).
    """
    if not sizes.prefill_cells or sizes.kv_type != "f16":
        return sizes
    return replace(sizes, flash_attention=False)


def _padded(cells: int) -> int:
    return -(-cells // PADDING) * PADDING


def _most(low: int, high: int, fits: Callable[[int], bool]) -> int | None:
    """The largest padded number of cells between the two that fits; None where not even `low` does."""
    if fits(high):
        return high
    if low >= high or not fits(low):
        return None
    while high - low > PADDING:
        middle = _padded((low + high) // 2)
        if middle >= high:
            break
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def in_main_memory(header: Header, sizes: Sizes, memory: Memory) -> Memory:
    """What is left of it on the CPU's side when `sizes.gpu_layers` layers and their cache are on the GPU.

    The output's weights and the work buffers are counted as if they stayed.
    """
    layers = header.layer_bytes
    if not sizes.gpu_layers or not layers:
        return memory
    moved = len(layers) if sizes.gpu_layers < 0 else min(sizes.gpu_layers - 1, len(layers))  # the output is the first
    weights = sum(layers[len(layers) - moved :])
    return replace(
        memory,
        weights=memory.weights - weights,
        repacked=max(0, memory.repacked - weights),
        cache=memory.cache - memory.cache * moved // len(layers),
    )


def _gpu_layers(shape: Shape, header: Header, machine: Machine, cells: int, replicas: int) -> int:
    if shape.gpu_layers is not None:
        return shape.gpu_layers
    vram = machine.free_vram // replicas
    return layers_on_gpu(header, vram, cells=cells, kv_type=shape.kv_type) if vram else 0


def layers_on_gpu(header: Header, free_vram: int, *, cells: int, kv_type: str) -> int:
    """How many layers fit the free memory of the GPU with their part of the KV cache; -1: all of them.

    What does not fit would spill into the machine's memory, which is slower than leaving the layer on the CPU.
    llama.cpp moves the output first and then the last layers. The speed this gives is unmeasured.
    """
    layers = header.layer_bytes
    if not layers:
        return 0
    cache = int(cells * cell_bytes(header, kv_type) / len(layers))
    buffers = 512 * 4 * (header.vocabulary_size or 0) // 2 + (256 << 20)  # a call's own work
    left = free_vram * (1 - VRAM_RESERVE) - buffers - (header.tensor_bytes - sum(layers))
    moved = 0 if left < 0 else 1
    for size in reversed(layers):
        left -= size + cache
        if left < 0:
            return moved
        moved += 1
    return -1

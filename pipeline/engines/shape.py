"""How large the engine is made: slots, cells, batch sizes, threads; from the model's header, the cores and the memory.

Arithmetic only. The shape decides how fast answers come, never what has to be done again (it is in no work key).
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config import Shape
from pipeline.engines.batched import HOLDERS
from pipeline.engines.sizes import Sizes
from pipeline.errors import ModelDoesNotFit
from pipeline.models.gguf import Header

SLOTS = 16  # measured best on two cores (ENGINE.md 8b); more only deepens the queue
FORKS = 32  # alternatives scored in one call
FORK_CELLS = 256
BATCH = 2048
PADDING = 256  # llama.cpp rounds the pool to this
BYTES = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
SHARE = 0.6  # of the free memory that weights and KV cache together may take


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine offers now."""

    cores: int  # physical ones
    free_memory: int  # bytes


@dataclass(frozen=True, slots=True)
class Resolved:
    """A shape with nothing left open."""

    slots: int
    forks: int
    fork_cells: int
    sizes: Sizes


def kv_bytes_per_token(header: Header, kv_type: str) -> int:
    """Bytes of one KV cell over all layers, dense attention. An upper bound for sliding windows."""
    layers = header.block_count or 0
    heads = header.heads or 1
    width = (header.embedding_length or 0) // heads
    kv_heads = header.head_count_kv if header.head_count_kv is not None else heads
    total = sum(kv_heads) if isinstance(kv_heads, tuple) else kv_heads * layers
    key, value = header.key_length or width, header.value_length or width
    return int(total * (key + value) * BYTES[kv_type])


def resolve(shape: Shape, header: Header, machine: Machine, *, prefix: int, longest: int, ranked: bool) -> Resolved:
    """Fill in what the user left open.

    `prefix` is the number of shared tokens over all tasks, `longest` the most tokens of one prompt and its answer
    without its prefix, `ranked` whether a task scores alternatives. Raises ModelDoesNotFit when the memory cannot
    hold one prompt.
    """
    cell = kv_bytes_per_token(header, shape.kv_type)
    forks, fork_cells = (FORKS, FORK_CELLS) if ranked else (0, 0)
    fixed = prefix + fork_cells
    affordable = (machine.free_memory * SHARE - header.tensor_bytes) / cell - PADDING if cell else float("inf")
    if affordable < fixed + longest:
        need = header.tensor_bytes + (fixed + longest + PADDING) * cell
        raise ModelDoesNotFit(
            f"{header.path.name} and one prompt of this job need about {need / 2**30:.1f} GiB; "
            f"{machine.free_memory / 2**30:.1f} GiB are free, of which Nightdesk takes {SHARE:.0%}.",
            hint="Close other programs, take a smaller model, or lower chunk_tokens in the task.",
        )
    slots = shape.slots or SLOTS
    cells = shape.context or int(min(fixed + slots * longest, affordable))
    if cells < fixed + longest:
        raise ModelDoesNotFit(
            f"A context of {cells:,} cells is too small: this job needs at least {fixed + longest:,} "
            f"(shared prompt {prefix:,}, longest prompt and answer {longest:,}).",
            hint="Raise `context`, or lower chunk_tokens in the task.",
        )
    slots = min(slots, max(1, (cells - fixed) // 64))
    sequences = HOLDERS + slots + forks
    return Resolved(
        slots=slots,
        forks=forks,
        fork_cells=fork_cells,
        sizes=Sizes(
            cells=-(-cells // PADDING) * PADDING,
            max_sequences=sequences,
            max_batch=BATCH,
            max_outputs=max(sequences, fork_cells + 1),
            ubatch=shape.ubatch,
            threads=shape.threads or machine.cores,
            kv_type=shape.kv_type,
            flash_attention=shape.flash_attention,
            gpu_layers=shape.gpu_layers,
        ),
    )

"""How much memory a model takes, from its header alone: the weights, the KV cache, recurrent states, buffers.

`engines.dry_run` asks llama.cpp itself; this formula is for tables over many files and for when that fails. It knows
grouped heads, heads that differ by layer, layers that share a cache, sliding windows of other head sizes, multi-head
latent attention (one narrow cache, no values) and recurrent layers, whose size depends on the sequences and not on
the context. Knows nothing of tasks or machines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from pipeline.grammars import MOST_ROWS
from pipeline.models.gguf import Header

KV_BYTES = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}  # bytes an element
PROGRAM = 68 << 20  # measured: the process and its libraries without what they load
# Types that llama.cpp computes with as they lie in the file (ggml-cpu/repack.cpp); others it may copy in another order
_MAPPED = re.compile(r"F32|F16|BF16|Q4_1|Q5_[01]")
_STATE = 4  # bytes of an element of a recurrent state, always F32
_FULL_ATTENTION_INTERVAL = 4  # llama.cpp's default where the file does not say


class ContextSizes(Protocol):
    """The sizes of a context that decide its memory; `engines.sizes.Sizes` is one."""

    @property
    def cells(self) -> int: ...  # noqa: D102
    @property
    def max_sequences(self) -> int: ...  # noqa: D102
    @property
    def max_outputs(self) -> int: ...  # noqa: D102
    @property
    def ubatch(self) -> int: ...  # noqa: D102
    @property
    def kv_type(self) -> str: ...  # noqa: D102
    @property
    def computed(self) -> int: ...  # noqa: D102
    @property
    def flash_attention(self) -> bool: ...  # noqa: D102
    @property
    def prefill_cells(self) -> int: ...  # noqa: D102
    @property
    def comparison_cells(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes by purpose. `exact`: llama.cpp said so."""

    weights: int
    cache: int  # KV cells and recurrent states
    compute: int  # what a decode call works in
    outputs: int  # logits on their way to us
    program: int = PROGRAM
    exact: bool = False
    repacked: int = 0  # of the weights: what each further process may hold for itself
    prefill: int = 0  # the second context that reads prompts, and a prompt's cells on their way out of it
    comparison: int = 0  # the third one, in which values are compared, and an answer's cells on their way into it

    @property
    def total(self) -> int:
        """Everything together."""
        return self.weights + self.cache + self.compute + self.outputs + self.program + self.prefill + self.comparison

    def of(self, processes: int) -> int:
        """Everything together for so many processes. The file is mapped once; what is repacked is each one's own."""
        each = self.repacked + self.total - self.weights
        return self.total + (processes - 1) * each


def estimate(header: Header, sizes: ContextSizes) -> Memory:
    """The formula."""
    cache = sizes.cells * cell_bytes(header, sizes.kv_type) + sizes.max_sequences * state_bytes(header)
    prefill = comparison = 0
    each = cell_bytes(header, sizes.kv_type)
    if sizes.prefill_cells:
        copies = 2 if sizes.flash_attention else 3  # the cells, a copy, and one in the other order
        moved = copies * int(sizes.prefill_cells * each)
        prefill = moved + _compute(header, sizes.prefill_cells, sizes.ubatch, outputs=1)
    if sizes.comparison_cells:
        reordered = sizes.kv_type == "f16"
        moved = (1 + reordered) * int(sizes.comparison_cells * each)  # the other copy has the room of the prompts' one
        computed = _compute(header, sizes.comparison_cells, MOST_ROWS, MOST_ROWS, scores=reordered)
        comparison = moved + computed + MOST_ROWS * (header.vocabulary_size or 0) * 4
    return Memory(
        header.tensor_bytes,
        int(cache),
        _compute(header, sizes.cells, sizes.computed, sizes.max_outputs, scores=not sizes.flash_attention),
        output_bytes(header, sizes),
        repacked=0 if _MAPPED.fullmatch(header.quantisation) else header.tensor_bytes,
        prefill=prefill,
        comparison=comparison,
    )


def output_bytes(header: Header, sizes: ContextSizes) -> int:
    """llama.cpp makes room for few rows of logits first, and for all of them when a call asks for them."""
    return sizes.max_outputs * (header.vocabulary_size or 0) * 4


def cell_bytes(header: Header, kv_type: str) -> float:
    """Bytes of one KV cell over all layers."""
    number = _Numbers(header)
    layers = header.block_count or 0
    if number("attention.key_length_mla"):
        latent, rotary = number("attention.kv_lora_rank"), number("rope.dimension_count")
        return layers * (header.key_length or latent + rotary) * KV_BYTES[kv_type]
    heads = header.head_count_kv if header.head_count_kv is not None else header.heads or 1
    by_layer = _per_layer(heads, layers) if isinstance(heads, tuple) else [heads] * layers
    by_layer = by_layer[: max(0, layers - number("attention.shared_kv_layers"))]
    width = (header.key_length or 0) + (header.value_length or 0)
    narrow = number("attention.key_length_swa") + number("attention.value_length_swa")
    slides = _sliding(header, layers)
    recurrent = _recurrent(header, layers)
    both = header.architecture == "falcon-h1"  # each layer attends and recurs
    elements = sum(
        count * (narrow if narrow and slides[layer] else width)
        for layer, count in enumerate(by_layer)
        if both or not recurrent[layer]
    )
    return elements * KV_BYTES[kv_type]


def state_bytes(header: Header) -> int:
    """Bytes of the recurrent states of one sequence over all layers; 0 for models that only attend."""
    layers = header.block_count or 0
    return sum(_recurrent(header, layers)) * _layer_state(header) * _STATE


def _layer_state(header: Header) -> int:
    """Elements of one layer's state, as llama.cpp's n_embd_r + n_embd_s."""
    number, width = _Numbers(header), header.embedding_length or 0
    if head := number("wkv.head_size"):
        return (number("token_shift_count") or 2) * width + width * head
    if steps := number("shortconv.l_cache"):
        return width * (steps - 1)
    if head := number("kda.head_dim"):
        inner = (header.heads or 0) * head
        return 3 * (number("ssm.conv_kernel") - 1) * inner + head * inner
    inner, state = number("ssm.inner_size"), number("ssm.state_size")
    convolved = inner + 2 * number("ssm.group_count") * state
    return max(0, number("ssm.conv_kernel") - 1) * convolved + state * inner


def _recurrent(header: Header, layers: int) -> list[bool]:
    """Which layers keep a state."""
    if not _layer_state(header):
        return [False] * layers
    heads = header.head_count_kv
    if header.architecture == "falcon-h1" or not heads:
        return [True] * layers
    if isinstance(heads, tuple):
        feeds = header.metadata.get(f"{header.architecture}.feed_forward_length")
        fed = _per_layer(feeds, layers) if header.architecture.startswith("nemotron") else [0] * layers
        return [count == 0 and not feed for count, feed in zip(_per_layer(heads, layers), fed, strict=True)]
    if header.architecture.startswith(("mamba", "rwkv", "arwkv")):
        return [True] * layers
    every = _Numbers(header)("full_attention_interval") or _FULL_ATTENTION_INTERVAL
    return [(layer + 1) % every != 0 for layer in range(layers)]


def _sliding(header: Header, layers: int) -> list[bool]:
    pattern = header.metadata.get(f"{header.architecture}.attention.sliding_window_pattern")
    return [bool(each) for each in _per_layer(pattern, layers)]


def _per_layer(values: object, layers: int) -> list[int]:
    """A list of the file as long as there are layers, whatever the file holds: 0 where it says nothing."""
    known = values[:layers] if isinstance(values, tuple) else ()
    return [each if isinstance(each, int) else 0 for each in known] + [0] * (layers - len(known))


def _compute(header: Header, cells: int, ubatch: int, outputs: int, *, scores: bool = False) -> int:
    """Roughly: the largest of the stages of a call, and the mask over all cells. `scores`: without flash attention
    each head has one for every row and cell."""
    number, width = _Numbers(header), header.embedding_length or 0
    rows = min(ubatch, cells) + 8
    fed = max(number("feed_forward_length"), number("expert_feed_forward_length") * number("expert_used_count"))
    attends = (header.heads or 0) * ((header.key_length or 0) + (header.value_length or 0))
    inside = rows * 4 * (4 * width + max(2 * fed, 2 * attends, 4 * number("ssm.inner_size")))
    ends = outputs * 4 * ((header.vocabulary_size or 0) + 2 * width)
    mask = cells * rows * 2 if cell_bytes(header, "f16") else 0
    every = cells * rows * 4 * (header.heads or 0) if scores else 0
    return max(inside, ends) + mask + every


class _Numbers:
    """A model's own keys as whole numbers: 0 where there is none, the largest of one a layer."""

    def __init__(self, header: Header) -> None:
        self._header = header

    def __call__(self, key: str) -> int:
        value = self._header.metadata.get(f"{self._header.architecture}.{key}", 0)
        values = value if isinstance(value, tuple) else (value,)
        return max((int(each) for each in values if isinstance(each, int)), default=0)

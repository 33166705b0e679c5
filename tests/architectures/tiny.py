"""Tiny models with random weights, one of each family that llama.cpp runs, written as GGUF on the spot.

Their answers are noise; what is tested is that they load, are sized right, keep to the grammar, and that sequences
answered together do not disturb each other.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import gguf
import numpy as np

WIDTH, FEED, HEADS, KV_HEADS, HEAD, LAYERS, CONTEXT = 64, 96, 4, 2, 16, 3, 2048
EXPERTS, INNER, STATE, RANK = 4, 128, 16, 4
Tensors = Iterator[tuple[str, tuple[int, ...]]]  # ggml's order of dimensions
Keys = dict[str, int | float | list[int]]

_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6


def vocabulary(writer: gguf.GGUFWriter, kind: str) -> int:
    """A byte-level BPE or a SentencePiece vocabulary with byte fallback; returns its size."""
    if kind == "bpe":
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        shown = {byte: chr(byte) for byte in printable}
        shown |= {byte: chr(256 + n) for n, byte in enumerate(sorted(set(range(256)) - set(printable)))}
        words = ["ab", "Ġa", "th", "the", "Ġthe"]
        tokens = [shown[byte] for byte in range(256)] + words + ["<|im_start|>", "<|im_end|>"]
        kinds = [_NORMAL] * (256 + len(words)) + [_CONTROL] * 2
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_merges(["a b", "Ġ a", "t h", "th e", "Ġ the"])
        writer.add_eos_token_id(len(tokens) - 1)
    else:
        words = ["▁a", "ab", "▁ab", "th", "▁the", "▁", *'abcdefghijklmnopqrstuvwxyz{}[]":,0123456789']
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *words]
        kinds = [_UNKNOWN, _CONTROL, _CONTROL] + [_BYTE] * 256 + [_NORMAL] * len(words)
        writer.add_tokenizer_model("llama")
        writer.add_token_scores([-float(i) for i in range(len(tokens))])
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    return len(tokens)


def _attention(i: int, *, biases: bool = False, norms: bool = False, head: int = HEAD) -> Tensors:
    for name, size in (("q", HEADS * head), ("k", KV_HEADS * head), ("v", KV_HEADS * head)):
        yield f"blk.{i}.attn_{name}.weight", (WIDTH, size)
        if biases:
            yield f"blk.{i}.attn_{name}.bias", (size,)
    yield f"blk.{i}.attn_output.weight", (HEADS * head, WIDTH)
    if norms:
        yield f"blk.{i}.attn_q_norm.weight", (head,)
        yield f"blk.{i}.attn_k_norm.weight", (head,)


def _feed(i: int) -> Tensors:
    yield f"blk.{i}.ffn_norm.weight", (WIDTH,)
    yield f"blk.{i}.ffn_gate.weight", (WIDTH, FEED)
    yield f"blk.{i}.ffn_up.weight", (WIDTH, FEED)
    yield f"blk.{i}.ffn_down.weight", (FEED, WIDTH)


def _experts(i: int, *, biases: bool = False) -> Tensors:
    yield f"blk.{i}.ffn_gate_inp.weight", (WIDTH, EXPERTS)
    for name, shape in (("gate", (WIDTH, FEED)), ("up", (WIDTH, FEED)), ("down", (FEED, WIDTH))):
        yield f"blk.{i}.ffn_{name}_exps.weight", (*shape, EXPERTS)
        if biases:
            yield f"blk.{i}.ffn_{name}_exps.bias", (shape[1], EXPERTS)
    if biases:
        yield f"blk.{i}.ffn_gate_inp.bias", (EXPERTS,)


def _recurrence(i: int) -> Tensors:
    convolved = INNER + 2 * STATE
    yield f"blk.{i}.ssm_in.weight", (WIDTH, INNER + convolved + RANK)
    yield f"blk.{i}.ssm_conv1d.weight", (4, convolved)
    yield f"blk.{i}.ssm_conv1d.bias", (convolved,)
    yield f"blk.{i}.ssm_dt.bias", (RANK,)
    yield f"blk.{i}.ssm_a", (1, RANK)
    yield f"blk.{i}.ssm_d", (1, RANK)
    yield f"blk.{i}.ssm_norm.weight", (INNER, 1)
    yield f"blk.{i}.ssm_out.weight", (INNER, WIDTH)


def _llama(i: int) -> Tensors:
    yield f"blk.{i}.attn_norm.weight", (WIDTH,)
    yield from _attention(i)
    yield from _feed(i)


def _qwen2(i: int) -> Tensors:
    yield f"blk.{i}.attn_norm.weight", (WIDTH,)
    yield from (each for each in _attention(i, biases=True))
    yield from _feed(i)


def _qwen3(i: int) -> Tensors:
    yield f"blk.{i}.attn_norm.weight", (WIDTH,)
    yield from _attention(i, norms=True)
    yield from _feed(i)


def _gemma3(i: int) -> Tensors:
    yield from _qwen3(i)
    yield f"blk.{i}.post_attention_norm.weight", (WIDTH,)
    yield f"blk.{i}.post_ffw_norm.weight", (WIDTH,)


def _mixtral(i: int) -> Tensors:
    yield f"blk.{i}.attn_norm.weight", (WIDTH,)
    yield from _attention(i)
    yield f"blk.{i}.ffn_norm.weight", (WIDTH,)
    yield from _experts(i)


def _phi3(i: int) -> Tensors:
    yield f"blk.{i}.attn_norm.weight", (WIDTH,)
    yield f"blk.{i}.attn_qkv.weight", (WIDTH, (HEADS + 2 * KV_HEADS) * HEAD)
    yield f"blk.{i}.attn_output.weight", (WIDTH, WIDTH)
    yield f"blk.{i}.ffn_norm.weight", (WIDTH,)
    yield f"blk.{i}.ffn_up.weight", (WIDTH, 2 * FEED)
    yield f"blk.{i}.ffn_down.weight", (FEED, WIDTH)
    if i == 0:
        yield "rope_factors_long.weight", (HEAD // 2,)
        yield "rope_factors_short.weight", (HEAD // 2,)


def _deepseek2(i: int) -> Tensors:
    latent, rotary, plain = 32, 16, 16
    yield f"blk.{i}.attn_norm.weight", (WIDTH,)
    yield f"blk.{i}.attn_q_a.weight", (WIDTH, 24)
    yield f"blk.{i}.attn_q_a_norm.weight", (24,)
    yield f"blk.{i}.attn_q_b.weight", (24, HEADS * (plain + rotary))
    yield f"blk.{i}.attn_kv_a_mqa.weight", (WIDTH, latent + rotary)
    yield f"blk.{i}.attn_kv_a_norm.weight", (latent,)
    yield f"blk.{i}.attn_k_b.weight", (plain, latent, HEADS)
    yield f"blk.{i}.attn_v_b.weight", (latent, 16, HEADS)
    yield f"blk.{i}.attn_output.weight", (HEADS * 16, WIDTH)
    yield from _feed(i)


def _gpt_oss(i: int) -> Tensors:
    yield f"blk.{i}.attn_norm.weight", (WIDTH,)
    yield f"blk.{i}.post_attention_norm.weight", (WIDTH,)
    yield from _attention(i, biases=True)
    yield f"blk.{i}.attn_output.bias", (WIDTH,)
    yield f"blk.{i}.attn_sinks.weight", (HEADS,)
    yield from _experts(i, biases=True)


def _mamba2(i: int) -> Tensors:
    yield f"blk.{i}.attn_norm.weight", (WIDTH,)
    yield from _recurrence(i)


def _granite_hybrid(i: int) -> Tensors:
    yield f"blk.{i}.attn_norm.weight", (WIDTH,)
    yield from (_attention(i) if i == 1 else _recurrence(i))
    yield from _feed(i)


def _lfm2(i: int) -> Tensors:
    yield f"blk.{i}.attn_norm.weight", (WIDTH,)
    if i == 1:
        yield from _attention(i, norms=True)
    else:
        yield f"blk.{i}.shortconv.conv.weight", (3, WIDTH)
        yield f"blk.{i}.shortconv.in_proj.weight", (WIDTH, 3 * WIDTH)
        yield f"blk.{i}.shortconv.out_proj.weight", (WIDTH, WIDTH)
    yield from _feed(i)


_SSM: Keys = {
    "ssm.conv_kernel": 4,
    "ssm.inner_size": INNER,
    "ssm.state_size": STATE,
    "ssm.time_step_rank": RANK,
    "ssm.group_count": 1,
}
_MOE: Keys = {"expert_count": EXPERTS, "expert_used_count": 2, "expert_feed_forward_length": FEED}
_WINDOW: Keys = {"attention.sliding_window": 32}
_MLA: Keys = {
    "attention.head_count_kv": 1,
    "attention.q_lora_rank": 24,
    "attention.kv_lora_rank": 32,
    "attention.key_length": 48,
    "attention.value_length": 32,
    "attention.key_length_mla": 32,
    "attention.value_length_mla": 16,
    "rope.dimension_count": 16,
    "leading_dense_block_count": LAYERS,
    "expert_feed_forward_length": FEED,
    "expert_shared_count": 0,
}
_MROPE: Keys = {"rope.dimension_sections": [HEAD // 4, HEAD // 8, HEAD // 8, 0]}  # a position has several parts
_ONE_ATTENDS: Keys = {"attention.head_count_kv": [0, KV_HEADS, 0]}

FAMILIES: dict[str, tuple[str, str, Callable[[int], Tensors], Keys]] = {
    # name: architecture, vocabulary, tensors of a layer, keys
    "llama": ("llama", "spm", _llama, {}),
    "mixtral": ("llama", "spm", _mixtral, _MOE),
    "qwen2": ("qwen2", "bpe", _qwen2, {}),
    "qwen3": ("qwen3", "bpe", _qwen3, {}),
    "qwen2vl": ("qwen2vl", "bpe", _qwen2, _MROPE),
    "gemma3": ("gemma3", "spm", _gemma3, _WINDOW),
    "phi3": ("phi3", "spm", _phi3, {"rope.scaling.original_context_length": 1024}),
    "deepseek2": ("deepseek2", "bpe", _deepseek2, _MLA),
    "gpt-oss": ("gpt-oss", "bpe", _gpt_oss, _MOE | _WINDOW),
    "mamba2": ("mamba2", "bpe", _mamba2, _SSM | {"attention.head_count_kv": 0}),
    "granite-hybrid": ("granitehybrid", "bpe", _granite_hybrid, _SSM | _ONE_ATTENDS),
    "lfm2": ("lfm2", "bpe", _lfm2, {"shortconv.l_cache": 3} | _ONE_ATTENDS),
}


def write_model(folder: Path, family: str) -> Path:
    """A model of this family. Equal every time."""
    architecture, kind, layer, keys = FAMILIES[family]
    path = folder / f"{family}.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    base: Keys = {
        "block_count": LAYERS,
        "context_length": CONTEXT,
        "embedding_length": WIDTH,
        "feed_forward_length": FEED,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "attention.key_length": HEAD,
        "attention.value_length": HEAD,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.dimension_count": HEAD,
    }
    for key, value in (base | keys).items():
        name = f"{architecture}.{key}"
        if isinstance(value, list):
            writer.add_array(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        else:
            writer.add_uint32(name, value)
    size = vocabulary(writer, kind)
    writer.add_uint32(f"{architecture}.vocab_size", size)
    last = "token_embd_norm" if family == "lfm2" else "output_norm"
    tensors = [("token_embd.weight", (WIDTH, size)), (f"{last}.weight", (WIDTH,)), ("output.weight", (WIDTH, size))]
    for i in range(LAYERS):
        tensors += layer(i)
    random = np.random.default_rng(zlib.crc32(family.encode()))
    for name, shape in tensors:
        data = random.standard_normal(shape[::-1]).astype(np.float32)
        if name.endswith("ssm_a"):
            data = -np.exp(data)
        elif "rope_factors" in name:
            data = 1 + np.abs(data) + ("long" in name)
        elif "norm" in name:
            data = 1 + 0.1 * data
        elif not name.startswith("token_embd"):
            data *= 1.5 / np.sqrt(shape[0])
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_adapter(folder: Path, architecture: str = "llama", *, width: int = WIDTH, name: str = "adapter") -> Path:
    """A LoRA adapter over the queries and the output of every layer of the tiny `llama`, strong enough to be seen."""
    path = folder / f"{name}.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    random = np.random.default_rng(7)
    for i in range(LAYERS):
        for tensor in ("attn_q", "attn_output"):
            for half, shape in (("a", (RANK, width)), ("b", (width, RANK))):
                data = 0.2 * random.standard_normal(shape).astype(np.float32)
                writer.add_tensor(f"blk.{i}.{tensor}.weight.lora_{half}", data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path

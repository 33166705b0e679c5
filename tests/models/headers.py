"""The header of a model file that is not there, for tests that reckon with sizes and read no weights."""

from __future__ import annotations

from pathlib import Path

from pipeline.models.gguf import Header

GIB = 1 << 30
THREE_BILLION = Header(
    path=Path("model.gguf"),
    kind="model",
    version=3,
    byte_order="little",
    architecture="llama",
    name="Model",
    quantisation="Q8_0",
    parameters=3_000_000_000,
    tensors=300,
    size=3 * GIB,
    tensor_bytes=3 * GIB,
    files=(Path("model.gguf"),),
    block_count=32,
    context_length=32768,
    embedding_length=2048,
    heads=16,
    head_count_kv=8,
    key_length=128,
    value_length=128,
    sliding_window=None,
    vocabulary_size=128_000,
    layer_bytes=(90 << 20,) * 32,
    long_rope=False,
    chat_template=None,
    metadata={},
)

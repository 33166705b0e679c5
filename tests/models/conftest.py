"""GGUF files made on the spot, and the real vocabularies that llama.cpp's sources carry."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

Tensor = tuple[str, tuple[int, ...], int]  # name, shape, type; its data is zeros
Value = str | int | float | bool | list[str] | list[int] | list[float]


def gguf_bytes(
    values: dict[str, Value],
    tensors: Sequence[Tensor] = (),
    *,
    version: int = 3,
    order: str = "<",
    data: int | None = None,
) -> bytes:
    """A GGUF file. `data`: bytes of tensor data to write; default: what F32 tensors need."""

    def text(value: str) -> bytes:
        return struct.pack(order + "Q", len(value.encode())) + value.encode()

    def scalar(value: object) -> tuple[int, bytes]:
        match value:
            case bool():
                return 7, struct.pack(order + "?", value)
            case str():
                return 8, text(value)
            case int():
                return 4, struct.pack(order + "I", value)
            case float():
                return 6, struct.pack(order + "f", value)
        raise TypeError(value)

    out = b"GGUF" + struct.pack(order + "IQQ", version, len(tensors), len(values))
    for key, value in values.items():
        out += text(key)
        if isinstance(value, list):
            items = [scalar(item) for item in value]
            kind = items[0][0] if items else 4
            out += struct.pack(order + "IIQ", 9, kind, len(items)) + b"".join(item for _, item in items)
        else:
            kind, raw = scalar(value)
            out += struct.pack(order + "I", kind) + raw
    offset = 0
    for name, shape, kind in tensors:
        out += text(name) + struct.pack(order + "I", len(shape))
        out += b"".join(struct.pack(order + "Q", length) for length in shape)
        out += struct.pack(order + "IQ", kind, offset)
        length = 4
        for side in shape:
            length *= side
        offset += -(-length // 32) * 32
    out += b"\0" * (-len(out) % 32)
    return out + b"\0" * (offset if data is None else data)


MODEL: dict[str, Value] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.file_type": 0,
    "llama.block_count": 2,
    "llama.context_length": 128,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": ["a", "b", "<|end|>"],
    "tokenizer.chat_template": "{{ messages }}",
}
TENSORS = [("token_embd.weight", (64, 3), 0), ("output.weight", (64, 3), 0)]


class GgufFiles:
    """Writes GGUF files of a tiny model: `files.write("a.gguf", {"general.type": "adapter"}, tensors=())`."""

    model = MODEL
    tensors = TENSORS

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def whole(self) -> bytes:
        """The tiny model's file."""
        return gguf_bytes(MODEL, TENSORS)

    def write(
        self,
        name: str = "model.gguf",
        change: dict[str, Value] | None = None,
        *,
        drop: str = "",
        tensors: Sequence[Tensor] = TENSORS,
        order: str = "<",
        version: int = 3,
        data: int | None = None,
    ) -> Path:
        """A file with these keys changed or dropped."""
        values = {key: value for key, value in (MODEL | (change or {})).items() if key != drop}
        path = self.folder / name
        path.write_bytes(gguf_bytes(values, tensors, version=version, order=order, data=data))
        return path


@pytest.fixture
def files(tmp_path: Path) -> GgufFiles:
    """GGUF files in a temporary folder."""
    return GgufFiles(tmp_path)


VOCABULARIES = (
    "aquila",
    "baichuan",
    "command-r",
    "deepseek-coder",
    "deepseek-llm",
    "falcon",
    "gemma-4",
    "gpt-2",
    "gpt-neox",
    "llama-bpe",
    "llama-spm",
    "mpt",
    "phi-3",
    "qwen2",
    "qwen35",
    "refact",
    "starcoder",
)


@pytest.fixture(params=VOCABULARIES)
def vocabulary_file(request: pytest.FixtureRequest) -> Path:
    """A real vocabulary-only GGUF file, one family after the other."""
    folder = os.environ.get("NIGHTDESK_VOCABS")
    if not folder:
        pytest.skip(
            "NIGHTDESK_VOCABS is not set: name a folder with llama.cpp's models/ggml-vocab-*.gguf "
            "(vendor/llama.cpp/models in llama-cpp-python's sdist)"
        )
    path = Path(folder) / f"ggml-vocab-{request.param}.gguf"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path

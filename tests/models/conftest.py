"""GGUF files made on the spot, and the real vocabularies that llama.cpp's sources carry."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.models.tokenizer import Tokenizer

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
            items = [(5, struct.pack(order + "i", i)) if type(i) is int else scalar(i) for i in value]
            kind = items[0][0] if items else 5
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


@pytest.fixture(scope="session", params=VOCABULARIES)
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


@pytest.fixture(scope="session")
def real_tokenizer(vocabulary_file: Path) -> Tokenizer:
    """The tokenizer of that file."""
    return Tokenizer.load(vocabulary_file)


NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def sentencepiece_values() -> dict[str, Value]:
    """A made-up SentencePiece vocabulary with byte fallback. It can merge `<`, `s>` into the control token `<s>`."""
    tokens = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    tokens += [(f"<0x{i:02X}>", BYTE) for i in range(256)]
    tokens += [("<|user|>", USER_DEFINED), ("<|end|>", CONTROL), ("unused", UNUSED)]
    words = ["s>", "▁a", "▁b", "ab", "▁ab", "ba", "▁ba", "▁▁", "\n\n"]
    tokens += [(word, NORMAL) for word in [*words, "▁", *"abcdefghijklmnopqrstuvwxyz<>/|"]]
    return {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [text for text, _ in tokens],
        "tokenizer.ggml.scores": [-float(i) for i in range(len(tokens))],
        "tokenizer.ggml.token_type": [kind for _, kind in tokens],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }


def bpe_values() -> dict[str, Value]:
    """A made-up byte-level BPE vocabulary with special and user-defined tokens."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shown = {byte: chr(byte) for byte in printable}
    shown |= {byte: chr(256 + n) for n, byte in enumerate(sorted(set(range(256)) - set(printable)))}
    tokens = [(shown[byte], NORMAL) for byte in range(256)]
    tokens += [("ab", NORMAL), ("Ġa", NORMAL), ("ĊĊ", NORMAL)]
    tokens += [("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL), ("<tool>", USER_DEFINED), ("    ", USER_DEFINED)]
    return {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [text for text, _ in tokens],
        "tokenizer.ggml.token_type": [kind for _, kind in tokens],
        "tokenizer.ggml.merges": ["a b", "Ġ a", "Ċ Ċ"],
        "tokenizer.ggml.bos_token_id": 260,
        "tokenizer.ggml.eos_token_id": 260,
    }


@pytest.fixture(scope="session", params=["sentencepiece", "bpe"])
def made_up_tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """The tokenizer of a made-up vocabulary."""
    path = tmp_path_factory.mktemp("vocabulary") / f"{request.param}.gguf"
    values = sentencepiece_values() if request.param == "sentencepiece" else bpe_values()
    path.write_bytes(gguf_bytes(values))
    return Tokenizer.load(path)

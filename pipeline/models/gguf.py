"""Reads the header of a GGUF file in milliseconds, and refuses what llama.cpp would abort on.

llama.cpp maps the file into memory and asserts on what it finds; a damaged file can end the process. So everything is
checked here first: the magic, the version, every length, and that the file is as long as its tensors need.
Knows nothing of tokenizers and does not load weights.
"""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.errors import ModelFileError
from pipeline.models.gguf_layout import ByteOrder, Part, Scalar, read_part, read_strings
from pipeline.models.gguf_types import FILE_TYPES

Kind = Literal["model", "vocabulary", "adapter", "mmproj", "other"]

_SPLIT = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")
_LARGEST_VOCABULARY = 1 << 28  # bytes; real ones take a few million
_MOST_LAYERS = 512  # LLAMA_MAX_LAYERS of llama.cpp's llama-hparams.h; it asserts that there are 1 to so many


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says about itself. Numbers the file does not give are None."""

    path: Path
    kind: Kind
    version: int
    byte_order: ByteOrder
    architecture: str
    name: str
    quantisation: str
    parameters: int
    tensors: int
    size: int  # bytes on disk, all parts of a split file
    tensor_bytes: int
    files: tuple[Path, ...]
    block_count: int | None
    context_length: int | None
    embedding_length: int | None
    heads: int | None
    head_count_kv: int | tuple[int, ...] | None
    key_length: int | None
    value_length: int | None
    sliding_window: int | None
    vocabulary_size: int | None
    layer_bytes: tuple[int, ...]  # of the tensors of each layer
    long_rope: bool  # two sets of RoPE factors: for contexts within the first one, and beyond
    chat_template: str | None = field(repr=False)
    metadata: dict[str, Scalar | tuple[Scalar, ...]] = field(repr=False)


def read_header(path: Path) -> Header:
    """Read the header of a GGUF file, of any kind. Raises ModelFileError for anything that is not a whole one."""
    try:
        first = read_part(path)
        parts = [first, *(read_part(other) for other in _other_parts(path, first))]
    except OSError as error:
        raise ModelFileError(
            f"The model file {path} cannot be read: {error.strerror or error}.",
            hint="Check the path and its permissions.",
        ) from error
    return _header(path, parts)


def check_model(path: Path) -> Header:
    """Read the header and refuse every file that llama.cpp could not run as a text model on this machine."""
    header = read_header(path)
    if header.byte_order != sys.byteorder:
        raise ModelFileError(
            f"{path} is a {header.byte_order}-endian GGUF file; this machine is {sys.byteorder}-endian.",
            hint="Use the file made for this machine, or convert it with gguf-py's gguf_convert_endian.",
        )
    if header.kind == "vocabulary":
        raise ModelFileError(f"{path} holds a vocabulary only, no weights.", hint="Name the model file itself.")
    if header.kind == "adapter":
        raise ModelFileError(
            f"{path} is a LoRA adapter, not a model.", hint="Name the model it was made for, and this file with --lora."
        )
    if header.kind == "mmproj":
        raise ModelFileError(
            f"{path} is the picture projector (mmproj) of a model, not a model.",
            hint="Name the larger GGUF file that lies beside it.",
        )
    if header.kind == "other":
        raise ModelFileError(
            f"{path} is a GGUF file of type {header.metadata.get('general.type')!r}, not a model.",
            hint="Name a GGUF file that holds a text model.",
        )
    return header


def check_vocabulary(path: Path) -> None:
    """Refuse a vocabulary on which llama.cpp would end the process: a token twice, or a byte without a token."""
    part = read_part(path)
    key = "tokenizer.ggml.tokens"
    start, end = part.places.get(key, (0, 0))
    if not part.lengths.get(key) or key in part.metadata or end - start > _LARGEST_VOCABULARY:
        raise ModelFileError(f"{path} carries no vocabulary.", hint="Get a GGUF file that includes its tokenizer.")
    # llama.cpp reads C strings: a token ends at its first NUL, and an empty one gets a name of its own
    tokens = [kept for token in read_strings(path, part, key) if (kept := token.partition(b"\0")[0])]
    known = set(tokens)
    why = ""
    if len(known) < len(tokens):
        why = "holds a token twice"
    elif part.metadata.get("tokenizer.ggml.model") == "llama":
        missing = [n for n in range(256) if b"<0x%02X>" % n not in known and bytes([n]) not in known]
        why = f"has no token for the byte {missing[0]}" if missing else ""
    if why:
        raise ModelFileError(
            f"The vocabulary in {path} {why}.",
            hint="The file is damaged or badly converted: download it again, or take another conversion.",
        )


def tokenizer_hash(path: Path) -> str:
    """sha256 over all that decides how text becomes tokens: every `tokenizer.ggml.*` entry, arrays included."""
    digest = hashlib.sha256()
    part = read_part(path)
    with path.open("rb") as stream:
        for key, (start, end) in sorted(part.places.items()):
            if key.startswith("tokenizer.ggml."):
                stream.seek(start)
                digest.update(f"{key}:{end - start}:".encode())
                digest.update(stream.read(end - start))
    return digest.hexdigest()


def _other_parts(path: Path, first: Part) -> list[Path]:
    count = first.metadata.get("split.count", 0)
    if not isinstance(count, int) or count <= 1:
        return []
    match = _SPLIT.match(path.name)
    if match is None or int(match["count"]) != count:
        raise ModelFileError(
            f"{path} is one of {count} parts, and its name does not end in -00001-of-{count:05d}.gguf.",
            hint="Give the parts their original names back.",
        )
    names = [path.with_name(f"{match['stem']}-{i:05d}-of-{count:05d}.gguf") for i in range(1, count + 1)]
    if int(match["number"]) != 1:
        raise ModelFileError(
            f"{path} is part {int(match['number'])} of {count}.", hint=f"Name the first part: {names[0]}"
        )
    missing = [other.name for other in names[1:] if not other.exists()]
    if missing:
        raise ModelFileError(
            f"{path} is one of {count} parts, and {', '.join(missing[:3])} is missing beside it.",
            hint="Put all parts into one folder.",
        )
    return names[1:]


def _header(path: Path, parts: list[Part]) -> Header:
    first = parts[0]
    data = first.metadata
    architecture = data.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise ModelFileError(
            f"{path} is a GGUF file without general.architecture, so it is no model.",
            hint="Name a GGUF file that holds a text model.",
        )

    def number(key: str) -> int | None:
        value = data.get(f"{architecture}.{key}")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    layers, kv = number("block_count"), data.get(f"{architecture}.attention.head_count_kv")
    if layers is not None and not 1 <= layers <= _MOST_LAYERS:
        raise _damaged(path, f"it has {layers:,} layers, and llama.cpp takes 1 to {_MOST_LAYERS}")
    if isinstance(kv, tuple) and any(type(count) is not int or count < 0 for count in kv):
        raise _damaged(path, f"{architecture}.attention.head_count_kv is no list of whole numbers")
    heads, embedding = number("attention.head_count"), number("embedding_length")
    default_length = embedding // heads if heads and embedding else None
    template = data.get("tokenizer.chat_template")
    name = data.get("general.name")
    tensors = sum(part.tensors for part in parts)
    return Header(
        path=path,
        kind=_kind(first, tensors),
        version=first.version,
        byte_order=first.byte_order,
        architecture=architecture,
        name=name if isinstance(name, str) else path.stem,
        quantisation=_quantisation(parts),
        parameters=sum(part.parameters for part in parts),
        tensors=tensors,
        size=sum(part.size for part in parts),
        tensor_bytes=sum(part.tensor_bytes for part in parts),
        files=(path, *_other_parts(path, first)),
        block_count=layers,
        context_length=number("context_length"),
        embedding_length=embedding,
        heads=heads,
        head_count_kv=tuple(int(n) for n in kv) if isinstance(kv, tuple) else number("attention.head_count_kv"),
        key_length=number("attention.key_length") or default_length,
        value_length=number("attention.value_length") or default_length,
        sliding_window=number("attention.sliding_window"),
        vocabulary_size=first.lengths.get("tokenizer.ggml.tokens") or number("vocab_size"),
        layer_bytes=_by_layer(parts),
        long_rope=any(part.long_rope for part in parts),
        chat_template=template if isinstance(template, str) and template.strip() else None,
        metadata=data,
    )


def _damaged(path: Path, why: str) -> ModelFileError:
    return ModelFileError(
        f"{path} is a damaged GGUF file: {why}.",
        hint="Copy or download the file again and compare its sha256, or take another conversion.",
    )


def _by_layer(parts: list[Part]) -> tuple[int, ...]:
    numbers = {number for part in parts for number in part.bytes_by_layer}
    return tuple(sum(part.bytes_by_layer.get(number, 0) for part in parts) for number in sorted(numbers))


def _kind(part: Part, tensors: int) -> Kind:
    kind, architecture = part.metadata.get("general.type"), part.metadata.get("general.architecture")
    if kind == "adapter" or "adapter.type" in part.metadata:
        return "adapter"
    if kind in ("mmproj", "clip-vision") or architecture == "clip":
        return "mmproj"
    if tensors == 0:
        return "vocabulary"
    return "model" if kind in (None, "model") else "other"


def _quantisation(parts: list[Part]) -> str:
    named = FILE_TYPES.get(parts[0].metadata.get("general.file_type", -1))
    if named:
        return named
    totals: dict[str, int] = {}
    for part in parts:
        for name, count in part.bytes_by_type.items():
            totals[name] = totals.get(name, 0) + count
    return max(totals, key=lambda name: totals[name]) if totals else "none"

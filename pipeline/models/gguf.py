"""Reads the header of a GGUF file in milliseconds, and refuses what llama.cpp would abort on.

llama.cpp maps the file into memory and asserts on what it finds; a damaged file can end the process. So everything is
checked here first: the magic, the version, every length, and that the file is as long as its tensors need.
Arrays are skipped, nothing is mapped, and no more than a small window of the file is held in memory.
Knows nothing of tokenizers and does not load weights.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from pipeline.errors import ModelFileError
from pipeline.models.gguf_types import FILE_TYPES, TENSOR_TYPES

Scalar = str | int | float | bool
Kind = Literal["model", "vocabulary", "adapter", "mmproj", "other"]

_WINDOW = 1 << 20
_LONGEST_STRING = 1 << 24  # a chat template has some ten thousand characters
_LONGEST_KEY = 1 << 16
_KEPT_ARRAY = 4096  # per-layer numbers are kept, vocabularies are not
_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_SPLIT = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says about itself. Numbers the file does not give are None."""

    path: Path
    kind: Kind
    version: int
    byte_order: Literal["little", "big"]
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
    chat_template: str | None = field(repr=False)
    metadata: dict[str, Scalar | tuple[Scalar, ...]] = field(repr=False)


def read_header(path: Path) -> Header:
    """Read the header of a GGUF file, of any kind. Raises ModelFileError for anything that is not a whole one."""
    try:
        first = _read_part(path)
        parts = [first, *(_read_part(other) for other in _other_parts(path, first))]
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
        raise ModelFileError(f"{path} is a LoRA adapter, not a model.", hint="Name the model it was made for.")
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


def tokenizer_hash(path: Path) -> str:
    """sha256 over all that decides how text becomes tokens: every `tokenizer.ggml.*` entry, arrays included."""
    digest = hashlib.sha256()
    part = _read_part(path)
    with path.open("rb") as stream:
        for key, (start, end) in sorted(part.places.items()):
            if key.startswith("tokenizer.ggml."):
                stream.seek(start)
                digest.update(f"{key}:{end - start}:".encode())
                digest.update(stream.read(end - start))
    return digest.hexdigest()


@dataclass(slots=True)
class _Part:
    """One file as parsed."""

    version: int
    byte_order: Literal["little", "big"]
    size: int
    metadata: dict[str, Scalar | tuple[Scalar, ...]]
    lengths: dict[str, int]  # of every array
    places: dict[str, tuple[int, int]]
    tensors: int = 0
    parameters: int = 0
    tensor_bytes: int = 0
    bytes_by_type: dict[str, int] = field(default_factory=dict)


class _Reader:
    """A small window over a file. Every read is checked against the file's size first."""

    def __init__(self, stream: BinaryIO, size: int, path: Path) -> None:
        self.stream, self.size, self.path = stream, size, path
        self.position = 0
        self.order = "<"
        self._window, self._start = b"", 0

    def broken(self, why: str) -> ModelFileError:
        return ModelFileError(
            f"{self.path} is a damaged GGUF file: {why} at byte {self.position:,} of {self.size:,}.",
            hint="Copy or download the file again and compare its sha256.",
        )

    def take(self, count: int) -> bytes:
        if count > self.size - self.position:
            raise ModelFileError(
                f"{self.path} is cut short: its header goes on past the end of the file ({self.size:,} bytes).",
                hint="Copy or download the file again and compare its size.",
            )
        offset = self.position - self._start
        if offset < 0 or offset + count > len(self._window):
            self.stream.seek(self.position)
            self._window = self.stream.read(max(count, _WINDOW))
            self._start, offset = self.position, 0
            if len(self._window) < count:
                raise self.broken("the file became shorter while it was read")
        self.position += count
        return self._window[offset : offset + count]

    def skip(self, count: int) -> None:
        if count > self.size - self.position:
            self.take(count)  # raises
        self.position += count

    def number(self, code: str) -> int:
        value = struct.unpack(self.order + code, self.take(struct.calcsize(code)))[0]
        return int(value)

    def length(self, smallest: int) -> int:
        """A count of things of which each takes at least `smallest` bytes."""
        count = self.number("Q")
        if count * smallest > self.size - self.position:
            raise self.broken(f"a count of {count:,} is more than the file can hold")
        return count

    def text(self, limit: int) -> str | None:
        length = self.length(1)
        if length > limit:
            self.skip(length)
            return None
        return self.take(length).decode("utf-8", "replace")

    def skip_strings(self, count: int) -> None:
        """Step over strings, window by window: a vocabulary has hundreds of thousands."""
        unpack = struct.Struct(self.order + "Q").unpack_from
        while count:
            self.take(min(8, self.size - self.position) or 8)
            self.position -= 8
            window, base, place = self._window, self._start, self.position - self._start
            end = len(window) - 8
            while count and place <= end:
                place += 8 + unpack(window, place)[0]
                count -= 1
            self.position = base + place
            if self.position > self.size:
                self.position = self.size
                self.take(1)  # raises


def _read_part(path: Path) -> _Part:
    size = path.stat().st_size
    if not path.is_file():
        raise ModelFileError(f"{path} is not a file.", hint="Name the .gguf file itself.")
    with path.open("rb") as stream:
        reader = _Reader(stream, size, path)
        head = stream.read(64)
        if head[:4] != b"GGUF":
            raise _not_gguf(path, head, size)
        reader.position = 4
        byte_order: Literal["little", "big"] = "little"
        version = reader.number("I")
        if version & 0xFFFF == 0:
            byte_order, reader.order = "big", ">"
            version = int.from_bytes(version.to_bytes(4, "little"), "big")
        if version not in (2, 3):
            raise ModelFileError(
                f"{path} is GGUF version {version}; versions 2 and 3 can be read.",
                hint="Get a newer conversion of the model.",
            )
        return _parse(reader, version, byte_order)


def _parse(reader: _Reader, version: int, byte_order: Literal["little", "big"]) -> _Part:
    tensors = reader.length(24)
    keys = reader.length(13)
    part = _Part(version, byte_order, reader.size, {}, {}, {}, tensors=tensors)
    for _ in range(keys):
        key = reader.text(_LONGEST_KEY)
        if key is None:
            raise reader.broken("a key is too long")
        start = reader.position
        _value(reader, part, key)
        part.places[key] = (start, reader.position)
    data_end = 0
    for _ in range(tensors):
        offset, length = _tensor(reader, part)
        data_end = max(data_end, offset + length)
    alignment = part.metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise reader.broken(f"general.alignment is {alignment!r}, not a power of two")
    needed = -(-reader.position // alignment) * alignment + data_end if tensors else 0
    if needed > reader.size:
        raise ModelFileError(
            f"{reader.path} is cut short: it has {reader.size:,} bytes and its tensors need {needed:,}.",
            hint="Copy or download the file again; the transfer was not finished.",
        )
    return part


def _value(reader: _Reader, part: _Part, key: str) -> None:
    kind = reader.number("I")
    if kind == _STRING:
        text = reader.text(_LONGEST_STRING)
        if text is not None:
            part.metadata[key] = text
    elif kind in _FORMATS:
        part.metadata[key] = _scalar(reader, kind)
    elif kind == _ARRAY:
        item = reader.number("I")
        if item == _STRING:
            part.lengths[key] = count = reader.length(8)
            reader.skip_strings(count)
        elif item in _FORMATS:
            width = struct.calcsize("<" + _FORMATS[item])
            part.lengths[key] = count = reader.length(width)
            if count <= _KEPT_ARRAY:
                part.metadata[key] = tuple(
                    struct.unpack(f"{reader.order}{count}{_FORMATS[item]}", reader.take(count * width))
                )
            else:
                reader.skip(count * width)
        else:
            raise reader.broken(f"an array of unknown type {item}")
    else:
        raise reader.broken(f"a value of unknown type {kind}")


def _scalar(reader: _Reader, kind: int) -> Scalar:
    code = reader.order + _FORMATS[kind]
    value: Scalar = struct.unpack(code, reader.take(struct.calcsize(code)))[0]
    return value


def _tensor(reader: _Reader, part: _Part) -> tuple[int, int]:
    if reader.text(_LONGEST_KEY) is None:
        raise reader.broken("a tensor's name is too long")
    dimensions = reader.number("I")
    if not 1 <= dimensions <= 4:
        raise reader.broken(f"a tensor of {dimensions} dimensions")
    shape = [reader.number("Q") for _ in range(dimensions)]
    kind = reader.number("I")
    offset = reader.number("Q")
    if kind not in TENSOR_TYPES:
        raise ModelFileError(
            f"{reader.path} holds a tensor of type {kind}, which this version of llama.cpp does not know.",
            hint="Get another quantisation of the model, or a newer Nightdesk.",
        )
    name, block, width = TENSOR_TYPES[kind]
    elements = math.prod(shape)
    if elements % block or shape[0] % block:
        raise reader.broken(f"a tensor of type {name} whose rows are not whole blocks")
    length = elements // block * width
    part.parameters += elements
    part.tensor_bytes += length
    part.bytes_by_type[name] = part.bytes_by_type.get(name, 0) + length
    return offset, length


def _other_parts(path: Path, first: _Part) -> list[Path]:
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


def _header(path: Path, parts: list[_Part]) -> Header:
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

    kv = data.get(f"{architecture}.attention.head_count_kv")
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
        block_count=number("block_count"),
        context_length=number("context_length"),
        embedding_length=embedding,
        heads=heads,
        head_count_kv=tuple(int(n) for n in kv) if isinstance(kv, tuple) else number("attention.head_count_kv"),
        key_length=number("attention.key_length") or default_length,
        value_length=number("attention.value_length") or default_length,
        sliding_window=number("attention.sliding_window"),
        vocabulary_size=first.lengths.get("tokenizer.ggml.tokens") or number("vocab_size"),
        chat_template=template if isinstance(template, str) and template.strip() else None,
        metadata=data,
    )


def _kind(part: _Part, tensors: int) -> Kind:
    kind, architecture = part.metadata.get("general.type"), part.metadata.get("general.architecture")
    if kind == "adapter" or "adapter.type" in part.metadata:
        return "adapter"
    if kind in ("mmproj", "clip-vision") or architecture == "clip":
        return "mmproj"
    if tensors == 0:
        return "vocabulary"
    return "model" if kind in (None, "model") else "other"


def _quantisation(parts: list[_Part]) -> str:
    named = FILE_TYPES.get(parts[0].metadata.get("general.file_type", -1))
    if named:
        return named
    totals: dict[str, int] = {}
    for part in parts:
        for name, count in part.bytes_by_type.items():
            totals[name] = totals.get(name, 0) + count
    return max(totals, key=lambda name: totals[name]) if totals else "none"


def _not_gguf(path: Path, head: bytes, size: int) -> ModelFileError:
    text = head.lstrip().lower()
    if size == 0:
        what, hint = "is empty", "Copy or download the file again."
    elif head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        what = "is a safetensors file, not GGUF"
        hint = "Get the GGUF of this model, or make one with llama.cpp's convert_hf_to_gguf.py."
    elif head.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        what = "looks like a PyTorch pickle (.bin, .pt), not GGUF; it was not opened, it may run code"
        hint = "Get the GGUF of this model."
    elif text.startswith((b"<!doctype", b"<html", b"<?xml")):
        what, hint = "is a web page, not GGUF", "The download saved an error page: download the file again."
    elif head.startswith(b"version https://git-lfs"):
        what, hint = "is a Git LFS pointer, not the file itself", "Run `git lfs pull` in its folder."
    elif head[:4] in (b"lmgg", b"tjgg", b"fmgg", b"algg", b"ggml", b"ggjt", b"ggla"):
        what, hint = "is in a format older than GGUF", "Get a GGUF conversion of the model."
    elif head.count(0) > 32 and not head.strip(b"\0"):
        what, hint = "begins with zeros, not GGUF", "The copy was not finished: copy it again."
    else:
        what, hint = "is not a GGUF file", "Name a file that llama.cpp can load; its name ends in .gguf."
    return ModelFileError(f"{os.fspath(path)} {what}.", hint=hint)

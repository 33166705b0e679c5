"""One GGUF file as it lies on the disk: its keys, the places of its arrays, what its tensors take.

Every length is checked against the file's size before it is believed, and no more than a small window of the file is
held in memory. Big files are stepped through, not read: string arrays item by item, tensors not at all.
Knows the layout, not what the keys mean.
"""

from __future__ import annotations

import math
import os
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from pipeline.errors import ModelFileError
from pipeline.models.gguf_types import TENSOR_TYPES

Scalar = str | int | float | bool
ByteOrder = Literal["little", "big"]

_WINDOW = 1 << 20
_LONGEST_STRING = 1 << 24  # a chat template has some ten thousand characters
_LONGEST_KEY = 1 << 16
_KEPT_ARRAY = 4096  # per-layer numbers are kept, vocabularies are not
_LAYER = re.compile(r"blk\.(\d{1,6})\.")
_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(slots=True)
class Part:
    """One file as parsed. `places` are the byte ranges of the values, `lengths` those of every array."""

    version: int
    byte_order: ByteOrder
    size: int
    metadata: dict[str, Scalar | tuple[Scalar, ...]]
    lengths: dict[str, int]  # of every array
    places: dict[str, tuple[int, int]]
    tensors: int = 0
    parameters: int = 0
    tensor_bytes: int = 0
    bytes_by_type: dict[str, int] = field(default_factory=dict)
    bytes_by_layer: dict[int, int] = field(default_factory=dict)
    long_rope: bool = False


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


def read_part(path: Path) -> Part:
    """Parse one file. Raises ModelFileError where it is not a whole GGUF file, OSError where it cannot be read."""
    size = path.stat().st_size
    if not path.is_file():
        raise ModelFileError(f"{path} is not a file.", hint="Name the .gguf file itself.")
    with path.open("rb") as stream:
        reader = _Reader(stream, size, path)
        head = stream.read(64)
        if head[:4] != b"GGUF":
            raise _not_gguf(path, head, size)
        reader.position = 4
        byte_order: ByteOrder = "little"
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


def read_strings(path: Path, part: Part, key: str) -> list[bytes]:
    """The items of an array of strings."""
    start, end = part.places[key]
    unpack = struct.Struct(("<" if part.byte_order == "little" else ">") + "Q").unpack_from
    with path.open("rb") as stream:
        stream.seek(start)
        raw = stream.read(end - start)
    items, place = [], 16  # two types and the count stand before the items
    for _ in range(part.lengths[key]):
        length = unpack(raw, place)[0]
        items.append(raw[place + 8 : place + 8 + length])
        place += 8 + length
    return items


def _parse(reader: _Reader, version: int, byte_order: ByteOrder) -> Part:
    tensors = reader.length(24)
    keys = reader.length(13)
    part = Part(version, byte_order, reader.size, {}, {}, {}, tensors=tensors)
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


def _value(reader: _Reader, part: Part, key: str) -> None:
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


def _tensor(reader: _Reader, part: Part) -> tuple[int, int]:
    title = reader.text(_LONGEST_KEY)
    if title is None:
        raise reader.broken("a tensor's name is too long")
    dimensions = reader.number("I")
    if not 1 <= dimensions <= 4:
        raise reader.broken(f"a tensor of {dimensions} dimensions")
    shape = [reader.number("Q") for _ in range(dimensions)]
    if not all(0 < side < 1 << 63 for side in shape):  # ggml counts in int64, and asserts on some that hold a 0
        raise reader.broken(f"a tensor of shape {shape}")
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
    if layer := _LAYER.match(title):
        number = int(layer[1])
        part.bytes_by_layer[number] = part.bytes_by_layer.get(number, 0) + length
    part.long_rope = part.long_rope or title.endswith("rope_factors_long.weight")
    return offset, length


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

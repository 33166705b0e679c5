"""The bytes that llama.cpp copies a sequence with, and the two orders that its values can have.

Format: `llama_kv_cache::state_write` of llama.cpp's src/llama-kv-cache.cpp (llama-cpp-python 0.3.36). With flash
attention a cell's values lie together; without, they are transposed: one element of all cells together. A context
takes only its own order.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import EngineError

State = npt.NDArray[np.uint8]
"""What a sequence holds in the KV cache, in llama.cpp's own form."""

_HEAD = 16  # magic, sequence, streams, cells
_CELL = 12  # position, number of sequences, sequence
_ELEMENT: dict[int, type[np.unsignedinteger[Any]]] = {0: np.uint32, 1: np.uint16}  # as wide as ggml's f32 and f16
_UNKNOWN = "llama.cpp's copy of a sequence has another format than this version expects"


def reordered(state: State, *, transposed: bool) -> State:
    """The state with its values in the asked order; itself where they are. Raises EngineError for another format."""
    cells = _number(state, 12)
    keys = _HEAD + _CELL * cells
    if _number(state, 8) != 1 or not cells or _number(state, keys) not in (0, 1):
        raise EngineError(_UNKNOWN)
    if _number(state, keys) == transposed:
        return state
    at = keys + 8
    for _ in range(_number(state, keys + 4)):
        at += 12 + cells * _number(state, at + 4, 8)
    parts: list[npt.NDArray[Any]] = [state[:keys], np.array([transposed], np.uint32), state[keys + 4 : at]]
    while at != state.size:
        kind = _number(state, at)
        if at > state.size or kind not in _ELEMENT:
            raise EngineError(_UNKNOWN)
        element = _ELEMENT[kind]
        size = np.dtype(element).itemsize
        if transposed:
            width = _number(state, at + 4, 8) // size
            shape, head = (cells, width), (kind, size, width)
        else:
            width = _number(state, at + 8)
            shape, head = (width, cells), (kind, width * size, 0)  # the size of a row has 64 bits
        first, at = at + 12, at + 12 + cells * width * size
        if at > state.size:
            raise EngineError(_UNKNOWN)
        values = state[first:at].view(element).reshape(shape)
        parts += [np.array(head, np.uint32), np.ascontiguousarray(values.T).reshape(-1)]
    return np.concatenate([part.view(np.uint8) for part in parts])


def _number(state: State, at: int, size: int = 4) -> int:
    return int.from_bytes(state[at : at + size].tobytes(), sys.byteorder)

"""llama.cpp as a Backend, through its C API: load, decode, copy a sequence, drop it, free.

The only module that decodes with llama_cpp. It uses the ctypes functions, not the `Llama` class, which holds one
sequence. llama.cpp ends the process on a wrong size (ENGINE.md 1.3, 5), so every size is checked before a call.
It prints nothing: llama.cpp's log goes to `recent_log`, which holds no document text.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import llama_cpp
import numpy as np
from llama_cpp import llama_grammar

from pipeline.batching import Logits, Row
from pipeline.engines.sequence_state import State
from pipeline.engines.sizes import Sizes
from pipeline.errors import EngineError, ModelDoesNotFit, ModelFileError
from pipeline.models.gguf import read_header

recent_log: collections.deque[str] = collections.deque(maxlen=40)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _keep_log(_level: int, text: bytes, _data: ctypes.c_void_p) -> None:
    line = text.decode("utf-8", "replace").strip()
    if line and line != ".":
        recent_log.append(line)


_BYTES = ctypes.POINTER(ctypes.c_uint8)
_KV_TYPES = {
    "f16": llama_cpp.GGML_TYPE_F16,
    "q8_0": llama_cpp.GGML_TYPE_Q8_0,
    "q4_0": llama_cpp.GGML_TYPE_Q4_0,
}


def context_params(sizes: Sizes) -> ctypes.Structure:
    """llama.cpp's settings for a context of these sizes: one unified pool, full windows."""
    wanted = llama_cpp.llama_context_default_params()
    wanted.n_ctx = sizes.cells
    wanted.n_batch = sizes.max_batch
    wanted.n_ubatch = min(sizes.computed, sizes.max_batch)
    wanted.n_seq_max = sizes.max_sequences
    wanted.n_outputs_max = sizes.max_outputs
    wanted.n_threads = wanted.n_threads_batch = sizes.threads
    wanted.type_k = wanted.type_v = _KV_TYPES[sizes.kv_type]
    wanted.kv_unified = True
    wanted.swa_full = True
    wanted.flash_attn_type = (
        llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED if sizes.flash_attention else llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    return cast("ctypes.Structure", wanted)


class Llama:
    """Implements `pipeline.batching.Backend` over one model and one context with a unified KV cache."""

    def __init__(
        self,
        path: Path,
        sizes: Sizes,
        adapters: Sequence[tuple[Path, float]] = (),
        *,
        beside: Llama | None = None,
    ) -> None:
        """Load, and lay LoRA adapters over the weights, each with its scale; or make a further context `beside`
        another one, over its weights and with its adapters, which must be closed before that one.

        Raises ModelFileError, or ModelDoesNotFit when the context cannot be made.
        """
        if not sizes.max_sequences <= sizes.max_batch or not sizes.max_sequences <= sizes.max_outputs:
            raise EngineError("max_sequences must not exceed max_batch or max_outputs")
        if sizes.max_sequences > llama_cpp.llama_max_parallel_sequences():
            raise EngineError(f"{sizes.max_sequences} sequences are more than llama.cpp can hold")
        self._context = None
        self._borrowed = beside is not None
        self._model: object = beside._model if beside else _load(path, sizes)
        self.sizes = sizes
        self._context = self._new_context(path, sizes)
        self._adapters: list[tuple[object, float]] = beside._adapters if beside else self._load_adapters(path, adapters)
        self._lay_over(path)
        self._memory = llama_cpp.llama_get_memory(self._context)
        vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self.n_vocab: int = llama_cpp.llama_vocab_n_tokens(vocabulary)
        self.cells: int = llama_cpp.llama_n_ctx(self._context)
        self.max_sequences = sizes.max_sequences
        self.max_batch = sizes.max_batch
        self.max_outputs = sizes.max_outputs
        self.sequence_limit: int = llama_cpp.llama_model_n_ctx_train(self._model)
        self._outputs = 0

        size = sizes.max_batch
        self._token = np.zeros(size, np.int32)
        self._position = np.zeros(size, np.int32)
        self._num_sequences = np.zeros(size, np.int32)
        self._sequences = np.zeros((size, sizes.max_sequences), np.int32)
        self._wanted = np.zeros(size, np.int8)
        starts = self._sequences.ctypes.data + np.arange(size, dtype=np.uint64) * self._sequences.strides[0]
        self._sequence_pointers = starts.astype(np.uintp)
        fields = dict(llama_cpp.llama_batch._fields_)
        self._batch = llama_cpp.llama_batch()
        self._batch.token = _view(self._token, fields["token"])
        self._batch.pos = _view(self._position, fields["pos"])
        self._batch.n_seq_id = _view(self._num_sequences, fields["n_seq_id"])
        self._batch.seq_id = _view(self._sequence_pointers, fields["seq_id"])
        self._batch.logits = _view(self._wanted, fields["logits"])

    def _new_context(self, path: Path, sizes: Sizes) -> object:
        wanted = context_params(sizes)
        context = llama_cpp.llama_init_from_model(self._model, wanted)
        if not context:
            self.close()
            raise ModelDoesNotFit(
                f"llama.cpp cannot make a context of {sizes.cells} cells for {path}: {_last_error()}",
                hint="fewer slots or a smaller context need less memory",
            )
        return context

    def _load_adapters(self, path: Path, adapters: Sequence[tuple[Path, float]]) -> list[tuple[object, float]]:
        """They belong to the model from here on and are freed with it."""
        loaded = []
        for file, scale in adapters:
            adapter = llama_cpp.llama_adapter_lora_init(self._model, os.fsencode(file))
            if not adapter:
                self.close()
                raise ModelFileError(
                    f"llama.cpp cannot lay the adapter {file} over {path}: {_last_error()}",
                    hint="Name the model that the adapter was made for.",
                )
            loaded.append((adapter, scale))
        return loaded

    def _lay_over(self, path: Path) -> None:
        count = len(self._adapters)
        if not count:
            return
        loaded = (llama_cpp.llama_adapter_lora_p_ctypes * count)(*(adapter for adapter, _ in self._adapters))
        scales = (ctypes.c_float * count)(*(scale for _, scale in self._adapters))
        if llama_cpp.llama_set_adapters_lora(self._context, loaded, count, scales) != 0:
            self.close()
            raise ModelFileError(f"llama.cpp refuses the adapters of {path}.", hint="Run it without one of them.")

    def decode(self, rows: Sequence[Row]) -> None:
        """See Backend. The GIL is free while llama.cpp computes."""
        if self._context is None:
            raise EngineError("the model is closed")
        size = len(rows)
        outputs = sum(row.logits for row in rows)
        if not 0 < size <= self.max_batch or outputs > self.max_outputs:
            raise EngineError(f"{size} rows with {outputs} outputs do not fit one call")
        self._token[:size] = [row.token for row in rows]
        self._position[:size] = [row.position for row in rows]
        self._num_sequences[:size] = [len(row.sequences) for row in rows]
        self._wanted[:size] = [row.logits for row in rows]
        for index, row in enumerate(rows):
            self._sequences[index, : len(row.sequences)] = row.sequences
        tokens, sequences = self._token[:size], self._sequences[:size, 0]
        if tokens.min() < 0 or tokens.max() >= self.n_vocab or sequences.max() >= self.max_sequences:
            raise EngineError("a token or sequence id is out of range")
        self._batch.n_tokens = size
        code = llama_cpp.llama_decode(self._context, self._batch)
        if code != 0:
            meaning = {1: "the KV cache is full", 2: "aborted", -1: "the batch is invalid"}
            raise EngineError(
                f"llama_decode returned {code} ({meaning.get(code, 'fatal')}): {_last_error()}",
                hint="run it again; finished answers are kept",
            )

    def logits(self, row: int) -> Logits:
        """See Backend."""
        pointer = llama_cpp.llama_get_logits_ith(self._context, row)
        if not pointer:
            raise EngineError(f"row {row} has no logits")
        return np.ctypeslib.as_array(pointer, shape=(self.n_vocab,))

    def copy(self, source: int, target: int, end: int | None = None) -> None:
        """See Backend."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, -1, -1 if end is None else end)

    def drop(self, sequence: int, start: int = 0) -> None:
        """See Backend."""
        if self._context is None:
            return
        if not llama_cpp.llama_memory_seq_rm(self._memory, sequence, start or -1, -1):
            raise EngineError("llama.cpp cannot forget the end of a sequence of this model")

    def length(self, sequence: int) -> int:
        """Positions of a sequence: one more than its last one; 0 of none."""
        return 1 + int(llama_cpp.llama_memory_seq_pos_max(self._memory, sequence)) if sequence >= 0 else 0

    def drop_beginning(self, sequence: int, end: int) -> None:
        """Forget what stands before position `end`."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, 0, end)

    def state(self, sequence: int) -> State:
        """A copy of what a sequence holds, with its positions."""
        state = np.empty(llama_cpp.llama_state_seq_get_size(self._context, sequence), np.uint8)
        size = llama_cpp.llama_state_seq_get_data(self._context, _view(state, _BYTES), state.size, sequence)
        if size != state.size:
            raise EngineError("llama.cpp cannot copy a sequence of this model")
        return state

    def restore(self, sequence: int, state: State) -> None:
        """Fill the empty sequence with what another one holds, perhaps of another context over the same weights.
        Raises EngineError where the pool has no room."""
        size = llama_cpp.llama_state_seq_set_data(self._context, _view(state, _BYTES), state.size, sequence)
        if size != state.size:
            raise EngineError(f"llama.cpp cannot take a copied sequence: {_last_error()}")

    def save_sequence(self, file: Path, sequence: int, tokens: Sequence[int]) -> bool:
        """See `pipeline.engines.prefix_cache.Keeping`."""
        ids = (llama_cpp.llama_token * len(tokens))(*tokens)
        name = os.fsencode(file)
        return bool(llama_cpp.llama_state_seq_save_file(self._context, name, sequence, ids, len(tokens)))

    def load_sequence(self, file: Path, sequence: int, tokens: Sequence[int]) -> bool:
        """See `pipeline.engines.prefix_cache.Keeping`."""
        ids = (llama_cpp.llama_token * len(tokens))()
        count = ctypes.c_size_t()
        name = os.fsencode(file)
        read = llama_cpp.llama_state_seq_load_file(self._context, name, sequence, ids, len(tokens), ctypes.byref(count))
        if read and ids[: count.value] == [*tokens] and self.length(sequence) == len(tokens):
            return True
        self.drop(sequence)
        return False

    def close(self) -> None:
        """Free context and model; closing twice is harmless."""
        if self._context:
            llama_cpp.llama_free(self._context)
        if self._model and not self._borrowed:
            llama_cpp.llama_model_free(self._model)
        self._context = self._model = None


def _load(path: Path, sizes: Sizes) -> object:
    llama_cpp.llama_log_set(_keep_log, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    wanted = llama_cpp.llama_model_default_params()
    wanted.n_gpu_layers = sizes.gpu_layers if sizes.gpu_layers >= 0 else 1 << 16
    if sizes.short_rope:
        wanted.kv_overrides = _first_context(path, sizes.cells)
    model = llama_cpp.llama_model_load_from_file(os.fsencode(path), wanted)
    if not model:
        raise ModelFileError(f"llama.cpp cannot load {path}: {_last_error()}", hint="See `nightdesk help models`.")
    return cast("object", model)


def _view(array: np.ndarray, pointer: type) -> ctypes._Pointer:  # type: ignore[type-arg]
    return ctypes.cast(array.ctypes.data, pointer)


def _first_context(path: Path, cells: int) -> ctypes.Array[llama_cpp.llama_model_kv_override]:
    """The model's first context as at least this large, so that llama.cpp takes the short factors of LongRoPE.

    It compares the pool with that context (ENGINE.md 1.1) and uses the key for nothing else but YaRN, which such models
    do not have. A test holds the answers to those of a small pool.
    """
    overrides = (llama_cpp.llama_model_kv_override * 2)()  # an empty key ends the list
    overrides[0].key = f"{read_header(path).architecture}.rope.scaling.original_context_length".encode()
    overrides[0].tag = llama_cpp.LLAMA_KV_OVERRIDE_TYPE_INT
    overrides[0].value.val_i64 = -(-cells // 256) * 256
    return cast("ctypes.Array[llama_cpp.llama_model_kv_override]", overrides)


def _last_error() -> str:
    with contextlib.suppress(IndexError):
        return recent_log[-1]
    return "no reason given"


def gbnf(schema: str) -> str:
    """A JSON Schema as llama.cpp's own grammar text, for servers that take nothing else. Decodes nothing."""
    return str(llama_grammar.json_schema_to_gbnf(schema))

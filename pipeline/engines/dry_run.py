"""What llama.cpp itself would take for a model and a context: it lays everything out and allocates nothing.

The numbers stand in its log, whose text is no stable interface, so they are looked for leniently and what is not
found comes from the formula. A wrong file makes llama.cpp abort, so it happens in a supervised child.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import llama_cpp
from llama_cpp._ggml import libggml

from pipeline.engines.llama import context_params
from pipeline.engines.sizes import Sizes
from pipeline.errors import ChildError, ModelError
from pipeline.models.gguf import Header
from pipeline.models.memory import Memory, estimate
from pipeline.supervise import Worker

SECONDS = 60.0
_SIZE = re.compile(r"size\s*=\s*([\d.]+)\s*(KiB|MiB|GiB)")
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_CACHES = ("kv_cache", "memory_recurrent")
_GPU = 1  # GGML_BACKEND_DEVICE_TYPE_GPU
_lines: list[str] = []


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _keep_sizes(_level: int, text: bytes, _data: ctypes.c_void_p) -> None:
    line = text.decode("utf-8", "replace").strip()
    if _SIZE.search(line):
        _lines.append(line)


def lay_out(request: tuple[Path, Sizes]) -> list[str]:
    """In a child: the lines of llama.cpp's log that name a size. Raises ModelError where it cannot be laid out."""
    path, sizes = request
    _lines.clear()
    llama_cpp.llama_log_set(_keep_sizes, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    wanted = llama_cpp.llama_model_default_params()
    wanted.no_alloc = True
    wanted.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE
    wanted.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(os.fsencode(path), wanted)
    context = llama_cpp.llama_init_from_model(model, context_params(sizes)) if model else None
    if context:
        llama_cpp.llama_free(context)
    if model:
        llama_cpp.llama_model_free(model)
    if not context:
        raise ModelError(f"llama.cpp cannot lay out {path}.")
    return [*_lines]


class DryRuns:
    """Asks llama.cpp, one model after the other, in one child. Use `dry_runs()`."""

    def __init__(self, worker: Worker[tuple[Path, Sizes], list[str]]) -> None:
        self._worker = worker

    def __call__(self, header: Header, sizes: Sizes) -> Memory:
        """The memory of this model with these sizes; by the formula where llama.cpp does not say."""
        formula = estimate(header, sizes)
        try:
            lines = self._worker.ask((header.path, sizes))
        except (ChildError, ModelError):
            return formula
        return read_log(lines, formula)


@contextmanager
def dry_runs() -> Iterator[DryRuns]:
    """A child for dry runs while this is entered. It starts with the first question."""
    worker: Worker[tuple[Path, Sizes], list[str]] = Worker(lay_out, name="dry run", timeout=SECONDS)
    try:
        yield DryRuns(worker)
    finally:
        worker.child.stop()


def free_vram() -> int:
    """Bytes free on the GPUs that this build of llama.cpp can use; 0 without one."""
    if not llama_cpp.llama_supports_gpu_offload():
        return 0
    ggml = libggml
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    total = 0
    for number in range(ggml.ggml_backend_dev_count()):
        device = ctypes.c_void_p(ggml.ggml_backend_dev_get(number))
        if ggml.ggml_backend_dev_type(device) == _GPU:
            free, size = ctypes.c_size_t(), ctypes.c_size_t()
            ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(size))
            total += free.value
    return total


def read_log(lines: Iterable[str], formula: Memory) -> Memory:
    """The sizes that llama.cpp's log names. Logits are not among them: see `memory.output_bytes`."""
    cache = compute = 0
    for line in lines:
        match = _SIZE.search(line)
        if match is None:
            continue
        size = int(float(match[1]) * _UNITS[match[2]])
        source = line.partition(":")[0]
        if "compute buffer" in line:
            compute += size
        elif "buffer" not in line and any(name in source for name in _CACHES):
            cache += size
    return replace(
        formula, cache=cache or formula.cache, compute=compute or formula.compute, exact=bool(cache and compute)
    )

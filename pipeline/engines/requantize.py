"""A model file written anew with other weights' types, by llama.cpp. In a supervised child: it may abort."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import llama_cpp

from pipeline.errors import ChildError, ModelError, ModelFileError, UserError
from pipeline.supervise import Worker

TYPES = {
    "Q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
    "F16": llama_cpp.LLAMA_FTYPE_MOSTLY_F16,
    "Q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0,
}
SECONDS = 3600.0


def requantize(source: Path, target: Path, kind: str) -> None:
    """Write `target`, beside and renamed; the source is only read. Raises UserError, ModelError."""
    if target.exists():
        raise UserError(f"{target} is there already.", hint="Use it, or remove it first.")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.part")
    worker: Worker[tuple[Path, Path, str], int] = Worker(_run, name="requantising", timeout=SECONDS)
    try:
        code = worker.ask((source, partial, kind))
        if code != 0:
            raise ModelFileError(
                f"llama.cpp could not requantise {source} (code {code}).", hint="Is there room on the disk?"
            )
        partial.replace(target)
    except ChildError as error:
        raise ModelError(error.message, hint="Is there room on the disk and in the memory?") from error
    finally:
        worker.close()
        partial.unlink(missing_ok=True)


def _run(request: tuple[Path, Path, str]) -> int:
    """In the child."""
    source, target, kind = request
    os.umask(0o077)
    wanted = llama_cpp.llama_model_quantize_default_params()
    wanted.ftype = TYPES[kind]
    wanted.allow_requantize = True
    return int(llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(wanted)))

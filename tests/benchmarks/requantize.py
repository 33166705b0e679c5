"""Write a faster sibling of a model file: `python -m tests.benchmarks.requantize OUT.gguf`.

The demo file is Q4_1, which llama.cpp runs at half the speed of Q8_0 on this kind of CPU (ENGINE.md 8b). The original
is not touched, and the new file is a model of its own: its answers differ.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import llama_cpp

from pipeline.models.locate import find_model, sha256_of

TYPES = {
    "Q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
    "F16": llama_cpp.LLAMA_FTYPE_MOSTLY_F16,
    "Q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0,
}


def requantize(source: Path, target: Path, kind: str) -> None:
    """Write `target` beside and rename it. Raises FileExistsError and OSError."""
    if target.exists():
        raise FileExistsError(f"{target} is there already")
    wanted = llama_cpp.llama_model_quantize_default_params()
    wanted.ftype = TYPES[kind]
    wanted.allow_requantize = True
    partial = target.with_name(f"{target.name}.part")
    code = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(partial), ctypes.byref(wanted))
    if code != 0:
        partial.unlink(missing_ok=True)
        raise OSError(f"llama.cpp could not requantise {source} (code {code})")
    partial.replace(target)


def main(arguments: Sequence[str] | None = None) -> int:
    """Requantise, and print both files with their hashes."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.requantize", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.gguf")
    parser.add_argument("--model", default="demo", help="a GGUF file, or `demo`")
    parser.add_argument("--type", choices=TYPES, default="Q8_0")
    wanted = parser.parse_args(arguments)
    source = find_model(wanted.model)
    try:
        requantize(source, wanted.out, wanted.type)
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    for path in (source, wanted.out):
        print(f"{path}: {path.stat().st_size:,} bytes, sha256 {sha256_of(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

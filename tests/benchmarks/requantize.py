"""Write a faster sibling of a model file: `python -m tests.benchmarks.requantize OUT.gguf`.

The demo file is Q4_1, which llama.cpp runs at half the speed of Q8_0 on this kind of CPU (ENGINE.md 8b). The original
is not touched, and the new file is a model of its own: its answers differ.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.engines.requantize import TYPES, requantize
from pipeline.errors import NightdeskError
from pipeline.models.locate import find_model, sha256_of


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
    except NightdeskError as error:
        print(error, file=sys.stderr)
        return 2
    for path in (source, wanted.out):
        print(f"{path}: {path.stat().st_size:,} bytes, sha256 {sha256_of(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Estimated against measured peak memory of a model with its pool full, over contexts, slots and KV types.

Other load does not matter.

python -m tests.benchmarks.memory [MODEL]
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict

from pipeline.engines.batched import HOLDERS
from pipeline.engines.dry_run import dry_runs
from pipeline.engines.sizes import Sizes
from pipeline.models.gguf import check_model
from pipeline.models.locate import find_model
from pipeline.models.memory import estimate
from tests.models.test_memory import LOAD


def grid() -> Iterator[tuple[int, Sizes]]:
    """Slots and sizes."""
    for kv_type in ("f16", "q8_0", "q4_0"):
        for cells in (2048, 4096, 8192, 16384):
            for slots in (1, 4, 16):
                sequences = HOLDERS + slots
                yield slots, Sizes(cells, sequences, 2048, sequences, 512, 1, kv_type=kv_type)


def main(name: str) -> None:
    """Print the table, a line a shape."""
    header = check_model(find_model(name))
    print("| cells | slots | KV | measured, MiB | by llama.cpp, MiB | off | by formula, MiB | off |")
    print("|---|---|---|---|---|---|---|---|")
    with dry_runs() as dry:
        for slots, sizes in grid():
            command = [sys.executable, "-c", LOAD, str(header.path), repr(asdict(sizes))]
            taken = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            columns = [
                f"{total / 2**20:.0f} | {total / taken - 1:+.1%}"
                for total in (dry(header, sizes).total, estimate(header, sizes).total)
            ]
            row = [f"{sizes.cells:,}", str(slots), sizes.kv_type, f"{taken / 2**20:.0f}", *columns]
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "demo")

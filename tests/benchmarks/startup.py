"""From the start of the engine to the first token, with and without a kept beginning of the prompt.

`python -m tests.benchmarks.startup --model FILE [--task receipts] [--rounds 5]`. Each round loads the model anew: once
with nothing kept, once from the file that was just written. In a temporary cache directory.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.config import EngineSettings, Shape
from pipeline.prompting import PromptBuilder, load_task
from pipeline.run.model import demand_of, open_model
from tests.benchmarks import host

TEXT = "Harbour Books\n12 Jul 2026\nTwo atlases\nAmount due 41.50 EUR\n"


def seconds(model: str, task: str, *, kept: bool) -> tuple[float, int]:
    """Seconds until the first answer of a fresh engine, and the prompt tokens that it had to compute."""
    opened = open_model(model)
    builder = PromptBuilder(load_task(task), opened.tokenizer)
    settings = EngineSettings(shape=Shape(slots=1, prefix_cache=kept))
    began = time.perf_counter()
    engine, _ = opened.start(settings, demand_of([builder]))
    try:
        prompt = builder.prompt(TEXT, "startup")
        (done,) = engine.run([type(prompt)(prompt.work_key, prompt.segments, prompt.constraint, max_tokens=1)])
        return time.perf_counter() - began, done.counts.prefilled
    finally:
        engine.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.startup", description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--task", default="receipts")
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args(arguments)
    for complaint in host.look():
        print(f"THE MACHINE IS NOT QUIET: {complaint}", file=sys.stderr)
    times: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory(prefix="nightdesk-startup-") as cache:
        os.environ["XDG_CACHE_HOME"] = str(Path(cache))
        seconds(wanted.model, wanted.task, kept=True)  # writes the file, warms the page cache
        for _ in range(wanted.rounds):
            for kept in times:
                taken, prefilled = seconds(wanted.model, wanted.task, kept=kept)
                times[kept].append(taken)
                print(
                    f"{'kept' if kept else 'computed'}: {taken:.3f} s, {prefilled} prompt tokens computed", flush=True
                )
    for kept, found in times.items():
        name = "kept" if kept else "computed"
        print(f"{name}: median {statistics.median(found):.3f} s, {min(found):.3f} to {max(found):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What holding an answer to the text costs: `python -m tests.quality.constraint_cost --model demo`.

Compiling is timed for a chunk of several sizes, made of the receipts set; masks for every token of answers that are
walked at random within the grammar, as the loop would ask for them. Nothing else runs: no weights are loaded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from pipeline.data import ConstraintSpec, Vocabulary
from pipeline.grammars import Grammar, grammar
from pipeline.run.model import open_model
from pipeline.schema import TaskSchema
from tests.quality.sets import FORMS, Form, Set, as_form, load, read

SIZES = (1_000, 4_000, 16_000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.quality.constraint_cost", description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--chunks", type=int, default=30, help="of each size; default: 30")
    given = parser.parse_args()
    receipts = load("sroie")
    vocabulary = open_model(given.model).tokenizer.vocabulary
    print("| form | characters | compile p50 | p99 | a choice p50 | p99 | choices | alternatives listed |")
    print("|---|---|---|---|---|---|---|---|")
    for size in SIZES:
        texts = _texts(receipts, size, given.chunks)
        for form in FORMS:
            print(_row(form, size, *_measure(receipts, form, texts, vocabulary)), flush=True)


def _texts(receipts: Set, size: int, number: int) -> list[str]:
    """Chunks of this many characters: receipts one behind the other."""
    everything = "\n".join(read(receipts.path(one)).text for one in receipts.gold)
    step = max((len(everything) - size) // number, 1)
    return [everything[start : start + size] for start in range(0, step * number, step)]


def _measure(
    receipts: Set, form: Form, texts: Sequence[str], vocabulary: Vocabulary
) -> tuple[list[float], list[float], int]:
    engine: Grammar = grammar("llguidance", vocabulary)
    schema = TaskSchema(as_form(receipts.schema, form)).json_schema
    random = np.random.default_rng(0)
    compiling, choosing, listed = [], [], 0
    for text in texts:
        started = time.perf_counter()
        cursor = engine.compile(ConstraintSpec(schema, text if form != "free" else None)).start()
        compiling.append(time.perf_counter() - started)
        while not cursor.done():
            started = time.perf_counter()
            candidates = cursor.candidates()
            mask = None if candidates.alternatives else cursor.mask()
            choosing.append(time.perf_counter() - started)
            if mask is None:
                listed += 1
                ways = candidates.alternatives
                tokens = list(ways[random.integers(len(ways))])
            else:
                allowed = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))
                tokens = [int(random.choice(allowed))]
            for token in tokens:
                cursor.commit(token)
            while forced := cursor.forced():
                for token in forced:
                    cursor.commit(token)
    return compiling, choosing, listed


def _row(form: str, size: int, compiling: list[float], choosing: list[float], listed: int) -> str:
    figures = [f"{1000 * np.percentile(times, p):.2f} ms" for times in (compiling, choosing) for p in (50, 99)]
    return f"| {form} | {size:,} | {' | '.join(figures)} | {len(choosing):,} | {listed:,} |"


if __name__ == "__main__":
    main()

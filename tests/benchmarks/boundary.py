"""What the process boundary costs: `python -m tests.benchmarks.boundary [--model PATH] [--documents 24]`.

The same prompts through ChildEngine and through the same engine in this process, in turn; with `--replicas 2`
also through two processes that share the cores. The boundary's seconds are those spent in pickling and in pipes on
both sides, as `pipeline.supervise` counts them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pipeline.config import Shape
from pipeline.data import Prompt
from pipeline.engines import Engine
from pipeline.engines.child import ChildEngine
from pipeline.engines.spec import EngineSpec
from pipeline.models.locate import find_model, sha256_of
from pipeline.models.tokenizer import Tokenizer
from pipeline.prompting import PromptBuilder
from tests.benchmarks import host, workloads
from tests.benchmarks.ours import shape_of


@dataclass(slots=True)
class Taken:
    """What the rounds took: seconds in process, in a child, and of these at the boundary; messages and bytes.

    `several`: seconds in several processes.
    """

    inside: list[float] = field(default_factory=list)
    child: list[float] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    messages: list[int] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)
    several: list[float] = field(default_factory=list)


def measure(
    spec: EngineSpec,
    warm: Sequence[Prompt],
    prompts: Sequence[Prompt],
    rounds: int,
    several: EngineSpec | None = None,
) -> Taken:
    """The same prompts through the engine here, in a child, and in `several`, in turn; `warm` does not count."""
    taken = Taken()
    for _ in range(rounds):
        engine: Engine = spec.build()
        taken.inside.append(_seconds(engine, warm, prompts))
        engine.close()
        other = ChildEngine(spec)
        for _completion in other.run(warm):
            pass
        before = other.boundary
        taken.child.append(_seconds(other, (), prompts))
        taken.spent.append(other.boundary.seconds - before.seconds)
        taken.messages.append(other.boundary.messages - before.messages)
        taken.bytes.append(other.boundary.bytes - before.bytes)
        other.close()
        if several is not None:
            engine = ChildEngine(several)
            each = range(several.shape.replicas)
            every = [replace(prompt, work_key=f"{prompt.work_key} {number}") for prompt in warm for number in each]
            taken.several.append(_seconds(engine, every, prompts))
            engine.close()
    return taken


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.boundary", description=__doc__)
    parser.add_argument("--model", default="demo", help="a GGUF file, or `demo`")
    parser.add_argument("--documents", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--slots", type=int)
    parser.add_argument("--replicas", type=int, default=1, metavar="N", help="also N processes that share the cores")
    parser.add_argument("--workload", default="W1", choices=["W1", "W2", "W4"])
    parser.add_argument("--no-compile-ahead", action="store_true", help="no constraint while the model works")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    wanted = parser.parse_args(arguments)
    for complaint in host.look():
        print(f"THE MACHINE IS NOT QUIET: {complaint}", file=sys.stderr)

    model = find_model(wanted.model)
    tokenizer = Tokenizer.load(model)
    workload = workloads.load(wanted.workload, tokenizer, wanted.documents)
    builder = PromptBuilder(workload.tasks[0], tokenizer)
    shape = shape_of([builder], model, Shape(threads=wanted.threads, slots=wanted.slots))
    spec = EngineSpec(model, "batched", "llguidance", shape, compile_ahead=not wanted.no_compile_ahead)
    warm = [builder.prompt(question.chunk.text, question.key) for question in workload.warm_up]
    prompts = [builder.prompt(question.chunk.text, question.key) for question in workload.questions]

    several = None
    if wanted.replicas > 1:
        shared = shape_of([builder], model, Shape(threads=wanted.threads, slots=wanted.slots, replicas=wanted.replicas))
        several = replace(spec, shape=shared)
    taken = measure(spec, warm, prompts, wanted.rounds, several)
    inside, child, spent = taken.inside, taken.child, taken.spent
    figures = {
        "host": {**host.facts(), "model": str(model), "model_sha256": sha256_of(model)},
        "documents": len(prompts),
        **asdict(taken),
    }
    if wanted.out:
        wanted.out.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    middle = statistics.median
    share = middle(one / all_ for one, all_ in zip(spent, child, strict=True))
    print("| engine | seconds | documents/hour | boundary, s | share of wall | messages | bytes/document |")
    print("|---|---|---|---|---|---|---|")
    print(f"| in process | {middle(inside):.2f} | {3600 * len(prompts) / middle(inside):,.0f} | - | - | - | - |")
    print(
        f"| child | {middle(child):.2f} | {3600 * len(prompts) / middle(child):,.0f} | {middle(spent):.4f} "
        f"| {share:.3%} | {middle(taken.messages):,.0f} | {middle(taken.bytes) / len(prompts):,.0f} |"
    )
    if several is not None:
        seconds, shape = middle(taken.several), several.shape
        name = f"{shape.replicas} children, {shape.slots} slots and {shape.sizes.threads} threads each"
        print(f"| {name} | {seconds:.2f} | {3600 * len(prompts) / seconds:,.0f} | - | - | - | - |")
    print(
        f"\n{len(prompts)} documents, median of {wanted.rounds} rounds; model {model}, commit {host.facts()['commit']}."
    )
    return 0


def _seconds(engine: Engine, warm: Sequence[Prompt], prompts: Sequence[Prompt]) -> float:
    for _ in engine.run(warm):
        pass
    started = time.perf_counter()
    for _ in engine.run(prompts):
        pass
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())

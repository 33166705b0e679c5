"""The share of answers that a setting of speed leaves as the slow twin gives them: `python -m tests.equality.shares`.

Each setting and the slow twin are asked the same: the receipts of samples/ behind the task's examples, each with free
strings and with values that are compared among the places of the text. Prints Markdown for tests/benchmarks/LOG.md.
Answers are kept in --out as they come, so that the same command goes on where it was stopped.

llama.cpp is not batch-invariant: how many rows a call has decides which kernel computes it, and the same row comes
out a little different (ENGINE.md section 7). So answers may part, but only where the model was nearly undecided.
Both sides have the same past up to the first token that differs; there each side holds its own choice for the best,
and says by how much (`Completion.gaps`).

The bound. Let the fast side choose a and the slow side b. The fast side says `fast[a] - fast[b] >= 0`, the slow side
`slow[b] - slow[a] >= 0`, and their sum is how far the difference of these two logits moved between the shapes: at
most twice the movement of one logit. A side's gap is to its own second best, so it is no larger than these. By the same
reasoning a gap that both sides saw before they parted differs by at most the bound.

Where one side was forced, it chose nothing; there the two may write the same bytes in other tokens.

A value that was compared has the gap of its score to the second best one's: the sum of its tokens' log-probabilities
over a power of their number. Each of n tokens moves, we take it by itself, so that the sum moves by the root of n times
what one does. Where all others were left before their ends there is no second best: that is not explained. Null is
weighed against the beginnings of all values together; the side that chose it says by how much.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from unittest import mock

from pipeline.batching import ranking
from pipeline.config import Shape
from pipeline.data import Completion, ConstraintSpec, Prompt, fingerprint
from pipeline.engines import Engine
from pipeline.engines.child import ChildEngine
from pipeline.engines.shape import Demand, Machine, resolve
from pipeline.engines.spec import EngineSpec
from pipeline.grammars import Candidates, Constraint, grammar
from pipeline.models.gguf import check_model
from pipeline.models.locate import find_model
from pipeline.models.tokenizer import Tokenizer
from pipeline.prompting import PromptBuilder, load_task
from pipeline.schema import TaskSchema

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
MOVED = 0.78  # the most one logit was seen to move between two shapes of a call (ENGINE.md section 7)
BOUND = 2 * MOVED
MOST = 80  # tokens of an answer

PLAIN = TaskSchema.from_json(
    {
        "type": "object",
        "properties": {
            "company": {"type": ["string", "null"], "maxLength": 40},
            "date": {"type": ["string", "null"], "maxLength": 12},
            "total": {"type": ["string", "null"], "maxLength": 10},
        },
        "required": ["company", "date", "total"],
        "additionalProperties": False,
    }
)


@dataclass(frozen=True)
class Switch:
    """An engine with one setting that is not the usual one."""

    shape: Mapping[str, object] = field(default_factory=dict)
    engine: Literal["batched", "naive"] = "batched"
    child: bool = False
    one_pool: bool = False
    compile_ahead: bool = True
    document_first: bool = False

    @property
    def twin(self) -> Switch:
        """The slow twin that it is held against. Another type of cache rightly answers otherwise."""
        kept = {key: value for key, value in self.shape.items() if key == "kv_type"}
        return Switch(kept, "naive", document_first=self.document_first)

    def spec(self, model: Path, prompts: Sequence[Prompt]) -> EngineSpec:
        """For exactly these prompts."""
        wanted = Shape.model_validate(self.shape)
        shared = {s.hash: len(s.tokens) for prompt in prompts for s in prompt.segments if s.shared}
        longest = max(prompt.length + prompt.most_output for prompt in prompts)
        demand = Demand(sum(shared.values()), longest, longest, ranked=True)
        resolved = resolve(wanted, check_model(model), Machine(cores=1, free_memory=8 << 30), demand)
        if self.one_pool:
            resolved = dataclasses.replace(resolved, sizes=resolved.sizes.in_one_pool)
        return EngineSpec(
            model,
            self.engine,
            "llguidance",
            resolved,
            wanted.forced_tokens,
            wanted.drafts,
            prefix_cache="equality" if wanted.prefix_cache else "",
            compile_ahead=self.compile_ahead,
            passive=wanted.passive,
        )

    def answers(self, model: Path, prompts: Sequence[Prompt]) -> dict[str, Completion]:
        """What it answers. With a prefix cache it answers twice, and the second time, from the file, counts."""
        spec = self.spec(model, prompts)
        if not spec.prefix_cache:
            return _answers(spec, prompts, child=self.child)
        with (
            tempfile.TemporaryDirectory(prefix="nightdesk-equality-") as cache,
            mock.patch.dict(os.environ, {"XDG_CACHE_HOME": cache}),
        ):
            written, loaded = (_answers(spec, prompts, child=self.child) for _ in range(2))
        computed = [sum(one.counts.prefilled for one in found.values()) for found in (written, loaded)]
        assert computed[1] < computed[0], "the beginning was not loaded from its file"
        return loaded


SWITCHES = {
    "as it comes": Switch(),
    "drafts": Switch({"drafts": 16}),
    "two replicas": Switch({"replicas": 2}, child=True),
    "prefix cache, from its file": Switch({"prefix_cache": True}),
    "document first": Switch(document_first=True),
    "forced tokens off": Switch({"forced_tokens": False}),
    "flash attention off": Switch({"flash_attention": False}),
    "flash attention for prompts only": Switch({"flash_attention": "prompts"}),
    "3 slots": Switch({"slots": 3}),
    "ubatch 128": Switch({"ubatch": 128}),
    "batch 256": Switch({"batch": 256}),
    "2 threads": Switch({"threads": 2}),
    "one pool for all": Switch(one_pool=True),
    "in a child process": Switch(child=True),
    "passive waiting": Switch({"passive": True}, child=True),
    "compile-ahead off": Switch(child=True, compile_ahead=False),
    "KV cache q8_0": Switch({"kv_type": "q8_0"}),
}


def _answers(spec: EngineSpec, prompts: Sequence[Prompt], *, child: bool) -> dict[str, Completion]:
    engine: Engine = ChildEngine(spec) if child else spec.build()
    try:
        return {completion.work_key: completion for completion in engine.run(prompts)}
    finally:
        engine.close()


def questions(model: Path, documents: int, *, document_first: bool) -> list[Prompt]:
    """Two about each receipt: free strings, and values that are compared."""
    task = load_task(str(SAMPLES.parent / "prompts" / "receipts.toml"))
    options = task.options.model_copy(update={"max_answer_tokens": MOST, "document_first": document_first})
    task = dataclasses.replace(task, options=options, examples=() if document_first else task.examples)
    tokenizer = Tokenizer.load(model)
    builders = {
        "plain": PromptBuilder(dataclasses.replace(task, schema=PLAIN), tokenizer),
        "compared": PromptBuilder(task, tokenizer),
    }
    receipts = sorted((SAMPLES / "receipts").glob("*.txt"))[:documents]
    return [
        builder.prompt(receipt.read_text("utf-8"), f"{kind} {receipt.stem}")
        for receipt in receipts
        for kind, builder in builders.items()
    ]


def parting(one: Completion, other: Completion) -> int | None:
    """The index of the first token that differs, None where there is none."""
    if one.tokens == other.tokens:
        return None
    pairs = zip(one.tokens, other.tokens, strict=False)
    place = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
    assert place is not None, "one answer is the beginning of the other"
    return place


@dataclass(frozen=True)
class Parted:
    """Two answers to one question that differ."""

    key: str
    place: int  # the token at which the choice was made
    why: str
    gap: float  # by how much the sides, together, held their own for the better; inf: no figure tells
    bound: float = BOUND

    @property
    def explained(self) -> bool:
        """The model was nearly undecided there, or the bytes are the same."""
        return self.gap <= self.bound

    def __str__(self) -> str:
        return f"{self.key} parts at token {self.place}: {self.why}, gap {self.gap:.3f} of {self.bound:.2f}"


class Judge:
    """Finds why answers of one model differ."""

    def __init__(self, model: Path) -> None:
        vocabulary = Tokenizer.load(model).vocabulary
        self._pieces = vocabulary.pieces
        self._compile: Callable[[ConstraintSpec], Constraint] = grammar("llguidance", vocabulary).compile

    def partings(
        self, prompts: Sequence[Prompt], left: Mapping[str, Completion], right: Mapping[str, Completion]
    ) -> list[Parted]:
        """The questions that both were asked and that they answered differently."""
        both = [prompt for prompt in prompts if prompt.work_key in left and prompt.work_key in right]
        pairs = ((prompt, left[prompt.work_key], right[prompt.work_key]) for prompt in both)
        return [self._parted(*pair, place) for pair in pairs if (place := parting(*pair[1:])) is not None]

    def _parted(self, prompt: Prompt, one: Completion, other: Completion, place: int) -> Parted:
        key, compared = prompt.work_key, self._compared(prompt, other, place)
        if compared is not None:
            return Parted(key, compared[0], *_weighed(*compared, one, other))
        gaps = one.gaps[place], other.gaps[place]
        if math.inf not in gaps:
            return Parted(key, place, "two tokens", sum(gaps))
        short, long = sorted((self._pieces[one.tokens[place]], self._pieces[other.tokens[place]]), key=len)
        return Parted(key, place, "the same bytes in other tokens", 0.0 if long.startswith(short) else math.inf)

    def _compared(self, prompt: Prompt, answer: Completion, place: int) -> tuple[int, Candidates] | None:
        """Where the value that holds this token begins, and what it was compared with."""
        cursor, start = self._compile(prompt.constraint).start(), 0
        while start <= place:
            candidates = ranking.to_compare(cursor, prompt.temperature)
            values = (each for each in candidates.alternatives if _stands(each, answer.tokens, start))
            value = next(values, answer.tokens[start : start + 1])
            if candidates.alternatives and start + len(value) > place:
                return start, candidates
            for token in value:
                cursor.commit(token)
            start += len(value)
        return None


def _weighed(start: int, candidates: Candidates, one: Completion, other: Completion) -> tuple[str, float, float]:
    """What was weighed where these two begin to differ in a value, the gap, and its bound."""
    null = candidates.otherwise[0] if candidates.otherwise else None
    for side in (one, other):
        if side.tokens[start] == null:
            values = 1 - side.removed[start] - math.exp(side.logprobs[start])
            return "null or a value", side.logprobs[start] - math.log(max(values, 1e-9)), BOUND
    lengths = [len(a) for a in candidates.alternatives for side in (one, other) if _stands(a, side.tokens, start)]
    bound = BOUND * min(lengths) ** (0.5 - candidates.length_power)
    return "two values", one.gaps[start] + other.gaps[start], bound


def _stands(value: Sequence[int], tokens: Sequence[int], start: int) -> bool:
    return tuple(tokens[start : start + len(value)]) == tuple(value)


def both_chose(one: Completion, other: Completion) -> Iterator[tuple[float, float]]:
    """The gaps of both sides at the tokens before they part, where both had a choice."""
    place = parting(one, other)
    for here, there in zip(one.gaps[:place], other.gaps[:place], strict=place is None):
        if math.inf not in (here, there):
            yield here, there


def row(name: str, found: Mapping[str, object], parted: Sequence[Parted]) -> str:
    """A line of the table."""
    cells = []
    for kind in ("plain", "compared"):
        asked = [key for key in found if key.startswith(kind)]
        others = [each for each in parted if each.key.startswith(kind)]
        cells.append(f"{len(asked) - len(others)} of {len(asked)}" if asked else "-")
    widest = max(parted, key=lambda each: each.gap / each.bound, default=None)
    worst = f"{widest.gap:.2f} of {widest.bound:.2f}" if widest else "-"
    unexplained = sum(not each.explained for each in parted)
    return f"| {name} | {cells[0]} | {cells[1]} | {worst} | {f'NO: {unexplained}' if unexplained else 'yes'} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask what was not asked yet, and print the table and each difference. 1 where one has no reason."""
    parser = argparse.ArgumentParser(prog="python -m tests.equality.shares", description=__doc__)
    parser.add_argument("--model", default="demo", help="a GGUF file, or `demo`")
    parser.add_argument("--documents", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path("shares"), help="a folder for what was answered")
    wanted = parser.parse_args(arguments)
    model = find_model(wanted.model)
    wanted.out.mkdir(parents=True, exist_ok=True)
    judge = Judge(model)
    asked = {first: questions(model, wanted.documents, document_first=first) for first in (False, True)}

    def answers(name: str, switch: Switch) -> dict[str, Completion]:
        file = wanted.out / f"{fingerprint(model.name, wanted.documents, repr(switch))[:16]}.pickle"
        if not file.exists():
            began = time.monotonic()
            found = switch.answers(model, asked[switch.document_first])
            file.write_bytes(pickle.dumps(found))
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        return dict(pickle.loads(file.read_bytes()))

    print("| setting | plain: equal | compared: equal | largest gap, of its bound | all explained |")
    print("|---|---|---|---|---|", flush=True)
    differences = []
    for name, switch in SWITCHES.items():
        twin = answers(f"the slow twin of: {name}", switch.twin)
        found = answers(name, switch)
        prompts = asked[switch.document_first]
        parted = judge.partings(prompts, found, twin)
        differences += [(name, each) for each in parted]
        print(row(name, found, parted), flush=True)
    print()
    for name, each in differences:
        print(f"- {name}: {each}{'' if each.explained else ' NOT EXPLAINED'}")
    return int(any(not each.explained for _, each in differences))


if __name__ == "__main__":
    sys.exit(main())

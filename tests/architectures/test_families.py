"""Every family loads, is sized right, keeps to the grammar, and answers in a batch what it answers alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.batching import Row
from pipeline.config import Shape
from pipeline.data import Completion, ConstraintSpec, Prompt, Segment, Stop
from pipeline.engines.dry_run import DryRuns, dry_runs
from pipeline.engines.llama import Llama
from pipeline.engines.shape import Demand, Machine, resolve
from pipeline.engines.sizes import Sizes
from pipeline.engines.spec import EngineSpec
from pipeline.models.gate import gate
from pipeline.models.gguf import check_model, read_header
from pipeline.models.memory import estimate
from pipeline.models.tokenizer import Tokenizer

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "kind": {"enum": ["bill", "letter", "Grüße"]},
            "number": {"type": "integer", "minimum": 0, "maximum": 99999},
            "when": {"type": "string", "x-nightdesk": {"extractive": True, "type": "date", "unit": "word"}},
            "text": {"type": "string", "maxLength": 6},
        },
        "required": ["kind", "number", "when", "text"],
        "additionalProperties": False,
    }
)
NEAR = 0.05  # logits; answers may part only where the two best tokens are closer than this
PREFIX = "Read the document and answer. " * 6
MACHINE = Machine(1, 4 << 30)


@pytest.fixture(scope="module")
def dry() -> Iterator[DryRuns]:
    with dry_runs() as asked:
        yield asked


def prompts(tokenizer: Tokenizer, texts: list[str]) -> list[Prompt]:
    first = [tokenizer.bos] if tokenizer.add_bos and tokenizer.bos is not None else []
    prefix = Segment.of([*first, *tokenizer.encode(PREFIX, first=True)], shared=True)
    return [
        Prompt(f"{i}", (prefix, Segment.of(tokenizer.encode_data(text))), ConstraintSpec(SCHEMA, text), 110)
        for i, text in enumerate(texts)
    ]


def answers(path: Path, engine: str, texts: list[str]) -> dict[str, Completion]:
    tokenizer = Tokenizer.load(path)
    asked = prompts(tokenizer, texts)
    shape = resolve(Shape(slots=4, ubatch=64), check_model(path), MACHINE, Demand(200, 250, 450, ranked=True))
    running = EngineSpec(path, engine, "llguidance", shape).build()  # type: ignore[arg-type]
    try:
        return {completion.work_key: completion for completion in running.run(asked)}
    finally:
        running.close()


def assert_equal_or_near(one: Completion, other: Completion) -> None:
    apart = next((i for i, (a, b) in enumerate(zip(one.tokens, other.tokens, strict=False)) if a != b), None)
    if apart is not None:
        assert max(one.gaps[apart], other.gaps[apart]) < NEAR


TEXTS = [
    f"The {word} came on 2024-0{n + 1}-1{n}. " * (1 + n % 3) + "Paid 3 May 2025."
    for n, word in enumerate(["bill", "note", "the", "ab", "cat"])
]


def test_a_family_answers_in_a_batch_what_it_answers_alone(models: dict[str, Path], family: str) -> None:
    together, alone = (answers(models[family], engine, TEXTS) for engine in ("batched", "naive"))
    decode = Tokenizer.load(models[family]).vocabulary.decode

    assert {*together} == {*alone} == {str(i) for i in range(len(TEXTS))}
    for key, one in together.items():
        other = alone[key]
        assert one.stop in (Stop.END, Stop.LENGTH)
        if one.stop is Stop.END:
            answer = json.loads(decode(one.tokens).decode("utf-8"))
            assert answer.keys() == {"kind", "number", "when", "text"}
            assert answer["when"] in TEXTS[int(key)]
        assert_equal_or_near(one, other)
    assert any(one.stop is Stop.END for one in together.values())


def test_equal_prompts_get_equal_answers_in_one_batch(models: dict[str, Path], family: str) -> None:
    found = answers(models[family], "batched", [TEXTS[0]] * 8)

    for completion in found.values():
        assert_equal_or_near(completion, found["0"])


def test_the_formula_agrees_with_llama_cpp(models: dict[str, Path], family: str, dry: DryRuns) -> None:
    header = read_header(models[family])
    for cells, sequences in ((1024, 8), (4096, 3)):
        sizes = Sizes(cells, sequences, 512, 64, 128, 1)
        formula, measured = estimate(header, sizes), dry(header, sizes)

        assert measured.exact
        assert formula.cache == pytest.approx(measured.cache, rel=0.05)
        assert formula.compute == pytest.approx(measured.compute, rel=0.5)


def test_longrope_takes_the_short_factors_in_a_pool_of_any_size_and_the_long_ones_for_longer_prompts(
    models: dict[str, Path],
) -> None:
    header = check_model(models["phi3"])
    short = resolve(Shape(), header, MACHINE, Demand(200, 300, 500, ranked=True)).sizes
    long = resolve(Shape(), header, MACHINE, Demand(200, 825, 1025, ranked=True)).sizes

    def logits(sizes: Sizes) -> np.ndarray:
        model = Llama(header.path, sizes)
        try:
            model.decode([Row(10 + i, i, (0,), logits=i == 39) for i in range(40)])
            return model.logits(39).copy()
        finally:
            model.close()

    assert gate(header).first_context == 1024
    assert (short.short_rope, long.short_rope) == (True, False)
    assert min(short.cells, long.cells) > 1024
    small = logits(Sizes(1024, 4, 512, 4, 512, 1))
    assert np.array_equal(logits(short), small)
    assert np.abs(logits(long) - small).max() > 1

"""Drafts: with or without them, every answer is the slow twin's; they save calls and stay within the cells."""

from __future__ import annotations

from dataclasses import astuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batching import Row
from pipeline.batching.drafts import MOST, agreeing
from pipeline.batching.ranking import MOST_CELLS, MOST_FORKS
from pipeline.data import Completion, ConstraintSpec, Counts, Prompt, Segment, Thought
from pipeline.engines.batched import Batched
from pipeline.engines.naive import Naive
from pipeline.engines.scripted import Scripted
from pipeline.grammars.llguidance import Engine
from pipeline.grammars.thinking import with_thoughts
from pipeline.models.byte_tokenizer import ByteTokenizer
from pipeline.schema import TaskSchema

BYTES = ByteTokenizer().vocabulary
COMPILE = with_thoughts(Engine(BYTES).compile, BYTES)
ROWS = "Harbour Lights Ltd\n9 Quay Parade, Whitby\nrope 2 x 4.00  8.00\nropes 1 x 4.00  4.00\nlamp 1 x 9.00  9.00\n"
LINES = (
    *ROWS.splitlines(),
    'He said "Lights"',
    "co-\nop \\ no",
    "東京都 12",
    "don't 12/07/2024",
    "Total 21.00 EUR",
    "",
)


def pointed(**notes: object) -> dict[str, object]:
    return {"type": "string", "maxLength": 30, "x-nightdesk": {"extractive": True, **notes}}


def items(of: dict[str, object], **notes: object) -> dict[str, object]:
    return {"type": "array", "maxItems": 3, "items": of, "x-nightdesk": notes}


ROW = {"type": "object", "properties": {"what": pointed(), "sum": pointed(type="money")}, "required": ["what", "sum"]}
FIELDS: dict[str, dict[str, object]] = {
    "words": pointed(),
    "maybe": {"anyOf": [pointed(), {"type": "null"}]},
    "lines": pointed(unit="lines"),
    "day": pointed(type="date"),
    "free": {"type": "string", "maxLength": 8},
    "names": items(pointed()),
    "rows": items(ROW, in_order=True, within="row"),
    "in_turn": items(pointed(), in_order=True),
}


def prompt(number: int, fields: list[str], text: str, budget: int, temperature: float, *, thought: bool) -> Prompt:
    schema = TaskSchema.from_json({"type": "object", "properties": {name: FIELDS[name] for name in fields}})
    before = Thought(tag=(60,), after=(10,), budget=5) if thought else None
    constraint = ConstraintSpec(schema.json_schema, text, before)
    shared = Segment.of(list(b"copy. " * (1 + number % 3)), shared=True)
    own = Segment.of(list(f"{text} #{number}".encode()))
    return Prompt(f"key-{number}", (shared, own), constraint, budget, temperature, seed=3)


def batched(drafts: int, *, cells: int = 1400, slots: int = 2, ranked: bool = False, forced: bool = True) -> Batched:
    forks, fork_cells = (MOST_FORKS, MOST_CELLS) if ranked else (0, 0)
    backend = Scripted(BYTES, cells=cells + fork_cells, max_batch=max(700, fork_cells), max_outputs=120)
    return Batched(
        backend, COMPILE, slots=slots, forks=forks, fork_cells=fork_cells, forced_tokens=forced, drafts=drafts
    )


def answers(engine: Batched | Naive, prompts: list[Prompt]) -> dict[str, Completion]:
    return {completion.work_key: completion for completion in engine.run(prompts)}


def said(completions: dict[str, Completion]) -> dict[str, object]:
    return {key: (c.tokens, c.thought, c.stop) for key, c in completions.items()}


asked = st.lists(
    st.tuples(
        st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=3, unique=True),
        st.lists(st.sampled_from(LINES), min_size=1, max_size=6).map("\n".join),
        st.integers(1, 150),
        st.sampled_from([0.0, 0.0, 0.0, 0.8]),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=15, deadline=None)
@given(asked, st.integers(1, 4), st.integers(1, 4), st.booleans(), st.booleans())
def test_every_answer_is_the_slow_twins(asked, drafts, slots, ranked, forced):
    prompts = [prompt(i, *one[:4], thought=one[4]) for i, one in enumerate(asked)]
    engine = batched(drafts, slots=slots, ranked=ranked, forced=forced)
    slow = Naive(Scripted(BYTES, cells=1400, max_batch=700), COMPILE, ranked=ranked)
    assert said(answers(engine, prompts)) == said(answers(slow, prompts))


@settings(max_examples=8, deadline=None)
@given(asked, st.integers(1, 3), st.booleans())
def test_what_is_told_of_each_token_is_the_same_without_drafts(asked, slots, ranked):
    prompts = [prompt(i, *one[:4], thought=one[4]) for i, one in enumerate(asked)]
    with_drafts, without = (answers(batched(n, slots=slots, ranked=ranked), prompts) for n in (slots, 0))
    for key, one in with_drafts.items():
        other = without[key]
        assert (one.logprobs, one.removed, one.gaps) == (other.logprobs, other.removed, other.gaps)
        assert astuple(one.counts)[:4] == astuple(other.counts)[:4]


def copies(number: int, budget: int = 150) -> Prompt:
    return prompt(number, ["names", "words", "in_turn"], ROWS, budget, 0.0, thought=False)


def test_drafts_save_calls_and_are_counted():
    prompts = [copies(i) for i in range(6)]
    plain, drafting = batched(0, slots=1, forced=False), batched(1, slots=1, forced=False)
    without, with_drafts = answers(plain, prompts), answers(drafting, prompts)
    counts = sum((c.counts for c in with_drafts.values()), Counts())

    assert said(with_drafts) == said(without)
    assert 0 < counts.accepted < counts.drafted
    assert plain.calls - drafting.calls == counts.accepted
    assert not sum((c.counts for c in without.values()), Counts()).drafted


def test_nothing_is_drafted_where_more_answers_are_written_than_was_said():
    class Watched(Scripted):
        most = 0

        def decode(self, rows):
            if all(row.logits for row in rows) and len({row.sequences for row in rows}) > 2:
                self.most = max(self.most, len(rows))
            super().decode(rows)

    backend = Watched(BYTES, cells=4000, max_batch=700, max_outputs=120)
    engine = Batched(backend, COMPILE, slots=5, forks=0, fork_cells=0, forced_tokens=False, drafts=2)
    counts = sum((c.counts for c in answers(engine, [copies(i) for i in range(16)]).values()), Counts())

    assert backend.most <= 5
    assert counts.drafted  # once the work runs out


@pytest.mark.parametrize("budget", [1, 2, *range(12, 60)])
def test_a_draft_stays_within_the_cells_that_the_answer_has_reserved(budget):
    prompts = [copies(3 * i, budget) for i in range(2)]
    cells = max(p.length for p in prompts) + budget
    engine = batched(1, cells=cells, slots=1, forced=False)
    slow = Naive(Scripted(BYTES, cells=cells, max_batch=700), COMPILE, ranked=False)

    assert said(answers(engine, prompts)) == said(answers(slow, prompts))


def test_drafts_share_the_rows_of_a_call():
    backend = Scripted(BYTES, cells=2000, max_sequences=20, max_batch=700, max_outputs=5)
    engine = Batched(backend, COMPILE, slots=4, forks=0, fork_cells=0, forced_tokens=False, drafts=4)
    counts = sum((c.counts for c in answers(engine, [copies(i) for i in range(4)]).values()), Counts())
    assert counts.drafted  # decode() refuses a sixth row with logits


def test_a_rejected_draft_that_stayed_would_be_seen():
    class Keeping(Scripted):
        def drop(self, sequence, start=0):
            super().drop(sequence, start + 1 if start else 0)
            self._length[sequence] = start

    backend = Keeping(BYTES, cells=2000, max_batch=700, max_outputs=120)
    wrong = Batched(backend, COMPILE, slots=1, forks=0, fork_cells=0, forced_tokens=False, drafts=1)
    prompts = [copies(i) for i in range(6)]
    assert said(answers(wrong, prompts)) != said(answers(batched(0), prompts))


def test_the_end_of_a_sequence_is_forgotten_and_what_others_see_stays():
    backend = Scripted(BYTES, cells=8, max_batch=8)
    backend.decode([Row(i, i, (0,)) for i in range(4)])
    backend.copy(0, 1)
    backend.decode([Row(9, 4, (1,)), Row(9, 5, (1,))])
    backend.drop(1, 3)
    backend.drop(0, 4)
    backend.decode([Row(7, 3, (1,), logits=True), Row(7, 4, (0,))])
    backend.decode([Row(7, 5, (0,)), Row(7, 6, (0,))])  # 8 cells, all used


def test_agreeing_counts_the_first_tokens_that_are_equal():
    assert agreeing([1, 2, 3], [1, 2, 4, 5]) == 2
    assert agreeing([1, 2], [1, 2, 4]) == agreeing([1, 2, 4], [1, 2]) == 2
    assert agreeing([], [1]) == agreeing([1], []) == 0
    assert MOST > 0

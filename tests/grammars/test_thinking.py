"""A thought before an answer: free text up to its tag or its budget, then the grammar, in every engine alike."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.data import Completion, ConstraintSpec, Counts, Prompt, Segment, Stop, Thought
from pipeline.engines.batched import HOLDERS, Batched
from pipeline.engines.naive import Naive
from pipeline.engines.scripted import Scripted
from pipeline.errors import EngineError
from pipeline.grammars import grammar
from pipeline.grammars.thinking import Thinking, with_thoughts
from pipeline.models.byte_tokenizer import END, EOS, ByteTokenizer

TOKENIZER = ByteTokenizer()
VOCABULARY = TOKENIZER.vocabulary
SCHEMA = json.dumps({
    "type": "object",
    "properties": {"tone": {"enum": ["good", "bad"]}, "word": {"type": "string", "maxLength": 6}},
    "required": ["tone", "word"],
    "additionalProperties": False,
})  # fmt: skip
TEXT_TAG = Thought(40, tuple(b"</think>"), tuple(b"\n\n"))
TOKEN_TAG = Thought(40, (END,), tuple(b"now:"))
COMPILE = with_thoughts(grammar("llguidance", VOCABULARY).compile, VOCABULARY)


def cursor(thought: Thought) -> Thinking:
    started = COMPILE(ConstraintSpec(SCHEMA, None, thought)).start()
    assert isinstance(started, Thinking)
    return started


def allowed(at: Thinking) -> set[int]:
    bits = np.unpackbits(at.mask().view(np.uint8), count=len(VOCABULARY.pieces), bitorder="little")
    return {int(token) for token in np.flatnonzero(bits)}


def follow(at: Thinking, text: bytes) -> None:
    for token in text:
        assert token in allowed(at)
        at.commit(token)


def test_while_it_thinks_any_text_may_come_and_no_end() -> None:
    assert allowed(cursor(TEXT_TAG)) == set(range(256))
    assert allowed(cursor(TOKEN_TAG)) == {*range(256), END}
    assert EOS not in allowed(cursor(TOKEN_TAG))
    assert cursor(TEXT_TAG).forced() == ()
    assert cursor(TEXT_TAG).candidates().alternatives == ()


@pytest.mark.parametrize("thought", [TEXT_TAG, TOKEN_TAG])
def test_its_tag_ends_a_thought_and_what_follows_is_forced(thought: Thought) -> None:
    at = cursor(thought)
    follow(at, b"hm <think> </thin")
    for token in b"</think>" if thought is TEXT_TAG else (END,):
        at.commit(token)

    for token in thought.after:
        assert allowed(at) == {token}
        assert at.forced()[0] == token
        at.commit(token)
    assert allowed(at) == {ord("{")}
    assert at.thought == 17 + len(thought.tag) + len(thought.after)


@pytest.mark.parametrize("thought", [TEXT_TAG, TOKEN_TAG])
def test_the_budget_ends_a_thought_with_its_tag(thought: Thought) -> None:
    at = cursor(thought)
    follow(at, b"x" * 40)

    assert at.forced() == (*thought.tag, *thought.after)
    for token in at.forced():
        at.commit(token)
    assert at.thought == thought.most
    follow(at, b'{"tone')
    assert not at.done()


def test_nothing_else_may_stand_in_place_of_the_end_of_a_thought() -> None:
    at = cursor(replace(TEXT_TAG, budget=1))
    at.commit(ord("x"))

    with pytest.raises(EngineError, match="in place of"):
        at.commit(ord("y"))


def test_without_a_thought_a_specification_is_compiled_as_it_was() -> None:
    assert not isinstance(COMPILE(ConstraintSpec(SCHEMA)).start(), Thinking)


def prompts(number: int, thought: Thought | None, temperature: float = 0.0, room: int = 60) -> list[Prompt]:
    prefix = Segment.of([*b"Think, then answer."], shared=True)
    return [
        Prompt(
            f"{i}",
            (prefix, Segment.of([*f"Letter {i}".encode()])),
            ConstraintSpec(SCHEMA, None, thought),
            room,
            temperature,
        )
        for i in range(number)
    ]


def batched(asked: list[Prompt], *, slots: int = 3, cells: int = 700, forced: bool = True) -> dict[str, Completion]:
    backend = Scripted(VOCABULARY, cells=cells, max_sequences=HOLDERS + slots)
    engine = Batched(backend, COMPILE, slots=slots, forks=0, fork_cells=0, forced_tokens=forced)
    return {completion.work_key: completion for completion in engine.run(asked)}


def naive(asked: list[Prompt]) -> dict[str, Completion]:
    engine = Naive(Scripted(VOCABULARY, cells=4096), COMPILE, ranked=False)
    return {completion.work_key: completion for completion in engine.run(asked)}


def content(found: dict[str, Completion]) -> dict[str, tuple[object, ...]]:
    return {key: (c.thought, c.tokens, c.stop) for key, c in found.items()}


@pytest.mark.parametrize("temperature", [0.0, 1.5])
@pytest.mark.parametrize("thought", [TEXT_TAG, TOKEN_TAG, replace(TOKEN_TAG, budget=200)])
def test_fast_and_slow_engines_think_and_answer_alike(thought: Thought, temperature: float) -> None:
    asked = prompts(8, thought, temperature)

    fast = batched(asked, cells=1500)

    assert content(fast) == content(batched(asked, cells=1500, forced=False)) == content(naive(asked))
    assert len({completion.thought for completion in fast.values()}) == 8
    for completion in fast.values():
        assert completion.stop is Stop.END
        assert json.loads(VOCABULARY.decode(completion.tokens)).keys() == {"tone", "word"}
        assert completion.thought[-len(thought.after) :] == thought.after
        assert len(completion.thought) <= thought.most
        assert len(completion.tokens) == len(completion.logprobs) == len(completion.gaps) == len(completion.removed)
        written = completion.counts.forced + completion.counts.sampled
        assert written == len(completion.thought) + len(completion.tokens)


def test_a_thought_takes_nothing_from_the_budget_of_the_answer() -> None:
    plain, thinking = (batched(prompts(4, thought, room=12)) for thought in (None, TEXT_TAG))

    for found in (plain, thinking):
        assert {(len(c.tokens), c.stop) for c in found.values()} == {(12, Stop.LENGTH)}


def test_room_for_the_thought_is_reserved_and_a_prompt_without_it_is_too_long() -> None:
    (one,) = prompts(1, TEXT_TAG)
    need = one.length + 60 + TEXT_TAG.most

    assert one.most_output == 60 + TEXT_TAG.most
    assert batched([one], cells=need)["0"].stop is Stop.END
    refused = Completion("0", (), (), (), (), Counts(), Stop.TOO_LONG)
    assert batched([one], cells=need - 1)["0"] == refused
    assert [*Naive(Scripted(VOCABULARY, cells=need - 1), COMPILE, ranked=False).run([one])] == [refused]

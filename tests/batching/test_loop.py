from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batching import Halt
from pipeline.batching.ranking import MOST_CELLS, MOST_FORKS
from pipeline.data import ConstraintSpec, Prompt, Segment, Stop
from pipeline.engines.batched import Batched
from pipeline.engines.naive import Naive
from pipeline.engines.scripted import Scripted
from pipeline.errors import EngineError
from pipeline.grammars import NO_CANDIDATES, Candidates

spec = importlib.util.spec_from_file_location("small_grammar", Path(__file__).with_name("small_grammar.py"))
assert spec is not None
assert spec.loader is not None
small_grammar = importlib.util.module_from_spec(spec)
sys.modules["small_grammar"] = small_grammar
spec.loader.exec_module(small_grammar)
BYTES, SmallConstraint = small_grammar.BYTES, small_grammar.SmallConstraint

PREFIXES = [b"system one. ", b"system two, a little longer. ", b"three "]


def prompt(number: int, prefix: list[bytes], text: bytes, budget: int = 60, temperature: float = 0.0) -> Prompt:
    segments = [Segment.of(list(part), shared=True) for part in prefix]
    segments.append(Segment.of(list(text + b" #%d" % number)))
    return Prompt(f"key-{number}", tuple(segments), ConstraintSpec("{}"), budget, temperature, seed=7)


def batched(ranked: bool = True, *, cells: int = 400, slots: int = 4, batch: int = 200, forced: bool = True) -> Batched:
    backend = Scripted(BYTES, cells=cells + MOST_CELLS, max_batch=batch, max_outputs=200)
    return Batched(
        backend,
        lambda _: SmallConstraint(ranked),
        slots=slots,
        forks=MOST_FORKS,
        fork_cells=MOST_CELLS,
        forced_tokens=forced,
    )


def naive(ranked: bool = True) -> Naive:
    return Naive(Scripted(BYTES, cells=760, max_batch=256), lambda _: SmallConstraint(ranked))


def answers(engine: Batched | Naive, prompts: list[Prompt]) -> dict[str, tuple[int, ...]]:
    return {c.work_key: c.tokens for c in engine.run(prompts)}


prompts_strategy = st.lists(
    st.tuples(
        st.lists(st.sampled_from(PREFIXES), max_size=3),
        st.binary(max_size=80),
        st.integers(1, 60),
        st.sampled_from([0.0, 0.8]),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(prompts_strategy, st.integers(1, 6), st.integers(192, 300), st.booleans(), st.booleans())
def test_batched_and_naive_give_the_same_answers(
    items: list[tuple[list[bytes], bytes, int, float]], slots: int, batch: int, ranked: bool, forced: bool
) -> None:
    prompts = [prompt(i, *item) for i, item in enumerate(items)]
    fast = batched(ranked, slots=slots, batch=batch, forced=forced)
    slow = naive(ranked)
    assert answers(fast, prompts) == answers(slow, prompts)


def test_logprobs_and_gaps_do_not_depend_on_the_batch_either() -> None:
    prompts = [prompt(i, PREFIXES[: i % 3], b"text") for i in range(9)]
    fast = {c.work_key: c for c in batched(forced=False).run(prompts)}
    for slow in naive().run(prompts):
        assert fast[slow.work_key].logprobs == pytest.approx(slow.logprobs)
        assert fast[slow.work_key].removed == pytest.approx(slow.removed, abs=1e-9)
        assert fast[slow.work_key].gaps == pytest.approx(slow.gaps)


def test_a_shared_prefix_is_decoded_once() -> None:
    prompts = [prompt(i, [PREFIXES[1]], b"doc") for i in range(8)]
    counts = [c.counts for c in batched().run(prompts)]
    own = len(b"doc #0")
    assert sum(c.prefilled for c in counts) == len(PREFIXES[1]) + 8 * own
    assert sum(c.reused for c in counts) == 7 * len(PREFIXES[1])


def test_forced_tokens_are_counted_and_cost_no_sampling() -> None:
    with_forced = next(iter(batched(ranked=False).run([prompt(0, [], b"x")])))
    without = next(iter(batched(ranked=False, forced=False).run([prompt(0, [], b"x")])))
    assert with_forced.tokens == without.tokens
    assert with_forced.counts.forced > 10
    assert without.counts.forced == 0


def test_a_prompt_that_cannot_fit_is_answered_too_long_and_the_others_go_on() -> None:
    prompts = [prompt(0, [], b"x" * 700), prompt(1, [], b"x")]
    stops = {c.work_key: c.stop for c in batched().run(prompts)}
    assert stops == {"key-0": Stop.TOO_LONG, "key-1": Stop.END}


def test_an_answer_that_spends_its_budget_stops_with_length() -> None:
    completion = next(iter(batched().run([prompt(0, [], b"x", budget=9)])))
    assert completion.stop is Stop.LENGTH
    assert len(completion.tokens) == 9


def test_more_prefixes_than_holders_are_evicted_and_come_back() -> None:
    prompts = [prompt(i, [b"prefix %d" % (i % 7)], b"doc") for i in range(28)]
    engine = batched(slots=2)
    assert answers(engine, prompts) == answers(naive(), prompts)


@settings(max_examples=40, deadline=None)
@given(prompts_strategy, st.lists(st.integers(0, 30), min_size=12, max_size=12), st.integers(1, 4))
def test_prompts_that_are_not_there_yet_change_no_answer(
    items: list[tuple[list[bytes], bytes, int, float]], gaps: list[int], slots: int
) -> None:
    prompts = [prompt(i, *item) for i, item in enumerate(items)]
    coming = [each for gap, one in zip(gaps, prompts, strict=False) for each in (*[None] * gap, one)]
    left = iter(coming)
    engine = batched(slots=slots)
    fast: dict[str, tuple[int, ...]] = {}
    while len(fast) < len(prompts):  # with nothing to do it ends its run
        fast |= {c.work_key: c.tokens for c in engine.run(left)}

    assert fast == answers(naive(), prompts)


def test_answers_are_finished_while_no_other_prompt_is_there() -> None:
    done: list[str] = []
    calls: list[int] = []  # when it was asked for a prompt that was not there
    engine = batched(slots=3)

    def source() -> Iterator[Prompt | None]:
        yield from (prompt(i, [], b"x") for i in range(2))
        while len(done) < 2:
            calls.append(engine.calls)
            yield None
        yield prompt(2, [], b"x")

    for completion in engine.run(source()):
        done.append(completion.work_key)
    assert sorted(done) == ["key-0", "key-1", "key-2"]
    assert calls == [*range(len(calls))]  # a call each time
    assert len(calls) > 2


def test_draining_finishes_what_was_begun_and_begins_nothing() -> None:
    pulled: list[int] = []

    def source() -> object:
        for i in range(50):
            pulled.append(i)
            yield prompt(i, [], b"x")

    done = []

    def stop() -> Halt:
        return Halt.DRAIN if done else Halt.NO

    for completion in batched(slots=3).run(source(), stop):
        done.append(completion.work_key)
    assert len(done) == len(pulled)
    assert len(pulled) < 10


def test_an_abandoned_run_leaves_the_engine_usable() -> None:
    engine = batched()
    run = engine.run([prompt(i, [PREFIXES[0]], b"x") for i in range(9)])
    next(iter(run))
    run.close()
    prompts = [prompt(i, [PREFIXES[0]], b"y") for i in range(9)]
    assert answers(engine, prompts) == answers(naive(), prompts)


def test_a_wrong_slot_would_be_seen() -> None:
    """The scripted backend's answers depend on every visible token and position."""
    prompts = [prompt(i, [PREFIXES[0]], b"x") for i in range(6)]
    right = answers(batched(), prompts)

    class Crossed(Scripted):
        def copy(self, source: int, target: int, end: int | None = None) -> None:
            super().copy(source, target, end)
            if self._length[target] == len(PREFIXES[0]):
                self._value[0] += np.uint64(1)

    engine = Batched(
        Crossed(BYTES, cells=560 + MOST_CELLS, max_batch=256),
        lambda _: SmallConstraint(),
        slots=4,
        forks=MOST_FORKS,
        fork_cells=MOST_CELLS,
    )
    assert answers(engine, prompts) != right


def test_the_scripted_backend_refuses_what_llama_cpp_would_abort_on() -> None:
    from pipeline.batching import Row

    backend = Scripted(BYTES, cells=4, max_batch=8)
    with pytest.raises(EngineError, match="position"):
        backend.decode([Row(1, 1, (0,))])
    backend.decode([Row(1, i, (0,)) for i in range(4)])
    with pytest.raises(EngineError, match="full"):
        backend.decode([Row(1, 4, (0,))])


def test_a_grammar_that_gives_up_costs_its_own_answer_only() -> None:
    from pipeline.errors import AnswerError, SchemaError

    class Tired(small_grammar.SmallCursor):
        def mask(self) -> object:
            if len(self.text) > 10:
                raise AnswerError("too complex")
            return super().mask()

    class Mixed:
        def __init__(self, name: str) -> None:
            self.name = name

        def start(self) -> object:
            return Tired(True) if self.name == "tired" else small_grammar.SmallCursor(True)

    def compile(spec: ConstraintSpec) -> Mixed:
        if spec.schema == "bad":
            raise SchemaError("no")
        return Mixed(spec.schema)

    names = ["fine", "tired", "bad", "fine", "tired"]
    prompts = [
        Prompt(f"key-{i}", (Segment.of(list(b"text")),), ConstraintSpec(name), 60) for i, name in enumerate(names)
    ]
    fast = Batched(
        Scripted(BYTES, cells=560 + MOST_CELLS),
        compile,
        slots=2,
        forks=MOST_FORKS,
        fork_cells=MOST_CELLS,
        forced_tokens=False,
    )
    slow = Naive(Scripted(BYTES, cells=560 + MOST_CELLS), compile)
    expected = [Stop.END, Stop.GRAMMAR, Stop.GRAMMAR, Stop.END, Stop.GRAMMAR]
    for engine in (fast, slow):
        stops = {c.work_key: c.stop for c in engine.run(prompts)}
        assert [stops[f"key-{i}"] for i in range(5)] == expected


class Endless:
    """Allows two letters, 300 times."""

    def start(self) -> Endless:
        self.left = 300
        return self

    def mask(self) -> np.ndarray:
        bits = np.zeros((len(BYTES.pieces) + 31) // 32, np.uint32)
        bits[3] = 0b110  # a, b
        return bits.view(np.int32)

    def forced(self) -> tuple[int, ...]:
        return ()

    def candidates(self) -> Candidates:
        return NO_CANDIDATES

    def continuation(self, most: int) -> tuple[int, ...]:
        return ()

    def commit(self, token: int) -> None:
        self.left -= 1

    def done(self) -> bool:
        return self.left == 0


def test_a_comparison_does_not_wait_for_answers_that_go_on_and_on() -> None:
    engine = Batched(
        Scripted(BYTES, cells=1500 + 2 * MOST_CELLS, max_batch=200, max_outputs=200),
        lambda wanted: Endless() if wanted.schema == "endless" else SmallConstraint(True),
        slots=3,
        forks=2 * MOST_FORKS,
        fork_cells=2 * MOST_CELLS,
    )
    long = [Prompt(f"long {n}", (Segment.of([n]),), ConstraintSpec("endless"), 400) for n in (1, 2)]

    ended = [completion.work_key for completion in engine.run([*long, prompt(0, [], b"text")])]

    assert ended == ["key-0", "long 1", "long 2"]

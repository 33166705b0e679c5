from __future__ import annotations

import dataclasses
import importlib
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.batching import Halt
from pipeline.data import Completion, ConstraintSpec, Prompt, Segment, Stop
from pipeline.engines import replica as replica_module
from pipeline.engines.child import AHEAD, ChildEngine
from pipeline.engines.replica import Replica
from pipeline.engines.serving import serve
from pipeline.engines.shape import Resolved
from pipeline.engines.sizes import Sizes
from pipeline.engines.spec import EngineSpec
from pipeline.errors import ChildFailed, ModelFileError

SCHEMA = '{"type": "object", "properties": {"a": {"type": "string", "maxLength": 12}, "b": {"type": "boolean"}}}'
SPEC = EngineSpec(None, "batched", "llguidance", Resolved(3, 0, 0, Sizes(2048, 16, 256, 64, 256, threads=1)))


def prompt(number: int, text: bytes = b"text") -> Prompt:
    segments = (Segment.of(list(b"shared prefix "), shared=True), Segment.of(list(text + b" %d" % number)))
    return Prompt(f"key-{number}", segments, ConstraintSpec(SCHEMA), 80)


@pytest.fixture
def engine() -> Iterator[ChildEngine]:
    engine = ChildEngine(SPEC)
    yield engine
    engine.close()


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildEngine]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    faults = importlib.import_module("child_faults")
    engine = ChildEngine(SPEC, target=faults.serve_faulty)
    yield engine
    engine.close()
    sys.modules.pop("child_faults")


def in_process(prompts: list[Prompt]) -> dict[str, tuple[int, ...]]:
    return {c.work_key: c.tokens for c in SPEC.build().run(prompts)}


def test_a_child_answers_what_an_engine_in_this_process_answers(engine: ChildEngine) -> None:
    prompts = [prompt(i) for i in range(40)]
    assert {c.work_key: c.tokens for c in engine.run(prompts)} == in_process(prompts)
    assert engine.calls > 0


def test_a_child_serves_one_run_after_the_other(engine: ChildEngine) -> None:
    for start in (0, 10, 20):
        prompts = [prompt(i) for i in range(start, start + 7)]
        assert {c.work_key: c.tokens for c in engine.run(prompts)} == in_process(prompts)


def test_prompts_are_pulled_only_a_little_ahead(engine: ChildEngine) -> None:
    pulled = []

    def source() -> Iterator[Prompt]:
        for i in range(200):
            pulled.append(i)
            yield prompt(i)

    run = engine.run(source())
    next(run)
    assert len(pulled) <= 2 * (SPEC.shape.slots + AHEAD)  # in the place of each that has arrived, another one
    run.close()


def test_the_next_prompts_are_on_their_way_when_answers_are_handed_over(engine: ChildEngine) -> None:
    pulled = []

    def source() -> Iterator[Prompt]:
        for i in range(60):
            pulled.append(i)
            yield prompt(i)

    for _ in engine.run(source()):
        if len(pulled) < 60:
            assert len(engine._replicas[0].prompts) == SPEC.shape.slots + AHEAD


def test_what_was_finished_is_handed_over_before_an_error_in_making_the_next_prompt(engine: ChildEngine) -> None:
    def source() -> Iterator[Prompt]:
        yield from (prompt(i) for i in range(SPEC.shape.slots + AHEAD))
        raise OSError

    run = engine.run(source())
    assert next(run).stop is Stop.END
    with pytest.raises(OSError):
        list(run)


def test_a_child_finishes_what_it_was_given_while_the_next_prompt_is_being_made(engine: ChildEngine) -> None:
    child = engine._replicas[0].child
    given = SPEC.shape.slots - 1

    def source() -> Iterator[Prompt]:
        yield from (prompt(i) for i in range(given))
        until = time.monotonic() + 60
        while len(child._inbox) < 1 + given and time.monotonic() < until:  # the first message: it is built
            child._glance(0.1)
        assert len(child._inbox) == 1 + given
        yield prompt(given)

    assert len(list(engine.run(source()))) == given + 1


def test_an_item_that_aborts_the_engine_is_poison_and_the_others_are_answered(faulty: ChildEngine) -> None:
    prompts = [prompt(i, b"#abort#" if i == 5 else b"text") for i in range(12)]
    done = {c.work_key: c for c in faulty.run(prompts)}
    assert done["key-5"].stop is Stop.POISON
    assert {k: c.tokens for k, c in done.items() if k != "key-5"} == {
        k: v for k, v in in_process(prompts).items() if k != "key-5"
    }
    assert faulty.restarts == 3


def test_a_child_that_hangs_is_ended_and_its_work_done_again(
    faulty: ChildEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "LOADING", 4.0)
    monkeypatch.setattr(replica_module, "LEAST_PATIENCE", 1.0)
    monkeypatch.setattr(replica_module, "PATIENCE", 0.0)
    prompts = [prompt(i, b"#hang#" if i == 2 else b"text") for i in range(4)]
    done = {c.work_key: c.stop for c in faulty.run(prompts)}
    assert done == {"key-0": Stop.END, "key-1": Stop.END, "key-2": Stop.POISON, "key-3": Stop.END}


def test_a_slow_model_may_be_silent_for_longer_than_a_quick_one() -> None:
    replica = Replica(SPEC, serve)
    assert replica.patience == replica_module.LOADING
    replica._built, replica._rows = True, 1000
    replica.waited(1.0)  # a millisecond a token
    assert replica.patience == replica_module.LEAST_PATIENCE
    replica.waited(999.0)  # a second
    assert replica.patience == replica_module.PATIENCE * SPEC.shape.sizes.max_batch


def test_a_large_model_has_longer_for_its_first_call(tmp_path: Path) -> None:
    model = tmp_path / "large.gguf"
    with model.open("wb") as file:
        file.truncate(40 << 30)  # holes: it takes no room
    spec = dataclasses.replace(SPEC, model=model)
    assert Replica(spec, serve).patience > 4 * replica_module.LOADING


def test_a_bug_in_the_child_is_told_without_the_documents_text(faulty: ChildEngine) -> None:
    with pytest.raises(ChildFailed) as caught:
        list(faulty.run([prompt(0, b"#bug#")]))
    assert "secret" not in str(caught.value)
    assert "ValueError" in str(caught.value)


def test_draining_ends_with_what_was_begun(engine: ChildEngine) -> None:
    done: list[str] = []
    for completion in engine.run((prompt(i) for i in range(500)), lambda: Halt.DRAIN if done else Halt.NO):
        done.append(completion.work_key)
    assert 1 <= len(done) <= 1 + 2 * (SPEC.shape.slots + AHEAD)
    prompts = [prompt(i) for i in range(3)]
    assert {c.work_key: c.tokens for c in engine.run(prompts)} == in_process(prompts)


def test_stopping_now_drops_what_is_unfinished_and_the_engine_goes_on_later(engine: ChildEngine) -> None:
    done: list[str] = []
    for completion in engine.run((prompt(i) for i in range(500)), lambda: Halt.NOW if done else Halt.NO):
        done.append(completion.work_key)
    assert len(done) < 30
    prompts = [prompt(i) for i in range(3)]
    assert {c.work_key: c.tokens for c in engine.run(prompts)} == in_process(prompts)


def test_what_is_wrong_with_the_model_arrives_as_itself(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but no more")
    engine = ChildEngine(EngineSpec(broken, "batched", "llguidance", SPEC.shape))
    with pytest.raises(ModelFileError):
        list(engine.run([prompt(0)]))
    engine.close()


# --- several processes


@pytest.fixture
def replicas(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], ChildEngine]]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    faults = importlib.import_module("child_faults")
    made: list[ChildEngine] = []

    def make(number: int) -> ChildEngine:
        spec = dataclasses.replace(SPEC, shape=dataclasses.replace(SPEC.shape, replicas=number))
        made.append(ChildEngine(spec, target=faults.serve_faulty))
        return made[-1]

    yield make
    for engine in made:
        engine.close()
    sys.modules.pop("child_faults")


def test_replicas_answer_what_one_engine_answers_and_all_of_them_work(
    replicas: Callable[[int], ChildEngine],
) -> None:
    engine = replicas(3)
    prompts = [prompt(i) for i in range(60)]
    answers = {c.work_key: c.tokens for c in engine.run(prompts)}
    assert answers == in_process(prompts)
    assert all(replica.calls for replica in engine._replicas)
    again = [prompt(i) for i in range(60, 65)]
    assert {c.work_key: c.tokens for c in engine.run(again)} == in_process(again)


def test_a_killed_replica_loses_nothing_and_the_others_go_on(replicas: Callable[[int], ChildEngine]) -> None:
    engine = replicas(2)
    prompts = [prompt(i) for i in range(60)]
    answers = {}
    for completion in engine.run(prompts):
        assert completion.work_key not in answers
        answers[completion.work_key] = completion.tokens
        if len(answers) == 10:
            os.kill(engine._replicas[0].child._started().pid, signal.SIGKILL)
    assert answers == in_process(prompts)
    assert [replica.retired for replica in engine._replicas] == [True, False]


def test_the_last_replica_is_started_again(replicas: Callable[[int], ChildEngine]) -> None:
    engine = replicas(2)
    prompts = [prompt(i) for i in range(80)]
    answers, killed = {}, []
    for completion in engine.run(prompts):
        answers[completion.work_key] = completion.tokens
        victim = engine._living()[0]
        if len(answers) >= 5 and victim not in killed:  # the other one when the first is known to be gone
            killed.append(victim)
            os.kill(victim.child._started().pid, signal.SIGKILL)
    assert answers == in_process(prompts)
    assert engine.restarts == 1


def test_an_item_that_aborts_replicas_is_poison_and_the_others_are_answered(
    replicas: Callable[[int], ChildEngine],
) -> None:
    engine = replicas(2)
    prompts = [prompt(i, b"#abort#" if i == 5 else b"text") for i in range(30)]
    done = {c.work_key: c for c in engine.run(prompts)}
    assert [key for key, c in done.items() if c.stop is Stop.POISON] == ["key-5"]
    innocent = {k: v for k, v in in_process(prompts).items() if k != "key-5"}
    assert {k: c.tokens for k, c in done.items() if k != "key-5"} == innocent
    assert engine.restarts == 3


def test_what_was_in_two_crashes_has_nothing_beside_it_in_its_process(
    replicas: Callable[[int], ChildEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = []
    recover = ChildEngine._recover

    def spy(self: ChildEngine, replica: Replica, *args: object) -> Iterator[Completion]:
        beside.append(len(replica.prompts))
        return recover(self, replica, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(ChildEngine, "_recover", spy)
    list(replicas(2).run([prompt(i, b"#abort#" if i == 3 else b"text") for i in range(40)]))
    assert len(beside) == 3
    assert beside[2] == 1


def test_the_work_that_a_slow_replica_has_not_begun_goes_to_the_others(
    replicas: Callable[[int], ChildEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow one waits until it has given work back, or for a minute."""
    went: dict[str, list[Replica]] = defaultdict(list)
    send = Replica.send

    def spy(self: Replica, prompt: Prompt, answer: float) -> None:
        went[prompt.work_key].append(self)
        send(self, prompt, answer)

    monkeypatch.setattr(Replica, "send", spy)
    engine = replicas(2)
    prompts = [prompt(i, b"#slow#" if i == 0 else b"text") for i in range(40)]
    assert sorted(c.work_key for c in engine.run(prompts)) == sorted(p.work_key for p in prompts)
    assert [*engine._replicas] in went.values()


def test_a_prompt_goes_where_its_document_is_unless_too_much_waits_there() -> None:
    here, there = (Replica(SPEC, serve) for _ in range(2))
    here.child.send = there.child.send = lambda message: None  # type: ignore[method-assign]
    document = Segment.of(list(b"x" * 100), shared=True)

    def question(number: int) -> Prompt:
        return Prompt(f"key-{number}", (document, Segment.of(list(b"what?"))), ConstraintSpec(SCHEMA), 20)

    here.send(question(0), answer=20)
    assert here.load == 125
    assert here.cost(question(1), 20) == 25
    assert there.cost(question(1), 20) == 125
    here.send(question(1), answer=20)
    assert here.load + here.cost(question(2), 20) > there.load + there.cost(question(2), 20)


def test_draining_replicas_ends_with_what_was_begun(replicas: Callable[[int], ChildEngine]) -> None:
    engine = replicas(2)
    done: list[str] = []
    for completion in engine.run((prompt(i) for i in range(500)), lambda: Halt.DRAIN if done else Halt.NO):
        done.append(completion.work_key)
    assert 1 <= len(done) <= 1 + 4 * (SPEC.shape.slots + AHEAD)

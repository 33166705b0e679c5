from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.batching import Halt
from pipeline.data import ConstraintSpec, Prompt, Segment, Stop
from pipeline.engines import child as child_module
from pipeline.engines.child import ChildEngine
from pipeline.engines.shape import Resolved
from pipeline.engines.sizes import Sizes
from pipeline.engines.spec import EngineSpec
from pipeline.errors import ChildFailed, ModelFileError
from pipeline.supervise import Supervised

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
    engine = ChildEngine(SPEC)
    engine._child = Supervised(faults.serve_faulty, SPEC, name="engine")
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
    assert len(pulled) <= SPEC.shape.slots + child_module.AHEAD + 1
    run.close()


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
    monkeypatch.setattr(child_module, "LOADING", 4.0)
    monkeypatch.setattr(child_module, "LEAST_PATIENCE", 1.0)
    monkeypatch.setattr(child_module, "PATIENCE", 0.0)
    prompts = [prompt(i, b"#hang#" if i == 2 else b"text") for i in range(4)]
    done = {c.work_key: c.stop for c in faulty.run(prompts)}
    assert done == {"key-0": Stop.END, "key-1": Stop.END, "key-2": Stop.POISON, "key-3": Stop.END}


def test_a_bug_in_the_child_is_told_without_the_documents_text(faulty: ChildEngine) -> None:
    with pytest.raises(ChildFailed) as caught:
        list(faulty.run([prompt(0, b"#bug#")]))
    assert "secret" not in str(caught.value)
    assert "ValueError" in str(caught.value)


def test_draining_ends_with_what_was_begun(engine: ChildEngine) -> None:
    done: list[str] = []
    for completion in engine.run((prompt(i) for i in range(500)), lambda: Halt.DRAIN if done else Halt.NO):
        done.append(completion.work_key)
    assert 1 <= len(done) <= 1 + 2 * (SPEC.shape.slots + child_module.AHEAD)
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

"""Constraints compiled ahead: the same results, one thread, a few at a time; what fails costs its own answer only."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator

import pytest

from pipeline.data import Completion, ConstraintSpec, Prompt, Segment, Stop
from pipeline.engines.ahead import MOST, Ahead
from pipeline.engines.batched import Batched
from pipeline.engines.child import ChildEngine
from pipeline.engines.serving import serve
from pipeline.engines.shape import Resolved
from pipeline.engines.sizes import Sizes
from pipeline.engines.spec import EngineSpec
from pipeline.errors import SchemaError
from pipeline.schema import TaskSchema
from pipeline.supervise import Closed

SPECS = [ConstraintSpec("{}", f"text {number}") for number in range(9)]


class Compiler:
    """Says what it was asked for and where, and waits for a sign."""

    def __init__(self) -> None:
        self.asked: list[ConstraintSpec] = []
        self.threads: set[int] = set()
        self.go = threading.Event()

    def __call__(self, spec: ConstraintSpec) -> ConstraintSpec:
        self.asked.append(spec)
        self.threads.add(threading.get_ident())
        assert self.go.wait(30)
        if spec.source == "text 1":
            raise SchemaError("no")
        return spec


@pytest.fixture
def compiler() -> Compiler:
    return Compiler()


@pytest.fixture
def ahead(compiler: Compiler) -> Iterator[Ahead]:
    ahead = Ahead(compiler)
    yield ahead
    compiler.go.set()
    ahead.close()


def test_without_a_word_of_what_comes_next_it_is_the_compiler(ahead, compiler):
    compiler.go.set()
    assert ahead(SPECS[0]) is SPECS[0]
    assert compiler.threads == {threading.get_ident()}


def test_what_comes_next_is_compiled_elsewhere_once_and_in_order(ahead, compiler):
    ahead.prepare(SPECS[:3])
    ahead.prepare(SPECS[:3])
    assert threading.get_ident() not in compiler.threads
    compiler.go.set()
    assert ahead(SPECS[0]) is SPECS[0]
    assert ahead(SPECS[2]) is SPECS[2]
    assert ahead(SPECS[8]) is SPECS[8]  # not prepared, and compiled in the same thread all the same
    assert compiler.asked == [*SPECS[:3], SPECS[8]]
    assert len(compiler.threads) == 1


def test_an_error_comes_where_its_constraint_is_asked_for(ahead, compiler):
    ahead.prepare(SPECS[:3])
    compiler.go.set()
    assert ahead(SPECS[0]) is SPECS[0]
    assert ahead(SPECS[2]) is SPECS[2]
    with pytest.raises(SchemaError):
        ahead(SPECS[1])


def test_only_a_few_wait_and_what_is_no_longer_wanted_is_not_compiled(ahead, compiler):
    ahead.prepare(SPECS)
    ahead.prepare([SPECS[0], SPECS[5]])
    compiler.go.set()
    assert ahead(SPECS[5]) is SPECS[5]
    assert compiler.asked == [SPECS[0], SPECS[5]]
    assert len(SPECS) > MOST


def pointed(number: int) -> Prompt:
    node = {"type": "string", "maxLength": 20, "x-nightdesk": {"extractive": True}}
    text = f"Harbour Lights {number}\n9 Quay Parade\nTotal {number}.00"
    bad = number % 5 == 3
    schema = (
        '{"type": "nonsense"}'
        if bad
        else TaskSchema.from_json({"type": "object", "properties": {"v": node}}).json_schema
    )
    spec = ConstraintSpec(schema, None if bad else text)
    return Prompt(f"key-{number}", (Segment.of(list(text.encode())),), spec, 40)


SPEC = EngineSpec(None, "batched", "llguidance", Resolved(2, 0, 0, Sizes(512, 16, 256, 64, 256, threads=1)))


def told(completions: Iterator[Completion]) -> dict[str, tuple[Stop, tuple[int, ...], tuple[float, ...]]]:
    return {c.work_key: (c.stop, c.tokens, c.logprobs) for c in completions}


def test_in_a_child_the_answers_are_the_same_with_it_without_it_and_as_the_slow_twins():
    spec = SPEC
    found = []
    for one in (spec, dataclasses.replace(spec, compile_ahead=False)):
        engine = ChildEngine(one)
        found.append(told(engine.run([pointed(i) for i in range(12)])))
        engine.close()
    slow = told(dataclasses.replace(spec, engine="naive").build().run([pointed(i) for i in range(12)]))

    assert found[0] == found[1]
    assert {key: one[:2] for key, one in found[0].items()} == {key: one[:2] for key, one in slow.items()}
    assert [found[0][f"key-{i}"][0] for i in range(5)] == [Stop.END] * 3 + [Stop.GRAMMAR, Stop.END]


def test_the_child_tells_between_two_calls_which_prompts_wait(monkeypatch):
    waiting: list[list[str]] = []
    monkeypatch.setattr(Batched, "prepare", lambda _, prompts: waiting.append([p.work_key for p in prompts]))

    class Line:
        """A channel in memory: everything has arrived."""

        def __init__(self) -> None:
            self.messages: list[object] = [*map(pointed, (0, 1, 2, 4))]

        def poll(self) -> bool:
            return bool(self.messages)

        def recv(self) -> object:
            if not self.messages:
                raise Closed
            return self.messages.pop(0)

        def send(self, _message: object) -> None: ...

        def beat(self) -> None: ...

    serve(Line(), SPEC)  # type: ignore[arg-type]
    assert ["key-2", "key-4"] in waiting  # two are in the slots
    assert waiting[-1] == []

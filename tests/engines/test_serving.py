"""The child's side of an engine: it waits for prompts only when it has nothing else to do."""

from __future__ import annotations

import dataclasses
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batching import Halt
from pipeline.data import Completion, ConstraintSpec, Prompt, Segment
from pipeline.engines.serving import Ask, GivenBack, serve
from pipeline.engines.shape import Resolved
from pipeline.engines.sizes import Sizes
from pipeline.engines.spec import EngineSpec
from pipeline.supervise import Closed

SCHEMA = '{"type": "object", "properties": {"a": {"type": "string", "maxLength": 6}, "b": {"type": "boolean"}}}'
SPEC = EngineSpec(None, "batched", "llguidance", Resolved(3, 0, 0, Sizes(1024, 16, 256, 64, 256, threads=1)))


def prompt(number: int) -> Prompt:
    segments = (Segment.of(list(b"shared prefix "), shared=True), Segment.of(list(b"text %d" % number)))
    return Prompt(f"key-{number}", segments, ConstraintSpec(SCHEMA), 60)


class Line:
    """A channel in memory: each message is there after so many questions whether it is.

    Reading before that waits for it; `open_when_waiting` says which prompts had no answer then. It ends with Closed.
    """

    def __init__(self, *coming: tuple[int, Prompt | Halt | Ask]) -> None:
        self._coming = deque(coming)
        self._open: set[str] = set()
        self.open_when_waiting: list[set[str]] = []
        self.answers: dict[str, tuple[int, ...]] = {}
        self.halted = 0
        self.given_back: list[str] = []

    def poll(self) -> bool:
        if not self._coming:
            return False
        questions, message = self._coming[0]
        self._coming[0] = (max(0, questions - 1), message)
        return not questions

    def recv(self) -> Prompt | Halt | Ask:
        if not self._coming or self._coming[0][0]:
            self.open_when_waiting.append({*self._open})
        if not self._coming:
            raise Closed
        _, message = self._coming.popleft()
        if isinstance(message, Prompt):
            self._open.add(message.work_key)
        return message

    def send(self, message: GivenBack | tuple[Completion | None, int]) -> None:
        if isinstance(message, GivenBack):
            self.given_back += message.keys
            self._open -= {*message.keys}
        elif message[0] is None:
            self.halted += 1
        else:
            self.answers[message[0].work_key] = message[0].tokens
            self._open.remove(message[0].work_key)

    def beat(self) -> None: ...


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=8), st.sampled_from(["batched", "naive"]))
def test_it_waits_for_a_prompt_only_when_every_other_one_is_answered(gaps: list[int], engine: str) -> None:
    spec = dataclasses.replace(SPEC, engine=engine)
    prompts = [prompt(i) for i in range(len(gaps))]
    line = Line(*zip(gaps, prompts, strict=True))

    serve(line, spec)  # type: ignore[arg-type]

    assert not any(line.open_when_waiting)
    assert line.answers == {c.work_key: c.tokens for c in SPEC.build().run(prompts)}
    assert line.halted == 0


@pytest.mark.parametrize("when", [0, 3])
def test_a_halt_is_told_once_and_what_comes_after_it_is_answered(when: int) -> None:
    line = Line(*((0, prompt(i)) for i in range(2)), (when, Halt.DRAIN), (0, prompt(2)))

    serve(line, SPEC)  # type: ignore[arg-type]

    assert line.halted == 1
    assert "key-2" in line.answers
    assert len(line.answers) == (3 if when else 1)


def test_what_it_has_not_begun_is_given_back() -> None:
    line = Line(*((0, prompt(i)) for i in range(5)), (3, Ask.GIVE_BACK))

    serve(line, SPEC)  # type: ignore[arg-type]

    assert line.given_back == ["key-3", "key-4"]
    assert sorted(line.answers) == ["key-0", "key-1", "key-2"]

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from pipeline.data import ConstraintSpec, Prompt, Segment
from pipeline.planner import order, prompt_tokens


def prompt(task: int, document: int, *, document_first: bool) -> Prompt:
    doc, question = Segment.of([10, document]), Segment.of([20, task])
    if document_first:
        segments = (Segment.of([1, 2, *doc.tokens], shared=True), question)
    else:
        segments = (Segment.of(question.tokens, shared=True), doc)
    return Prompt(f"{task}/{document}", segments, ConstraintSpec("{}"), 10)


def keys(streams: list[list[Prompt]]) -> list[str]:
    return [p.work_key for p in order(iter(s) for s in streams)]


def test_tasks_that_read_the_document_first_take_turns_at_each_document() -> None:
    streams = [[prompt(t, d, document_first=True) for d in range(3)] for t in range(3)]

    assert keys(streams) == ["0/0", "1/0", "2/0", "0/1", "1/1", "2/1", "0/2", "1/2", "2/2"]


def test_a_task_that_is_further_on_joins_where_it_can() -> None:
    streams = [
        [prompt(0, d, document_first=True) for d in range(4)],
        [prompt(1, d, document_first=True) for d in (2, 3)],
    ]

    assert keys(streams) == ["0/0", "0/1", "0/2", "1/2", "0/3", "1/3"]


def test_tasks_with_a_prefix_of_their_own_stay_together() -> None:
    streams = [[prompt(t, d, document_first=False) for d in range(3)] for t in range(2)]

    assert keys(streams) == ["0/0", "0/1", "0/2", "1/0", "1/1", "1/2"]


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=8), max_size=4))
def test_every_prompt_is_given_once_and_each_stream_keeps_its_order(work: list[list[tuple[int, bool]]]) -> None:
    streams = [
        [prompt(100 * t + i, d, document_first=first) for i, (d, first) in enumerate(stream)]
        for t, stream in enumerate(work)
    ]

    given_out = keys(streams)

    assert sorted(given_out) == sorted(p.work_key for s in streams for p in s)
    for stream in streams:
        places = [given_out.index(p.work_key) for p in stream]
        assert places == sorted(places)


def test_only_one_prompt_of_each_stream_is_made_ahead() -> None:
    made = []

    def stream() -> Iterator[Prompt]:
        for d in range(10):
            made.append(d)
            yield prompt(0, d, document_first=False)

    merged = order([stream()])
    next(merged)
    assert made == [0]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=4), st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_the_costs_of_both_ways_are_those_of_the_segments(frames: list[int], chunks: list[int]) -> None:
    tasks_first = sum(frames) + sum(chunk for _ in frames for chunk in chunks)
    document_first = sum(chunk + sum(frames) for chunk in chunks)

    assert prompt_tokens(frames, chunks=len(chunks), tokens=sum(chunks)) == (tasks_first, document_first)

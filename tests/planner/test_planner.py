from __future__ import annotations

import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from pipeline.data import ConstraintSpec, Prompt, Segment
from pipeline.planner import order, prompt_tokens


def prompt(task: int, document: int, *, document_first: bool, sample: int = 0) -> Prompt:
    doc, question = Segment.of([10, document]), Segment.of([20, task])
    if document_first:
        segments = (Segment.of([1, 2, *doc.tokens], shared=True), question)
    else:
        segments = (Segment.of(question.tokens, shared=True), doc)
    name = f"{task}/{document}" + (f"/{sample}" if sample else "")
    return Prompt(name, segments, ConstraintSpec("{}"), 10)


def keys(streams: list[tuple[bool, list[int]]], samples: int = 0) -> list[str]:
    """What comes out of tasks that have these documents still to read."""
    made = []
    for task, (first, documents) in enumerate(streams):
        numbers = itertools.product(documents, range(samples + 1))
        made.append((first, iter([(d, prompt(task, d, document_first=first, sample=n)) for d, n in numbers])))
    return [p.work_key for p in order(made)]


def test_tasks_that_read_the_document_first_take_turns_at_each_document() -> None:
    streams = [(True, [0, 1, 2])] * 3

    assert keys(streams) == ["0/0", "1/0", "2/0", "0/1", "1/1", "2/1", "0/2", "1/2", "2/2"]


def test_a_task_that_is_further_on_joins_where_it_can() -> None:
    assert keys([(True, [0, 1, 2, 3]), (True, [2, 3])]) == ["0/0", "0/1", "0/2", "1/2", "0/3", "1/3"]


def test_a_task_that_lags_behind_catches_up_before_the_others_go_on() -> None:
    assert keys([(True, [11, 12]), (True, [11, 12]), (True, [10, 11, 12])]) == [
        "2/10",
        *("0/11", "1/11", "2/11"),
        *("0/12", "1/12", "2/12"),
    ]


def test_tasks_with_a_prefix_of_their_own_stay_together() -> None:
    assert keys([(False, [0, 1, 2])] * 2) == ["0/0", "0/1", "0/2", "1/0", "1/1", "1/2"]


def test_tasks_come_in_their_order_and_those_that_share_documents_with_the_first_of_them() -> None:
    streams = [(False, [0, 1]), (True, [0, 1]), (False, [0, 1]), (True, [0, 1])]

    assert keys(streams) == ["0/0", "0/1", "1/0", "3/0", "1/1", "3/1", "2/0", "2/1"]


pending = st.lists(st.integers(0, 12), unique=True).map(sorted)


@given(st.lists(pending, max_size=5), st.integers(0, 2))
def test_prompts_that_share_a_document_follow_each_other_whatever_is_done_already(
    tasks: list[list[int]], samples: int
) -> None:
    documents = [int(key.split("/")[1]) for key in keys([(True, one) for one in tasks], samples)]

    runs = [document for document, _ in itertools.groupby(documents)]
    assert len(runs) == len({*documents})


@given(st.lists(st.tuples(st.booleans(), pending), max_size=5), st.integers(0, 2))
def test_every_prompt_is_given_once_and_each_task_keeps_its_order(
    streams: list[tuple[bool, list[int]]], samples: int
) -> None:
    given_out = keys(streams, samples)

    for task, (_, documents) in enumerate(streams):
        own = [key for key in given_out if key.startswith(f"{task}/")]
        assert own == keys([(False, [])] * task + [(False, documents)], samples)
    assert len(given_out) == (samples + 1) * sum(len(documents) for _, documents in streams)


def test_only_one_prompt_of_each_stream_is_made_ahead() -> None:
    made = []

    def stream(task: int) -> Iterator[tuple[int, Prompt]]:
        for d in range(10):
            made.append((task, d))
            yield d, prompt(task, d, document_first=True)

    merged = order([(True, stream(0)), (True, stream(1))])
    next(merged)
    assert made == [(0, 0), (1, 0)]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=4), st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_the_costs_of_both_ways_are_those_of_the_segments(frames: list[int], chunks: list[int]) -> None:
    tasks_first = sum(frames) + sum(chunk for _ in frames for chunk in chunks)
    document_first = sum(chunk + sum(frames) for chunk in chunks)

    assert prompt_tokens(frames, chunks=len(chunks), tokens=sum(chunks)) == (tasks_first, document_first)

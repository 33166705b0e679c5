"""`--samples k`: further answers are drawn beside the one that counts, and cost what they write themselves."""

from __future__ import annotations

import json

import pytest

from pipeline.batching import Halt
from pipeline.config import Sampling
from pipeline.data import Completion, ConstraintSpec, Counts, Prompt, Segment, Stop
from pipeline.engines.naive import Naive
from pipeline.prompting import question_of, with_samples
from pipeline.store import Store

K = 3


def drawn(nights) -> dict[str, list[dict]]:
    return {key: json.loads(samples) for key, samples in nights.sql("SELECT work, samples FROM _extractions")}


def kept(nights) -> list[tuple]:
    return nights.sql("SELECT answer, raw FROM _extractions e JOIN _work w ON w.key = e.work ORDER BY w.text_hash")


def test_the_greedy_answer_remains_the_result(nights):
    nights.letters(4)
    nights.run()
    plain = kept(nights)
    nights.database.unlink()

    outcome = nights.run(sampling=Sampling(samples=K))

    assert kept(nights) == plain
    assert outcome.answered == outcome.recorded == 4
    assert outcome.summary.left == 0
    samples = drawn(nights)
    assert all(len(answers) == K for answers in samples.values())
    assert len({json.dumps(one) for answers in samples.values() for one in answers}) > K


def test_the_prompt_is_evaluated_once_for_all_answers(nights):
    nights.letters(5)
    plain = nights.run().summary.counts
    nights.database.unlink()

    counts = nights.run(sampling=Sampling(samples=K)).summary.counts

    assert counts.prefilled == plain.prefilled + 5 * K  # the last token of each prompt, once a sample
    assert counts.sampled > plain.sampled


@pytest.mark.parametrize("slots", [1, 2, 8])
def test_one_at_a_time_and_many_at_a_time_draw_the_same_samples(nights, slots):
    nights.letters(4)
    nights.run(sampling=Sampling(samples=K), engine="naive")
    slow = drawn(nights)
    nights.database.unlink()

    nights.run(sampling=Sampling(samples=K), shape={"slots": slots})

    assert drawn(nights) == slow


def test_the_number_of_samples_is_part_of_the_key_and_none_is_what_it_always_was(nights):
    nights.letters(2)
    nights.run()

    assert nights.run(sampling=Sampling(sample_temperature=0.9)).answered == 0
    assert nights.run(sampling=Sampling(samples=2)).answered == 2
    assert nights.run(sampling=Sampling(samples=2)).answered == 0
    assert nights.run(sampling=Sampling(samples=2, sample_temperature=0.9)).answered == 2


def test_a_night_that_ends_between_samples_keeps_none_of_that_answer_and_does_it_again(nights):
    nights.letters(6)
    looks = iter(range(10_000))
    first = nights.run(sampling=Sampling(samples=K), stop=lambda: Halt.DRAIN if next(looks) > 40 else Halt.NO)
    assert first.summary.left > 0

    nights.run(sampling=Sampling(samples=K))

    samples = drawn(nights)
    assert len(samples) == 6
    assert all(len(answers) == K for answers in samples.values())


def test_a_sample_that_cannot_be_answered_is_no_failure(nights, monkeypatch):
    plain = Naive._answer

    def all_but_the_second(self, prompt):
        if question_of(prompt.work_key)[1] == 2:
            return Completion(prompt.work_key, (), (), (), (), Counts(), Stop.POISON)
        return plain(self, prompt)

    nights.letters(1)
    monkeypatch.setattr(Naive, "_answer", all_but_the_second)
    outcome = nights.run(sampling=Sampling(samples=2), engine="naive")

    assert outcome.failures == []
    assert [len(answers) for answers in drawn(nights).values()] == [1]


def test_two_tasks_may_read_a_document_first_and_draw_samples(nights):
    for name in ("one", "two"):
        nights.task(name)
        file = nights.path / "prompts" / f"{name}.toml"
        file.write_text(file.read_text().replace("[options]\n", "[options]\ndocument_first = true\n"))
    nights.letters(3)

    outcome = nights.run(tasks=("one", "two"), sampling=Sampling(samples=K))

    assert outcome.recorded == 6
    with Store.open(nights.database, write=False) as store:
        assert all(task.pending == 0 for task in store.status())


def test_siblings_differ_from_their_prompt_in_name_and_temperature_only():
    segments = (Segment.of([1, 2], shared=True), Segment.of([3, 4, 5]))
    prompt = Prompt("key", segments, ConstraintSpec("{}"), 9, seed=4)

    first, *others = with_samples(prompt, Sampling(samples=2, sample_temperature=0.6))

    assert [question_of(p.work_key) for p in (first, *others)] == [("key", 0), ("key", 1), ("key", 2)]
    assert [p.temperature for p in (first, *others)] == [0.0, 0.6, 0.6]
    assert {p.segments for p in (first, *others)} == {first.segments}
    assert [t for s in first.segments for t in s.tokens] == [1, 2, 3, 4, 5]
    assert [len(s.tokens) for s in first.segments if not s.shared] == [1]
    assert list(with_samples(prompt, Sampling())) == [prompt]

"""Tune: what is clearly faster is kept for this model and host, within the memory, and changes no answer."""

from __future__ import annotations

import itertools
import stat
from dataclasses import replace
from pathlib import Path

import platformdirs
import pytest

from pipeline.batching.drafts import MOST
from pipeline.cli.tune_plot import svg
from pipeline.config import Shape
from pipeline.engines.scripted import Scripted
from pipeline.engines.shape import FEW, SLOTS, Demand, Machine, resolve
from pipeline.engines.trial import COLD, LONG, Pace, Trial, pace, sizes_for
from pipeline.models.byte_tokenizer import ByteTokenizer
from pipeline.models.gguf import Header
from pipeline.models.memory import estimate
from pipeline.run import tune as tune_module
from pipeline.run import tuned
from pipeline.run.tune import ALONE, BEHIND, DRAFTED, RIGHT, tune
from pipeline.run.tuned import Measured, Tuned
from tests.models.headers import THREE_BILLION

HEADER = replace(
    THREE_BILLION,
    parameters=100_000_000,
    size=100 << 20,
    tensor_bytes=100 << 20,
    block_count=8,
    context_length=8192,
    embedding_length=512,
    heads=8,
    head_count_kv=8,
    key_length=64,
    value_length=64,
    vocabulary_size=32_000,
    layer_bytes=(10 << 20,) * 8,
)
MACHINE = Machine(cores=4, free_memory=16 << 30)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    monkeypatch.setattr(tune_module, "sha256_of", lambda path: "ab" * 32)
    return tmp_path


def even(trial: Trial) -> Pace:
    return Pace(100.0, 50.0 / (1 + trial.drafted), 100.0)


def eight_slots_are_best(trial: Trial) -> Pace:
    return Pace(100.0, (80.0 if trial.slots == 8 else 50.0) / (1 + trial.drafted), 100.0)


def found(measure=even, machine: Machine = MACHINE, header: Header = HEADER, **options) -> Tuned:
    seconds, busy = options.pop("seconds", 90.0), options.pop("busy", lambda: 0.0)
    *_, last = tune(header, machine, seconds, busy=busy, measure=measure, **options)
    assert isinstance(last, Tuned)
    return last


def test_where_nothing_is_faster_the_defaults_stay() -> None:
    assert found().chosen == {}


def test_what_is_clearly_faster_is_chosen_and_what_is_hardly_faster_is_not() -> None:
    assert found(eight_slots_are_best).chosen == {"slots": 8}
    assert found(lambda trial: replace(even(trial), read=101.0 if trial.slots == 8 else 100.0)).chosen == {}


def test_the_type_of_the_cache_is_measured_and_never_chosen() -> None:
    result = found(lambda trial: replace(even(trial), read=500.0 if trial.sizes.kv_type == "q8_0" else 50.0))

    assert "kv_type" in {trial.name for trial in result.trials}
    assert result.chosen == {}


def drafts_cost(price: float):
    """Rows beside a row make a call so many times as dear; four answers write at a price of their own."""
    return lambda trial: Pace(100.0, 50.0 / (price * trial.slots if trial.drafted else 1), 100.0)


def test_drafts_are_chosen_for_as_many_answers_as_they_pay_for() -> None:
    assert found(drafts_cost(0.9)).chosen == {"drafts": 2}
    assert found(drafts_cost(0.4)).chosen == {"drafts": 4}
    assert found(drafts_cost(1 + MOST * RIGHT)).chosen == {}

    trials = [trial for trial in found(drafts_cost(9)).trials if "drafts" in trial.name]
    assert [trial.value for trial in trials] == [0, 1]  # what costs at one answer is not tried with more


def test_what_is_only_reckoned_of_drafts_is_called_so() -> None:
    without, drafting = (trial for trial in found().trials if "drafts" in trial.name)

    assert (without.name, drafting.name) == ("drafts", "drafts, if a third is right")


def test_every_setting_of_the_issue_is_tried() -> None:
    assert {trial.name for trial in found().trials} == {
        *(set(tuned.NAMES) - {"ubatch", "batch"}),
        f"ubatch, {ALONE}",
        f"batch, {ALONE}",
        BEHIND,
        DRAFTED,
        "kv_type",
    }


@pytest.mark.parametrize(("name", "value"), [("ubatch", 256), ("ubatch", 1024), ("batch", 512)])
def test_sizes_of_calls_are_chosen_by_a_prompt_that_has_several(name: str, value: int) -> None:
    def measure(trial: Trial) -> Pace:
        size = trial.sizes.ubatch if name == "ubatch" else trial.sizes.max_batch
        return replace(even(trial), cold=200.0 if trial.prefix == COLD and size == value else 100.0)

    assert found(measure).chosen == {name: value}
    assert 2 * Shape().ubatch <= COLD


def test_sizes_of_calls_are_not_chosen_by_documents_that_each_have_one() -> None:
    result = found(lambda trial: replace(even(trial), read=200.0 if trial.sizes.ubatch != 512 else 100.0))

    assert result.chosen == {}


def test_threads_are_kept_as_those_of_all_replicas_whatever_their_number_then_is() -> None:
    def two_processes_of_two_threads(trial: Trial) -> Pace:
        return replace(even(trial), read=200.0 if (trial.replicas, trial.sizes.threads) == (2, 2) else 100.0)

    result = found(two_processes_of_two_threads)
    assert result.chosen == {"replicas": 2}  # its threads are the cores, divided

    tuned.save(replace(result, chosen={"replicas": 2, "threads": 4}, llama_cpp="1"))
    for own, threads in ((Shape(), 2), (Shape(replicas=1), 4), (Shape(replicas=1, threads=3), 3)):
        shape, _ = tuned.applied(own, "ab" * 32, 4, "1", gpu=False)
        assert resolve(shape, HEADER, MACHINE, Demand(100, 200, 300, ranked=False)).sizes.threads == threads


@pytest.mark.parametrize("best", [FEW, 2 * FEW])
def test_answers_without_flash_attention_are_tried_behind_a_long_prompt(best: int) -> None:
    def measure(trial: Trial) -> Pace:
        prompts_only = trial.prefix == LONG and trial.sizes.prefill_cells and not trial.sizes.flash_attention
        return Pace(100.0, (80.0 if prompts_only and trial.slots == best else 50.0) / (1 + trial.drafted), 100.0)

    result = found(measure)
    assert result.chosen == {"flash_attention": "prompts", "slots": best}
    assert [t.value for t in result.trials if t.name == BEHIND].count("True, 16") == 2  # before and after it was beaten

    tuned.save(replace(result, llama_cpp="1"))
    shape, _ = tuned.applied(Shape(), "ab" * 32, 4, "1", gpu=False)
    assert (shape.flash_attention, shape.slots) == ("prompts", best)
    assert tuned.applied(Shape(slots=16), "ab" * 32, 4, "1", gpu=False) == (Shape(slots=16), "")
    for own in (Shape(flash_attention=True), Shape(kv_type="q8_0")):
        assert tuned.applied(own, "ab" * 32, 4, "1", gpu=False) == (own, "")
    shape, said = tuned.applied(Shape(), "ab" * 32, 4, "1", gpu=True)
    assert shape == Shape()
    assert "beside a GPU" in said


def test_what_cannot_leave_flash_attention_out_is_not_tried_without_and_has_the_usual_slots() -> None:
    sliding = replace(HEADER, sliding_window=1024)

    assert BEHIND not in {trial.name for trial in found(header=sliding).trials}
    shape = Shape(flash_attention="prompts")
    assert resolve(shape, sliding, MACHINE, Demand(100, 200, 300, ranked=False)).slots == SLOTS


@pytest.mark.parametrize("ranked", [True, False])
def test_without_flash_attention_for_answers_there_are_few_slots(ranked: bool) -> None:
    shape = Shape(flash_attention="prompts")

    assert resolve(shape, HEADER, MACHINE, Demand(100, 200, 300, ranked=ranked)).slots == FEW


def test_nothing_is_tried_that_needs_more_memory_than_is_free() -> None:
    asked = []
    machine = Machine(cores=4, free_memory=480 << 20)

    def measure(trial: Trial) -> Pace:
        asked.append(trial)
        return even(trial)

    result = found(measure, machine)

    assert all(estimate(HEADER, t.sizes).of(t.replicas) <= machine.free_memory for t in asked)
    assert [trial for trial in result.trials if trial.tokens is None]


def test_a_busy_machine_is_noticed_and_said() -> None:
    assert any("busy" in note for note in found(busy=lambda: 0.5).notes)
    assert found().notes == ()


@pytest.mark.parametrize("step", [40, -4])
def test_speeds_that_drift_choose_nothing(step: int) -> None:
    speeds = itertools.count(1000, step)
    result = found(lambda trial: Pace(float(next(speeds)), 1e6 / (1 + trial.drafted) ** 2, 100.0))

    assert result.chosen == {}


def test_what_is_faster_is_found_while_the_machine_drifts_and_the_drift_is_said() -> None:
    speeds = itertools.count(100)

    def measure(trial: Trial) -> Pace:
        quick = 2.0 if trial.slots == 8 else 1.0
        return Pace(next(speeds) * quick, 1e6 / (1 + trial.drafted) ** 2, 100.0)

    result = found(measure)
    assert result.chosen == {"slots": 8}
    assert result.tokens > 1.8 * result.before
    assert any("own speed moved" in note for note in result.notes)


def test_what_is_slower_than_the_defaults_in_turn_with_them_is_not_kept() -> None:
    asked = []

    def at_first(trial: Trial) -> Pace:
        asked.append(trial)
        quick = 2.0 if trial.slots == 8 and len(asked) < 12 else 1.0 if trial.slots == SLOTS else 0.5
        return Pace(100.0 * quick, 50.0 / (1 + trial.drafted), 100.0)

    result = found(at_first)
    assert asked[-1].slots == 8  # it was found, and ran in turn with the defaults
    assert result.chosen == {}
    assert any("so the defaults stay" in note for note in result.notes)


def test_when_the_time_is_over_the_rest_keeps_its_default() -> None:
    times = iter(range(0, 10_000, 10))
    result = found(clock=lambda: float(next(times)), seconds=35.0)

    assert len(result.trials) < 6
    assert any("time was over" in note for note in result.notes)


def test_what_was_found_comes_back_and_only_fills_what_is_open() -> None:
    file = tuned.save(replace(found(eight_slots_are_best), chosen={"slots": 8, "passive": True}, llama_cpp="1"))

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shape, said = tuned.applied(Shape(slots=3), "ab" * 32, 4, "1", gpu=False)
    assert (shape.slots, shape.passive) == (3, True)
    assert "passive True" in said
    assert "slots" not in said


def test_it_is_not_used_for_another_model_other_cores_or_another_llama_cpp() -> None:
    tuned.save(replace(found(eight_slots_are_best), llama_cpp="1"))

    shape, said = tuned.applied(Shape(), "cd" * 32, 4, "1", gpu=False)
    assert shape == Shape()
    assert "not tuned" in said
    assert tuned.applied(Shape(), "cd" * 32, 4, "1", gpu=True) == (Shape(), "")
    for cores, version in ((8, "1"), (4, "2")):
        shape, said = tuned.applied(Shape(), "ab" * 32, cores, version, gpu=False)
        assert shape == Shape()
        assert "not used" in said


def test_what_another_version_found_is_not_used() -> None:
    tuned.save(replace(found(eight_slots_are_best), version=tuned.VERSION - 1))

    assert tuned.load("ab" * 32) is None


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"chosen": {"slots": -1}}'])
def test_a_damaged_file_is_none(text: str) -> None:
    file = tuned.save(found(eight_slots_are_best))
    file.write_text(text)

    assert tuned.load("ab" * 32) is None
    assert tuned.reset("ab" * 32)
    assert not tuned.reset("ab" * 32)


@pytest.mark.parametrize(("slots", "batch", "drafted"), [(1, 256, 0), (1, 256, 6), (3, 256, 6), (8, 2048, 0)])
def test_a_trial_reads_and_writes_on_any_backend(slots: int, batch: int, drafted: int) -> None:
    sizes = sizes_for(slots, 1, 512, batch, "f16", flash_attention=True)
    backend = Scripted(
        ByteTokenizer().vocabulary,
        cells=sizes.cells,
        max_sequences=sizes.max_sequences,
        max_batch=sizes.max_batch,
        max_outputs=sizes.max_outputs,
    )
    times = iter(range(100_000))

    whole = pace(backend, slots, 1e6, lambda: float(next(times)), drafted)

    assert whole.read > 0
    assert whole.written > 0
    assert whole.cold > 0
    assert whole.tokens > 0


def test_the_plot_has_a_dot_for_every_number_of_slots() -> None:
    trials = [Measured("slots", n, 10.0 * n) for n in (1, 2, 16)] + [Measured("slots", 32, None)]
    picture = svg("a <model>", trials)

    assert picture.count("<circle") == 3
    assert "a &lt;model&gt;" in picture

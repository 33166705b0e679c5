"""What the benchmark computes from its cells."""

from __future__ import annotations

import dataclasses
import json

import pytest

from pipeline.data import Chunk
from tests.benchmarks import growth as growth_of_cost
from tests.benchmarks.bookkeeping import growth
from tests.benchmarks.cell import Deadline
from tests.benchmarks.host import complaints
from tests.benchmarks.results import Answer, Cell, common, handed_over, markdown, over_floor, per_hour, table
from tests.benchmarks.throughput import RIVALS, _backwards, _known, _measure, _parse, main, specs
from tests.benchmarks.workloads import Question

FACTS = {"model": "m", "model_sha256": "0", "commit": "a", "versions": {"numpy": "2"}, "cpu": "c"}


def answer(document: str, output: int = 10, *, valid: bool = True) -> Answer:
    return Answer(f"{document}/0/0", document, 0, 0, "{}", 100, output, ended=True, valid=valid, tokens=(1, 2))


def cell(name: str, number: int, done: str, seconds: float, **more) -> Cell:
    spec = {"workload": "W1", "alternative": name, "round": number}
    answers = tuple(answer(document) for document in done)
    return dataclasses.replace(Cell(spec, seconds=seconds, done=tuple(done), answers=answers), **more)


def question(document: str, task: int = 0) -> Question:
    return Question(document, task, Chunk(document, 0, 0, 1, "x"), 10)


def test_documents_an_hour_are_those_finished_over_the_seconds_they_took():
    assert per_hour(10, 20.0) == 1800
    assert per_hour(10, 0.0) == 0


def test_the_line_of_an_alternative_is_the_median_of_its_rounds_with_their_spread():
    cells = [
        cell("nightdesk", 1, "abcd", 4.0, prefilled=400, generated=80, calls=8, decode_seconds=3.0),
        cell("nightdesk", 2, "abcd", 2.0, prefilled=400, generated=80, calls=8, decode_seconds=1.0),
        cell("nightdesk", 3, "abcd", 8.0, prefilled=400, generated=80, calls=8, decode_seconds=7.0),
        cell("llama-cpp-python", 1, "ab", 4.0),
    ]
    ours, theirs = table(cells, {"W1-nightdesk-r1": (0.5, 0.25)})
    assert (ours.per_hour, ours.low, ours.high) == (3600, 1800, 7200)
    assert (ours.prefilled, ours.generated, ours.calls, ours.in_decode) == (100, 20, 2, 0.75)
    assert (ours.ratio, theirs.ratio) == (1, 2)
    assert (ours.f1, ours.common_f1, theirs.f1) == (0.5, 0.25, None)
    assert theirs.prefilled is None


def test_the_floor_stands_in_the_line_of_the_cell_it_replayed():
    ours = cell("nightdesk", 2, "abcd", 3.3)
    floors = [cell("floor", 1, "abcd", 9.0, decode_seconds=1.0), cell("floor", 2, "abcd", 9.0, decode_seconds=3.0)]
    assert over_floor(ours, floors) == pytest.approx(1.1)
    (line,) = table([ours, *floors], {})
    assert line.over_floor == pytest.approx(1.1)
    assert over_floor(ours, floors[:1]) is None


def test_an_alternative_that_could_not_run_is_a_line_with_its_reason():
    (line,) = table([Cell({"workload": "W1", "alternative": "outlines", "round": 1}, error="numba is missing")], {})
    assert line.rounds == 0
    assert "numba is missing" in markdown([line])
    assert "| - |" in markdown([line])


def test_a_failed_round_is_said_beside_the_good_one():
    cells = [
        cell("naive twin", 1, "ab", 4.0),
        Cell({"workload": "W1", "alternative": "naive twin", "round": 2}, error="x"),
    ]
    (line,) = table(cells, {})
    assert line.note == "1 of 2 rounds failed"


def test_a_busy_machine_is_said_in_the_line():
    (line,) = table([cell("nightdesk", 1, "ab", 4.0, busy=0.5)], {})
    assert "50% busy" in line.note


def test_common_documents_are_those_that_every_round_of_everybody_finished():
    cells = [cell("nightdesk", 1, "abcd", 1.0), cell("outlines", 1, "ab", 1.0), cell("floor", 1, "a", 1.0)]
    assert common([*cells, cell("server x1", 1, "", 1.0, error="gone")]) == {"a", "b"}


def test_the_table_has_as_many_cells_in_every_row():
    lines = markdown(table([cell("nightdesk", 1, "ab", 4.0)], {})).splitlines()
    assert {line.count("|") for line in lines} == {16}


def test_a_cell_is_read_as_it_was_saved_and_belongs_to_its_owner_only(tmp_path):
    before = cell("nightdesk, pointed", 1, "ab", 4.0, settings={"slots": 16}, calls=7)
    before.save(tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.name == "W1-nightdesk-pointed-r1.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert Cell.load(path) == before


def test_a_cell_that_was_measured_otherwise_is_measured_again(tmp_path):
    before = cell("nightdesk", 1, "ab", 4.0)
    before.save(tmp_path)
    assert _known(before.spec, tmp_path) == before
    assert _known({**before.spec, "seconds": 5}, tmp_path) is None


@pytest.mark.parametrize("change", [{"commit": "b"}, {"versions": {"numpy": "3"}}, {"cpu": "d"}, {"model_sha256": "1"}])
def test_a_cell_of_other_code_another_model_or_machine_is_measured_again(tmp_path, change):
    wanted = _parse(["--workload", "W2", "--rounds", "1", "--only", "nightdesk"])
    (before,) = specs(wanted, FACTS)
    Cell(before, seconds=1.0).save(tmp_path)
    (after,) = specs(wanted, {**FACTS, **change})
    assert _known(before, tmp_path) == Cell(before, seconds=1.0)
    assert _known(after, tmp_path) is None


def test_rivals_that_are_started_here_are_told_whether_to_use_flash_attention_and_only_they(tmp_path):
    def told(*more: str) -> dict[object, object]:
        wanted = _parse(["--workload", "W2", "--rounds", "1", *more])
        return {s["alternative"]: s["rivals_flash_attention"] for s in specs(wanted, FACTS)}

    server = ("--llama-server", str(tmp_path))
    own = {"nightdesk": None, "floor": None, "naive twin": None, "nightdesk, pointed": None}
    assert told(*server) == {**own, **dict.fromkeys(RIVALS, "on")}
    assert told(*server, "--rivals-flash-attention", "off") == {**own, **dict.fromkeys(RIVALS, "off")}
    assert told("--server", "http://127.0.0.1:8080")["server x4"] is None


def test_a_cell_that_fails_says_why(tmp_path):
    wanted = _parse(["--workload", "W2", "--rounds", "1", "--seconds", "1", "--only", "nightdesk"])
    (spec,) = specs(wanted, {**FACTS, "model": str(tmp_path / "absent.gguf")})
    failed = _measure(spec, tmp_path)
    assert "exit status 1" in failed.error
    assert "absent.gguf" in failed.error
    assert _known(spec, tmp_path) == failed


def test_rounds_are_interleaved_and_the_floor_follows_what_it_replays():
    wanted = _parse(["--workload", "W1,W4", "--only", "nightdesk", "floor", "outlines", "--rounds", "2"])
    order = [(s["round"], s["workload"], s["alternative"]) for s in specs(wanted, FACTS)]
    assert order[:4] == [
        (1, "W1", "nightdesk"),
        (1, "W1", "floor"),
        (1, "W1", "outlines"),
        (1, "W4", "nightdesk"),
    ]
    assert [name for _, _, name in order[6:9]] == ["outlines", "nightdesk", "floor"]
    assert _backwards(["floor"]) == []


def test_several_processes_have_no_floor_which_is_one():
    def asked(*more: str) -> list[object]:
        wanted = _parse(["--workload", "W1", "--only", "nightdesk", "floor", "--rounds", "1", *more])
        return [spec["alternative"] for spec in specs(wanted, FACTS)]

    assert asked() == ["nightdesk", "floor"]
    assert asked("--replicas", "2") == ["nightdesk"]


def test_what_was_given_up_is_said_and_has_no_floor():
    ours = cell("nightdesk", 1, "ab", 4.0, given_up=3)
    floor = cell("floor", 1, "ab", 1.0, decode_seconds=1.0)
    (line,) = table([ours, floor], {})
    assert line.over_floor is None
    assert "3 documents were begun and not finished" in line.note
    (empty,) = table([cell("outlines", 1, "", 150.0, given_up=1)], {})
    assert empty.note == "none of 1 documents that were begun was finished in 150 s"
    assert empty.rounds == 0


def test_tasks_on_one_document_are_set_beside_each_task_by_itself():
    def on(workload: str, name: str, seconds: float) -> Cell:
        one = cell(name, 1, "ab", seconds)
        return dataclasses.replace(one, spec={**one.spec, "workload": workload})

    cells = [on("W3", "nightdesk", 2.0), on("W3", "server x1", 3.0), on("W3a", "server x1", 5.0)]
    assert "3,600 documents/hour" in handed_over(cells)
    assert "W3a: server x1 2.50." in handed_over(cells)
    assert handed_over(cells[:2]) == ""


def test_no_cell_is_begun_when_the_time_is_over_and_the_table_is_still_made(tmp_path, capsys):
    arguments = ["--model", "demo", "--workload", "W2", "--minutes", "0", "--out", str(tmp_path)]
    assert main([*arguments, "--only", "outlines"]) == 0
    out, err = capsys.readouterr()
    assert "not begun" in err
    assert "| workload |" in out


def test_no_document_is_begun_after_the_deadline_and_every_begun_one_is_finished():
    now = iter([0.0, 1.0, 9.0])
    questions = [question("a"), question("b"), question("a", 1), question("c"), question("b", 1), question("c", 1)]
    deadline = Deadline([*questions[:5]], 5.0, lambda: next(now))
    assert [(q.document, q.task) for q in deadline] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert deadline.begun == {"a", "b"}
    assert deadline.asked == 4


def test_a_quiet_machine_is_not_complained_about():
    assert complaints(0.1, 0.02, [1.0, 1.05]) == []


@pytest.mark.parametrize(
    ("load", "used", "loops", "word"),
    [(2.0, 0.0, [1.0], "load"), (0.0, 0.4, [1.0], "40%"), (0.0, 0.0, [1.0, 1.3], "loops")],
)
def test_each_sign_of_a_busy_machine_is_said(load, used, loops, word):
    (said,) = complaints(load, used, loops)
    assert word in said


def test_growth_is_the_slope_of_the_second_half():
    assert growth([(n, 500 + 3 * n) for n in range(100)]) == pytest.approx(3)
    warming = [(n, 1000 * n) for n in range(50)] + [(n, 50_000) for n in range(50, 100)]
    assert growth(warming) == pytest.approx(0)
    assert growth([(1, 5)]) == 0


def test_growth_saves_each_point_and_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    done: list[int] = []

    def part(_root, _model, most, known):
        for number in sorted({1, 2, 4} - known):
            if number > most:
                raise KeyboardInterrupt
            done.append(number)
            yield {"slots": number, "seconds": 0.5}

    monkeypatch.setitem(growth_of_cost.PARTS, "documents", part)
    with pytest.raises(KeyboardInterrupt):
        growth_of_cost.main(["documents", "--most", "2", "--out", str(tmp_path)])
    assert growth_of_cost.main(["documents", "--most", "4", "--out", str(tmp_path)]) == 0

    assert done == [1, 2, 4]
    assert [row["slots"] for row in json.loads((tmp_path / "documents.json").read_text())["rows"]] == [1, 2, 4]
    assert (tmp_path / "documents.png").exists()


def test_points_of_another_number_of_documents_are_measured_again(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(growth_of_cost.host, "look", list)
    asked: list[int] = []

    def part(_root, _model, most, known):
        if not known:
            asked.append(most)
            yield {"slots": 1, "seconds": 0.5}

    monkeypatch.setitem(growth_of_cost.PARTS, "slots", part)
    for more in ([], ["--documents", "7"], ["--documents", "7"]):
        assert growth_of_cost.main(["slots", "--out", str(tmp_path), *more]) == 0
    assert asked == [growth_of_cost.FEW, 7]


def test_planning_and_resuming_are_measured_in_processes_of_their_own(tmp_path):
    held = bytearray(1 << 29)
    held[:: 1 << 12] = b"x" * (1 << 17)  # resident here, and not in what is started
    (row,) = growth_of_cost.documents(tmp_path, "scripted", 10, frozenset())
    for peak in ("plan, peak MiB", "resume, peak MiB"):
        assert 10 < row[peak] < 512

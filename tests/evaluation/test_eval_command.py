"""`nightdesk eval`: what a person sees of a run's records beside their labels."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import pytest

from pipeline.cli import call
from pipeline.cli.eval_tables import example_lines, miss_lines
from pipeline.data import Evidence, Found, Record
from pipeline.evaluation import Gold, evaluate
from pipeline.run.examples import Worth

SCHEMA = """{
  "type": "object",
  "properties": {
    "day": {"type": "string", "maxLength": 40, "x-nightdesk": {"type": "date"}},
    "name": {"type": ["string", "null"], "maxLength": 40, "x-nightdesk": {"extractive": true}}
  },
  "required": ["day", "name"], "additionalProperties": false
}"""
TASK = """instructions = "Copy the day."
[[examples]]
text = "It was 1 May 2020, an example."
answer = {day = "1 May 2020", name = "an example"}
[[examples]]
text = "On 2 May 2020 🙂 \\"nothing\\" came."
answer = {day = "2 May 2020"}
[options]
chunk_tokens = 200
max_answer_tokens = 90
day_first = true
"""


def write_task(folder, text=TASK):
    for name, content in {"prompts/letters.toml": text, "schemas/letters.json": SCHEMA}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Fourteen letters with a day each, one label of them wrong; an example; a letter that no run was given."""
    folder = tmp_path_factory.mktemp("letters")
    write_task(folder)
    (folder / "in").mkdir()
    labels = []
    for i in range(14):
        (folder / f"in/{i:02}.txt").write_text(f"Letter of {i + 1} June 2024 from Ann Number{i}.")
        day = "1999-01-01" if i == 3 else {"any_of": [f"2024-06-{i + 1:02}", "never"]}
        labels.append({"id": f"letter {i}", "file": f"in/{i:02}.txt", "fields": {"day": day, "name": "Mr Nobody"}})
    (folder / "in/example.txt").write_text("It was 1 May 2020, an example.")
    (folder / "elsewhere.txt").write_text("Of 3 May 2023.")
    labels.append({"id": "shown", "file": "in/example.txt", "fields": {"day": "2020-05-01"}})
    labels.append({"id": "elsewhere", "file": "elsewhere.txt", "fields": {"day": "2023-05-03"}})
    (folder / "gold.jsonl").write_text("".join(json.dumps(line) + "\n" for line in labels))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        assert call(["run", "letters", "in", "--db", "night.db", "--model", "scripted", "-q"]) == 0
        assert call(["run", "letters", "in", "--db", "other.db", "--model", "scripted", "-q", "--seed", "5"]) == 0
    return folder


@pytest.fixture
def evaluated(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)
    monkeypatch.setenv("XDG_DATA_HOME", str(finished / "data"))

    def run(*args, task="letters", labels="gold.jsonl"):
        capsys.readouterr()
        code = call(["eval", task, "--labels", labels, "--db", "night.db", *args])
        said = capsys.readouterr()
        return SimpleNamespace(code=code, out=said.out, err=said.err)

    return run


def test_scores_stand_in_a_table_and_misses_with_quote_beside_gold(evaluated):
    result = evaluated()

    assert result.code == 0
    assert "letters: 14 documents scored" in result.out
    assert "Left out, being examples of the task: 1 document." in result.out
    assert "Left out, not given to this database: 1 document." in result.out
    (row,) = [line.split() for line in result.out.splitlines() if line.startswith("day ")]
    assert row[:5] == ["day", "14", "0.929", "0.929", "0.929"]
    wrong = result.out[result.out.index("letter 3\n") :]
    assert wrong.splitlines()[1].strip() == "day"
    assert wrong.splitlines()[2].startswith("    said  4 June 2024  (pointed, line 1, confidence 0.")
    assert wrong.splitlines()[3] == "    gold  1999-01-01"


def test_a_miss_is_shown_with_its_quote_and_those_of_a_list_one_by_one():
    gold = {"total": "9.00", "items": [{"name": "tea"}, *({"name": f"x{n}"} for n in range(12))]}
    values = {"total": "1234.50", "items": [{"name": "Tea"}, {"name": "bun"}, *({"name": f"y{n}"} for n in range(12))]}
    evidence = (
        Evidence("total", "EUR\n1.234,50", Found.FOLDED, 0, 12, 2, 1, 0.25),
        Evidence("items[0].name", "TEA", Found.FOLDED, 20, 23, 1, 1),
        Evidence("items[1].name", "BUN", Found.FOLDED, 30, 33, 1, 1, 0.5, "line 7"),
        *(Evidence(f"items[{n}].name", f"y{n - 2}", Found.NOT_FOUND) for n in range(2, 14)),
    )

    lines = [
        *miss_lines(evaluate([Gold("d", gold)], {"d": values}), {"d": Record("d", "t", values, evidence=evidence)})
    ]

    assert lines[2:6] == [
        "d",
        "  total",
        "    said  1234.50  (folded, page 2, confidence 0.25)",
        "    quote EUR 1.234,50",
    ]
    assert lines[6] == "    gold  9.00"
    wrong = [line for line in lines if line.startswith("    wrong")]
    assert wrong[0] == "    wrong items[1].name: BUN  (folded, line 7, confidence 0.50)"
    assert wrong[1] == "    wrong items[2].name: y0  (not found)"
    assert (len(wrong), lines[-2]) == (10, "          and 3 more")


def test_json_says_the_same(evaluated):
    said = json.loads(evaluated("--json").out)["report"]

    day = next(field for field in said["fields"] if field["name"] == "day")
    assert round(day["f1"], 3) == 0.929
    assert day["exact_f1"] == 0
    assert {"document": "letter 3", "name": "day", "gold": "1999-01-01", "predicted": "4 June 2024"} in said["misses"]


def test_a_run_against_itself_is_noise(evaluated):
    said = json.loads(evaluated("--against", "other.db", "--json").out)["comparison"]

    assert said["documents"] == 14
    assert said["micro"]["before"] == said["micro"]["after"]
    assert "more than noise" in evaluated("--against", "other.db").out


def test_calibrating_keeps_a_file_draws_a_plot_and_says_what_can_be_kept(evaluated, finished):
    said = json.loads(evaluated("--calibrate", "--plot", "c.svg", "--json").out)["calibration"]

    assert sum(row["values"] for row in said["reliability"]) == said["values"] >= 20
    assert [row["precision"] for row in said["coverage"]] == [0.9, 0.95, 0.99]
    assert said["brier"] < 0.15  # days are right, names wrong: easy to tell
    assert json.loads((finished / said["file"]).read_text())["task"] == "letters"
    assert ET.parse(finished / "c.svg").getroot().tag.endswith("svg")
    assert "Kept for the runs of this task" in evaluated("--calibrate", "--plot", "c.svg").out


def test_each_example_is_left_out_in_turn(evaluated):
    said = json.loads(evaluated("--examples", "--model", "scripted", "--json").out)

    assert [one["example"] for one in said] == [None, 1, 2]
    assert all(one["tokens"] > 20 for one in said[1:])
    assert all(one["seconds"] > 0 for one in said)
    assert said[1]["gain"] == pytest.approx(said[0]["f1"] - said[1]["f1"])
    assert said[1]["costs"] == pytest.approx(said[0]["seconds"] - said[1]["seconds"])


def test_examples_behind_the_document_have_tokens_too(evaluated, finished):
    folder = finished / "behind"
    folder.mkdir()
    write_task(folder, TASK + "document_first = true\n")
    (finished / "one.jsonl").write_text('{"id": "a", "file": "in/01.txt", "fields": {"day": "2024-06-02"}}')
    task = str(folder / "prompts/letters.toml")

    said = json.loads(evaluated("--examples", "--model", "scripted", "--json", task=task, labels="one.jsonl").out)

    assert all(one["tokens"] > 20 for one in said[1:])


def test_an_example_costs_a_document_what_a_run_without_it_saves():
    lines = [
        *example_lines([Worth(None, 0.5, 0.0, (0.0, 0.0), 0, 2.0, 0.0), Worth(1, 0.4, 0.1, (0, 1), 300, 1.75, 0.25)])
    ]

    assert lines[-3].split()[-3:] == ["300", "1.750", "+0.250"]
    assert "once a run" in lines[-1]


@pytest.mark.parametrize(
    ("labels", "args", "words"),
    [
        ('{"id": "a", "file": "gone.txt", "fields": {}}', [], "not there"),
        ('{"id": "a", "fields": {}}', [], "names no `file`"),
        ("", [], "no labels"),
        ('{"id": "a", "file": "elsewhere.txt", "fields": {"day": "x"}}', [], "none of the labelled"),
        ('{"id": "a", "file": "in/01.txt", "fields": {"day": "x"}}', ["--calibrate"], "20"),
        (
            '{"id": "a", "file": "in/01.txt", "fields": {"day": "x"}}',
            ["--calibrate", "--model", "demo"],
            "not made with",
        ),
    ],
)
def test_what_cannot_be_scored_is_said_with_a_next_step(evaluated, finished, labels, args, words):
    (finished / "odd.jsonl").write_text(labels)

    result = evaluated(*args, labels="odd.jsonl")

    assert result.code == 2
    assert words in result.err
    assert len(result.err.strip().splitlines()) == 2

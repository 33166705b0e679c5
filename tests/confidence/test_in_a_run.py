"""A run fills in the confidence of its evidence, and uses the calibration of its recipe where there is one."""

from __future__ import annotations

import stat

import pytest

from pipeline.confidence import Calibration
from pipeline.confidence.rating import FEATURES
from pipeline.config import Job, JobTask
from pipeline.errors import UserError
from pipeline.prompting import load_task
from pipeline.run import calibrations, run
from pipeline.run.model import open_model
from pipeline.store import Store

SCHEMA = """{
  "type": "object",
  "properties": {
    "name": {"type": "string", "maxLength": 40, "x-nightdesk": {"extractive": true}},
    "day": {"type": "string", "maxLength": 40, "x-nightdesk": {"type": "date"}},
    "mood": {"enum": ["good", "bad"]}
  },
  "required": ["name", "day", "mood"], "additionalProperties": false
}"""


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name, text in {
        "prompts/letter.toml": 'instructions = "Copy."\n[options]\nchunk_tokens = 300\nmax_answer_tokens = 120\n',
        "schemas/letter.json": SCHEMA,
        "docs/a.txt": "Dear Ann Bell,\nyours of 3 May 2024 and of 5 June 2024 came.",
        "docs/b.txt": "Dear Bo Ray,\nyours of 7 July 2023 and of 9 July 2023 came.",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    task = JobTask(task=str(tmp_path / "prompts/letter.toml"), inputs=(tmp_path / "docs",))
    return Job(database=tmp_path / "night.db", model="scripted", tasks=(task,))


def confidences(job: Job) -> dict[str, list[float | None]]:
    for _ in run(job):
        pass
    found: dict[str, list[float | None]] = {}
    with Store.open(job.database, write=False) as store:
        for record in store.records("letter"):
            for piece in record.evidence:
                found.setdefault(piece.path, []).append(piece.confidence)
    return found


def recipe(job: Job) -> str:
    with Store.open(job.database, write=False) as store:
        return next(store.rows(store.tables("letter")))["recipe"]


def test_every_value_has_a_confidence_a_choice_of_the_model_s_too(job):
    found = confidences(job)

    assert found.keys() == {"name", "day", "mood"}
    assert all(number is not None and 0 <= number <= 1 for numbers in found.values() for number in numbers)


def test_every_value_of_a_record_can_be_learned_from(job):
    confidences(job)
    vocabulary = open_model("scripted").tokenizer.vocabulary
    with Store.open(job.database, write=False) as store:
        evidence = {record.document: record.evidence for record in store.records("letter")}
        verdicts = {document: {piece.path: True for piece in pieces} for document, pieces in evidence.items()}
        seen = calibrations.observe(
            store, load_task(job.tasks[0].task), recipe(job), vocabulary, verdicts, pointed=True
        )

    assert sorted((one.document, one.field) for one in seen) == sorted(
        (document, piece.path) for document, pieces in evidence.items() for piece in pieces
    )


def test_a_calibration_of_the_recipe_is_used_by_the_next_run(job, tmp_path):
    confidences(job)
    none = dict.fromkeys(FEATURES, 0.0)
    file = calibrations.save(recipe(job), Calibration("letter", 98, 0.0, none, {"day": 1000.0}))
    for document in (tmp_path / "docs").iterdir():
        document.write_text(document.read_text() + " More.")

    found = confidences(job)

    assert found["name"][-2:] == [0.5, 0.5]
    assert found["day"][-2:] == [0.99, 0.99]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_calibration_that_cannot_be_used_is_named(job):
    confidences(job)
    file = calibrations.save(recipe(job), Calibration("letter", 1, 0.0, {}, {}))

    with pytest.raises(UserError, match=file.name):
        confidences(job)

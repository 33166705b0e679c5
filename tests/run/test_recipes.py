from __future__ import annotations

import datetime
from pathlib import Path

from pipeline.config import EngineSettings, Job, JobTask, Night, Sampling
from pipeline.run import recipes


def test_the_settings_that_a_run_keeps_make_the_same_job_again() -> None:
    job = Job(
        database=Path("night.db"),
        model="scripted",
        tasks=(JobTask(task="receipts", inputs=(Path("a"), Path("b"))),),
        engine=EngineSettings(sampling=Sampling(temperature=0.5, seed=3)),
        night=Night(until=datetime.time(6, 30), max_duration=datetime.timedelta(minutes=90), max_documents=7),
    )

    assert Job.model_validate_json(job.model_dump_json()) == job


def test_the_recipe_follows_the_settings_that_answers_depend_on() -> None:
    def parts(**engine: object) -> dict[str, str]:
        job = Job.model_validate(
            {
                "database": "n.db",
                "model": "scripted",
                "tasks": [{"task": "receipts", "inputs": ["x"]}],
                "engine": engine,
            }
        )
        return recipes(job.model_dump_json(), ("", ""))["receipts"]

    plain = parts()

    assert parts(shape={"slots": 3, "context": 4096, "threads": 1}, engine="naive") == plain
    changed = parts(sampling={"temperature": 0.7})
    assert {name for name in plain if plain[name] != changed[name]} == {"sampling"}

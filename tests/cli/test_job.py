from __future__ import annotations

import pytest

from pipeline.cli.job import from_file, line_of
from pipeline.run.model import ScriptedModel

JOB = """
database = "night.db"
model = "scripted"

[[tasks]]
task = "tone"
inputs = ["docs"]
"""


def test_a_job_file_is_run(place):
    place.documents(2)
    place.write("night.toml", JOB)

    result = place.call("run", "night.toml")

    assert result.code == 0
    assert "2 documents: 2 done." in result.out


def test_paths_are_seen_from_the_job_file(place, monkeypatch):
    place.documents(1)
    place.write("night.toml", JOB)
    elsewhere = place.path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "prompts").symlink_to(place.path / "prompts")
    (elsewhere / "schemas").symlink_to(place.path / "schemas")
    monkeypatch.chdir(elsewhere)

    result = place.call("run", "../night.toml")

    assert result.code == 0
    assert (place.path / "night.db").exists()
    assert not (elsewhere / "night.db").exists()


def test_options_win_over_the_job_file(place):
    place.documents(5)
    place.write("night.toml", JOB)

    result = place.call("run", "night.toml", "--db", "other.db", "--limit", "2")

    assert result.code == 0
    assert "2 documents: 2 done." in result.out
    assert (place.path / "other.db").exists()
    assert not (place.path / "night.db").exists()


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("model =", "modell =", 3, "Did you mean `model`?"),
        ("inputs =", "input =", 7, "Did you mean `inputs`?"),
        ('["docs"]', '"docs"', 7, "expected a list"),
        ('["docs"]', "[]", 7, "at least"),
        ('["docs"]', '["docs", "nowhere"]', 7, "nowhere"),
        ('task = "tone"\n', "", 5, "`tasks.1.task` is missing"),
        ('"scripted"', '"scripted"\nlimit = 0', 4, "greater than or equal to 1"),
        ('"scripted"', '"scripted"\nengine = {grammar = "magic"}', 4, "'llguidance'"),
        ("[[tasks]]", "[engine.shape]\nslot = 3\n[[tasks]]", 6, "Did you mean `slots`?"),
        ('database = "night.db"', "database = ", 2, "not valid TOML"),
    ],
)
def test_a_mistake_in_a_job_file_is_named_with_its_line(place, old, new, line, said):
    place.documents(1)
    place.write("night.toml", JOB.replace(old, new, 1))

    result = place.call("run", "night.toml")

    assert result.code == 2
    assert "night.toml" in result.err
    assert f"line {line}" in result.err
    assert said in result.err


def test_a_task_file_in_place_of_a_job_file_is_told_apart(place):
    result = place.call("run", "prompts/tone.toml")

    assert result.code == 2
    assert "nightdesk run prompts/tone.toml FOLDER" in result.err


def test_a_password_in_a_wrong_job_file_is_not_shown(place):
    place.write("night.toml", JOB.replace('"scripted"', '"scripted"\npassword = {a = "sesame"}'))

    result = place.call("run", "night.toml")

    assert result.code == 2
    assert "password" in result.err
    assert "sesame" not in result.err


def test_the_line_of_a_key_is_that_of_its_table():
    source = '[a]\nx = 1\n[[t]]\nx = 1\n[[t]]\n"x" = 2\n[a.b]\nc.d = 1\n'

    assert line_of(source, ("a", "x")) == 2
    assert line_of(source, ("t", 0, "x")) == 4
    assert line_of(source, ("t", 1, "x")) == 6
    assert line_of(source, ("t", 1, "y")) == 5
    assert line_of(source, ("a", "b", "c", "d")) == 8
    assert line_of(source, ("z",)) is None


def test_adapters_in_a_job_file_are_seen_from_it_and_those_of_the_command_line_are_not(place):
    place.documents(1)
    folder = place.path / "jobs"
    folder.mkdir()
    for task in ("prompts", "schemas", "docs"):
        (folder / task).symlink_to(place.path / task)
    (folder / "night.toml").write_text(JOB.replace('"scripted"', '"scripted"\nlora = ["a.gguf:0.5", "b.gguf"]'))

    job = from_file(folder / "night.toml", None, {})
    given = from_file(folder / "night.toml", None, {("lora",): ["c.gguf:2"]})

    assert [(each.path, each.scale) for each in job.lora] == [(folder / "a.gguf", 0.5), (folder / "b.gguf", 1.0)]
    assert [(str(each.path), each.scale) for each in given.lora] == [("c.gguf", 2.0)]


def test_a_model_without_weights_takes_no_adapter(place):
    place.documents(1)

    result = place.call("run", "tone", "docs", "--model", "scripted", "--lora", "a.gguf")

    assert result.code == 2
    assert "no weights" in result.err


def test_a_template_is_named_on_the_command_line_or_in_the_job_file(place):
    place.documents(1)
    place.write("mine.jinja", "{% for m in messages %}## {{ m.content }}\n{% endfor %}## ")

    shown = place.call("check", "tone", "--model", "scripted", "--template", "mine.jinja", "--show-prompt")
    first = place.call("run", "tone", "docs", "--model", "scripted")
    other = place.call("run", "tone", "docs", "--model", "scripted", "--template", "mine.jinja")
    place.write("night.toml", JOB.replace('"scripted"', '"scripted"\ntemplate = "mine.jinja"'))
    file = place.call("run", "night.toml", "--db", "nightdesk.db")

    assert "## " in shown.out
    assert "came from" not in other.err
    assert [first.code, other.code, file.code] == [0, 0, 0]
    assert "1 done" in other.out
    assert "1 done" not in file.out
    assert "there is no format 'magic'" in place.call("run", "tone", "docs", "--template", "magic").err


def test_a_changed_model_is_said_in_one_line(place, monkeypatch):
    place.documents(2)
    place.call("run", "tone", "docs", "--model", "scripted")
    monkeypatch.setattr(ScriptedModel, "sha256", "1" * 64)

    kept = place.call("run", "tone", "docs", "--model", "scripted", "--model-change", "keep")
    again = place.call("run", "tone", "docs", "--model", "scripted")

    said = (
        "2 rows of tone came from scripted (sha256 000000000000), and the model is now scripted (sha256 111111111111)."
    )
    assert f"{said} They are left as they are." in kept.err
    assert f"{said} They are made again; --model-change keep leaves them." in again.err
    assert "2 done" in again.out

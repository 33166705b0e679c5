"""The summary of a night as a file says what the screen said, and no more of the documents."""

from __future__ import annotations

import json
import stat

import pytest

from pipeline.cli import call


@pytest.fixture
def here(desk, monkeypatch):
    monkeypatch.chdir(desk.path)
    desk.letters(2)
    desk.write("docs/secret-name.pdf", b"%PDF-1.4 nothing more")
    return desk


def run(*args: str) -> int:
    return call(["run", "tone", "docs", "--db", "night.db", "--model", "scripted", "--quiet", *args])


def test_a_night_is_summed_up_as_markdown_and_as_json(here, capsys):
    assert run("--summary", "night.md", "--summary", "night.json") == 3
    shown = capsys.readouterr().out

    page = (here.path / "night.md").read_text()
    assert page.startswith("# Nightdesk, run 1: failures (exit code 3)\n")
    assert "| tone | 2 | 2 | 0 | 0 | 0 |" in page
    assert all(line in page for line in shown.splitlines() if line)
    numbers = json.loads((here.path / "night.json").read_text())
    assert (numbers["exit_code"], numbers["failures"], numbers["unreadable_files"]) == (3, 1, 1)
    assert numbers["tasks"]["tone"] == {"documents": 2, "done": 2, "incomplete": 0, "failed": 0, "unchanged": 0}
    assert numbers["left"] == {"chunks": 0, "files": 0, "reason": ""}
    for name in ("night.md", "night.json"):
        assert stat.S_IMODE((here.path / name).stat().st_mode) == 0o600
        assert "secret" not in (here.path / name).read_text()


def test_the_next_night_replaces_it_and_a_job_file_names_it_from_its_own_folder(here, monkeypatch):
    (here.path / "jobs").mkdir()
    job = 'database = "../night.db"\nmodel = "scripted"\nsummary = ["night.json"]\n'
    here.write("jobs/night.toml", job + '[[tasks]]\ntask = "tone"\ninputs = ["../docs"]\n')
    for unchanged in (0, 2):
        assert call(["run", "jobs/night.toml", "--quiet"]) == 3
        numbers = json.loads((here.path / "jobs/night.json").read_text())
        assert numbers["tasks"]["tone"]["unchanged"] == unchanged
    assert [file.name for file in (here.path / "jobs").iterdir()] in (
        ["night.toml", "night.json"],
        ["night.json", "night.toml"],
    )


def test_a_night_that_could_not_begin_leaves_no_summary_of_the_night_before(here, capsys):
    files = ("--summary", "night.md", "--summary", "night.json")
    assert run(*files) == 3
    assert call(["run", "tone", "docs", "--db", "night.db", "--model", "none.gguf", "--quiet", *files]) == 4
    said = capsys.readouterr().err

    page, numbers = (here.path / "night.md").read_text(), json.loads((here.path / "night.json").read_text())
    assert page.startswith("# Nightdesk: crashed (exit code 4)\n")
    assert (numbers["state"], numbers["exit_code"]) == ("crashed", 4)
    assert numbers["error"]["message"] in page
    assert numbers["error"]["message"] in said.replace("\n", " ")
    assert run("--key-from", "no.key", *files) == 2
    assert (here.path / "night.md").read_text().startswith("# Nightdesk: crashed (exit code 2)\n")


def test_a_summary_that_cannot_be_written_hides_neither_the_nights_end_nor_the_other_summary(here, capsys):
    (here.path / "night.md").mkdir()

    assert run("--summary", "night.md", "--summary", "night.json") == 3
    assert "night.md cannot be written" in capsys.readouterr().err
    assert json.loads((here.path / "night.json").read_text())["exit_code"] == 3


@pytest.mark.parametrize("name", ["night.txt", "nowhere/night.md"])
def test_a_name_that_will_not_do_is_refused_before_the_night(here, name):
    assert run("--summary", name) == 2
    assert not (here.path / "night.db").exists()

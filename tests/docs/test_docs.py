"""What the README and the help pages say is compared with the code."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from typer.main import get_command

from pipeline import errors
from pipeline.cli.app import app
from pipeline.cli.check import check
from pipeline.cli.help import topics
from pipeline.cli.run import run
from pipeline.config import EngineSettings, Job
from pipeline.prompting import available_tasks, load_task
from pipeline.schema import TaskSchema

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = {"README": README, **{name: page.read_text("utf-8") for name, page in topics().items()}}
COMMANDS = get_command(app).commands
SOURCES = [*(ROOT / "pipeline").rglob("*.py")]


def options_of(verb: str) -> set[str]:
    return {name for parameter in COMMANDS[verb].params for name in parameter.opts} | {"--help", "-h"}


def all_options() -> set[str]:
    return set().union(*map(options_of, COMMANDS), (name for p in get_command(app).params for name in p.opts))


def codes_in(text: str, pattern: str) -> dict[int, str]:
    return {int(code): meaning.strip() for code, meaning in re.findall(pattern, text, re.M)}


def error_classes(of: type = errors.NightdeskError) -> set[type[errors.NightdeskError]]:
    return {of}.union(*map(error_classes, of.__subclasses__()))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_that_is_named_exists(page):
    found = re.findall(r"(?:^|[ `/])nightdesk ([a-z]+)((?:(?![`|]|\s{3}| {2}#)[^\n])*)", PAGES[page])

    for verb, rest in found:
        assert verb in COMMANDS, f"nightdesk {verb}"
        for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", rest):
            assert option in options_of(verb), f"nightdesk {verb} {option}"
    for option in re.findall(r"`(--[a-z-]+)", PAGES[page]):
        assert option in all_options() | {"--help"}, option


def test_every_command_is_in_the_readme_and_shows_an_example():
    said = README[README.index("## Commands") : README.index("| Exit code")]

    for verb, command in COMMANDS.items():
        assert f"`{verb}" in said
        assert re.search(rf"Examples?:\n\s+nightdesk {verb}", command.help)
        assert all(getattr(p, "help", "") for p in command.params), verb


def test_pages_that_are_pointed_at_exist():
    texts = [*PAGES.values(), *(source.read_text("utf-8") for source in SOURCES)]
    named = {topic for text in texts for topic in re.findall(r"nightdesk help ([a-z]+)", text)}
    line = re.search(r"with the pages ([a-z, \n]+)\.", README)

    assert named <= {*topics()}
    assert {*re.split(r",\s|\sand\s", line[1])} == {*topics()}


def test_commands_that_messages_point_at_exist():
    for source in SOURCES:
        for verb in re.findall(r"`nightdesk ([a-z]+)", source.read_text("utf-8")):
            assert verb in COMMANDS, f"{source}: nightdesk {verb}"


def test_exit_codes_are_those_of_the_errors():
    ours = {error.exit_code for error in error_classes()} | {0}
    readme = codes_in(README, r"^\| (\d+) \| (.+) \|$")
    page = codes_in(PAGES["running"], r"^    (\d+) +(\S.+)$")

    assert ours == {*readme} == {*page}
    order = re.search(r"the first of ([\d, ]+) is given", PAGES["running"])[1]
    from pipeline.cli import _FIRST

    assert tuple(int(code) for code in order.rstrip(",").split(",") if code.strip()) == _FIRST[:6]
    assert {*_FIRST} == ours


def test_the_tree_names_every_room_and_nothing_else():
    tree = README[README.index("## The tree") :].split("```")[1]
    rooms = re.findall(r"^  ([a-z_./]+) ", tree, re.M)
    top = re.findall(r"^([a-z]+/) ", tree, re.M)
    there = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "pipeline").iterdir()
        if not path.name.startswith(("_", "py.typed")) and path.name != "shipped"
    }

    assert sorted(rooms) == sorted(there)  # each once
    assert sorted(top) == ["pipeline/", "prompts/", "samples/", "schemas/", "tests/"]


def test_the_two_commands_use_extras_and_files_that_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    commands = re.findall(r"^python3 -m venv .+$", README, re.M)

    assert len(commands) == 2
    for command in commands:
        for extra in re.findall(r"'\.\[(\w+)\]'", command):
            assert extra in project["optional-dependencies"]
    assert (ROOT / "samples/night.toml").is_file()
    assert (ROOT / "tests/__main__.py").is_file()
    assert "pip install -e '.[dev]'" in (ROOT / ".ci/run").read_text("utf-8")
    assert project["scripts"] == {"nightdesk": "pipeline.cli:main"}
    words = shlex.split(commands[0])
    assert words[-2:] == ["run", "samples/night.toml"]


def test_the_samples_job_is_in_order():
    job = Job.model_validate(tomllib.loads((ROOT / "samples/night.toml").read_text("utf-8")))

    assert {entry.task for entry in job.tasks} <= {*available_tasks()}
    assert all((ROOT / "samples" / path).exists() for entry in job.tasks for path in entry.inputs)


def test_the_task_of_the_readme_is_in_order(tmp_path, monkeypatch):
    prompt, schema = (re.search(rf"```{kind}\n(.+?)```", README, re.S)[1] for kind in ("toml", "python"))
    for name, text in (("prompts/letters.toml", prompt), ("schemas/letters.py", schema)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)

    task = load_task("letters")

    assert [field.name for field in task.schema.root.fields] == ["sender", "date"]


def indented(page: str, heading: str) -> list[str]:
    """The indented blocks below a heading, in order."""
    section = page[page.index(heading) :].partition("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", section, re.M)
    return [re.sub(r"^    ", "", block, flags=re.M).strip() + "\n" for block in blocks]


def test_the_tasks_page_shows_files_that_work(tmp_path, monkeypatch):
    page = PAGES["tasks"]
    (prompt, *_), (python, *_), (as_json, *_) = (
        indented(page, heading)
        for heading in ("## The prompt file", "## The schema as a Pydantic model", "## The schema as JSON")
    )
    for name, text in (("prompts/letters.toml", prompt), ("schemas/letters.py", python), ("schemas/b.json", as_json)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)

    assert load_task("letters").options.day_first
    assert TaskSchema.load(tmp_path / "schemas/b.json").root.fields[1].name == "topics"


def test_the_job_file_of_the_running_page_is_in_order():
    (job,) = indented(PAGES["running"], "## A job file")

    assert Job.model_validate(tomllib.loads(job)).engine.shape.slots == 16


def test_the_formats_page_names_the_suffixes_that_are_read():
    from pipeline.readers import suffixes

    assert {*re.findall(r"(?<!\S)\.[a-z0-9]+\b", indented(PAGES["formats"], "# Formats")[0])} == {*suffixes()}


def test_the_results_page_names_the_tables_that_there_are():
    from pipeline.store.migrations import STEPS

    source = (ROOT / "pipeline/store/migrations.py").read_text("utf-8")
    made = {*re.findall(r"CREATE TABLE (_\w+)", source)}

    assert STEPS
    assert made == {*re.findall(r"`(_[a-z]+)`", PAGES["results"])}


@pytest.mark.parametrize(("verb", "name"), [(run, "grammar"), (check, "grammar")])
def test_choices_are_those_of_the_settings(verb, name):
    offered = get_type_hints(verb)[name]
    choices = next((part for part in get_args(offered) if get_origin(part) is Literal), offered)

    assert get_args(choices) == get_args(EngineSettings.model_fields[name].annotation)

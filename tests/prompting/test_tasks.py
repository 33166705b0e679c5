"""Task files are checked whole before any model is loaded, and errors name file, line and key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import NightdeskError, SchemaError, TaskError
from pipeline.prompting import available_tasks, load_task

Tasks = Any  # Tasks of conftest.py


def test_a_task_has_its_instructions_schema_and_examples(tasks: Tasks) -> None:
    task = tasks.load()

    assert task.name == "bills"
    assert task.instructions == "Read the bill.\nAnswer with JSON."
    assert [field.name for field in task.schema.root.fields] == ["company", "total"]
    assert task.examples[0].text == "Corner Shop\nTea 2.10\nTotal 2.10"
    assert task.options.chunk_tokens == 2000
    assert task.options.overlap == 200


def test_answers_are_written_in_schema_order_with_fixed_separators(tasks: Tasks) -> None:
    assert tasks.load().examples[1].answer == '{"company": "Padaria Avenida, Lda", "total": "4,50"}'


def test_examples_may_be_files(tasks: Tasks) -> None:
    (tasks.folder / "prompts" / "one.txt").write_text("\nShop Ä\nTotal 1.00\n", encoding="utf-8")
    (tasks.folder / "prompts" / "one.json").write_text(json.dumps({"company": None, "total": "1.00"}))

    task = tasks.load('instructions = "Read."\n[[examples]]\nfile = "one.txt"\nanswer = "one.json"')

    assert task.examples[0].text == "Shop Ä\nTotal 1.00"
    assert task.examples[0].answer == '{"company": null, "total": "1.00"}'


def test_a_schema_is_named_or_given_as_a_path(tasks: Tasks) -> None:
    (tasks.folder / "prompts" / "other.json").write_text(
        '{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}'
    )
    for line, field in [('schema = "bills"', "company"), ('schema = "other.json"', "a")]:
        path = tasks.write(f'instructions = "Read."\n{line}', name="else_where")
        assert load_task(str(path)).schema.root.fields[0].name == field


@pytest.mark.parametrize(
    ("toml", "parts"),
    [
        ('instructions = "a\n', ["bills.toml is not valid TOML", "line 1"]),
        ("[options]\nchunk_tokens = 100", ["key `instructions`", "Field required"]),
        ('instructions = ""', ["line 1: key `instructions`", "at least 1 character"]),
        ('instructions = "a"\nschem = "b"', ["line 2: unknown key `schem`", "Known keys here: instructions, schema"]),
        ('instructions = "a"\n[options]\nchunk = 5', ["line 3: unknown key `options.chunk`", "chunk_tokens"]),
        (
            'instructions = "a"\n\n[options]\nchunk_tokens = "many"',
            ["line 4: key `options.chunk_tokens`", "valid integer"],
        ),
        ('instructions = "a"\n[options]\nchunk_tokens = 3', ["line 3: key `options.chunk_tokens`", "32"]),
        (
            'instructions = "a"\n[options]\nchunk_tokens = 100\noverlap_tokens = 60',
            ["line 2: key `options`", "at most half"],
        ),
        (
            'instructions = "a"\n[[examples]]\ntext = "x"\nanswer = {}\n[[examples]]\ntxt = "y"\nanswer = {}',
            ["line 6: unknown key `examples.2.txt`", "text, file, answer"],
        ),
        ('instructions = "a"\n[[examples]]\nanswer = {}', ["line 2: key `examples.1`", "either `text` or `file`"]),
        ('instructions = "a"\n[[examples]]\ntext = "x"', ["key `examples.1.answer`", "Field required"]),
        ('instructions = "a"\n[[examples]]\nfile = "no.txt"\nanswer = {}', ["no.txt cannot be read"]),
        ('instructions = "a"\n[[examples]]\ntext = "x"\nanswer = "no.json"', ["no.json cannot be read"]),
        ('instructions = "a"\n[[examples]]\ntext = " "\nanswer = {}', ["example 1 has no text"]),
        ('instructions = "a"\nschema = "none"', ["key `schema`", "none.py", "none.json"]),
        ('instructions = "a"\nschema = "none.json"', ["key `schema`", "none.json"]),
        ('instructions = "a"\n[options]\ntemplate = "chatmel"', ["no format 'chatmel'", "chatml"]),
        ('instructions = "a"\n[options]\ntemplate = "no.jinja"', ["no.jinja cannot be read"]),
        ('instructions = "a"\n[options]\nocr = "off"', ["line 3: key `options.ocr`", "`--ocr`"]),
        ('instructions = "a"\n[options]\nocr = "por, eng"', ["line 3: key `options.ocr`"]),
    ],
)
def test_a_wrong_task_file_is_explained(tasks: Tasks, toml: str, parts: list[str]) -> None:
    with pytest.raises(TaskError) as raised:
        tasks.load(toml)

    said = f"{raised.value.message} {raised.value.hint}"
    assert "bills.toml" in said
    for part in parts:
        assert part in said


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        ('{ company = "Shop", total = "9.99" }', "total"),  # is not in the text
        ('{ company = "Shop" }', "total"),
        ('{ company = 5, total = "1.00" }', "company"),
        ('{ company = "Shop", total = "1.00", extra = 1 }', "extra"),
    ],
)
def test_an_example_that_breaks_its_schema_is_named(tasks: Tasks, answer: str, part: str) -> None:
    with pytest.raises(TaskError) as raised:
        tasks.load(f'instructions = "a"\n[[examples]]\ntext = "Shop 1.00"\nanswer = {answer}')

    assert "bills.toml: example 1" in raised.value.message
    assert part in raised.value.message
    assert raised.value.exit_code == 2


def test_a_broken_schema_is_a_schema_error(tasks: Tasks) -> None:
    (tasks.folder / "schemas" / "bills.py").write_text("class Bill(:")
    with pytest.raises(SchemaError, match=r"bills\.py"):
        tasks.load()


def test_a_name_is_looked_up_in_the_working_directory_first(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tasks.folder)
    tasks.write()
    tasks.write(name="receipts")
    (tasks.folder / "schemas" / "receipts.py").write_text((tasks.folder / "schemas" / "bills.py").read_text())

    assert load_task("bills").path == Path("prompts/bills.toml")
    assert load_task("receipts").path == Path("prompts/receipts.toml")
    monkeypatch.chdir(tasks.folder / "schemas")
    assert load_task("receipts").path.is_absolute()


def test_an_unknown_name_lists_those_that_are_known(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tasks.folder)
    tasks.write()
    with pytest.raises(TaskError, match=r"no task 'nope'.*bills.*receipts"):
        load_task("nope")
    with pytest.raises(TaskError, match="no task file"):
        load_task("nope.toml")


@pytest.mark.parametrize("name", ["Bills", "my-bills", "1bills", "_bills", "select bills"])
def test_a_name_that_cannot_be_a_table_is_refused(tasks: Tasks, name: str) -> None:
    with pytest.raises(TaskError, match="table's name"):
        load_task(str(tasks.write(name=name)))


@pytest.mark.parametrize("name", sorted(available_tasks()))
def test_every_task_that_ships_is_in_order(name: str) -> None:
    task = load_task(name)

    assert task.examples
    assert task.options.max_answer_tokens < 4096


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (("Read the bill.", "Read this bill."), "prompt"),
        (("Corner Shop", "Corner Store"), "examples"),
        (('[[examples]]\ntext = "Padaria', '# more\n[[examples]]\ntext = "Padaria'), None),
        (('instructions = "Read', 'options = { max_answer_tokens = 99 }\ninstructions = "Read'), "options"),
        (('instructions = "Read', 'options = { template = "chatml" }\ninstructions = "Read'), "template"),
        (('instructions = "Read', 'options = { chunk_tokens = 99 }\ninstructions = "Read'), None),
    ],
)
def test_each_change_moves_the_part_of_the_key_that_is_named_for_it(
    tasks: Tasks, change: tuple[str, str], part: str | None
) -> None:
    before = tasks.load().parts

    after = tasks.load(tasks.toml.replace(*change)).parts

    assert {key for key in before if before[key] != after[key]} == ({part} if part else set())


def test_a_task_file_never_raises_a_stranger(tasks: Tasks) -> None:
    """Values of every TOML type in every place: each is taken or explained."""
    for key in ("instructions", "schema", "examples", "options", "options.template", "options.chunk_tokens"):
        for value in ("1", "true", "1.5", '"x"', "[]", "[1]", "{}", "{a = 1}", "1979-05-27", "[{text = 1}]"):
            for lead in ("", 'instructions = "a"\n'):
                try:
                    tasks.load(f"{lead}{key} = {value}")
                except NightdeskError as error:
                    assert error.exit_code == 2  # noqa: PT017

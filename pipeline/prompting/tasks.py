"""Task files: `prompts/<task>.toml` -> a Task, checked whole before any model is loaded.

A task is instructions, a schema, examples and options. Each example's answer is checked against the schema here.
Knows nothing of models, tokens or templates.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pydantic
from pydantic import Field

from pipeline.config import OCR_LANGUAGES, Settings
from pipeline.data import fingerprint
from pipeline.errors import SchemaError, TaskError
from pipeline.prompting.formats import FORMATS
from pipeline.prompting.presets import jinja_of
from pipeline.schema import TaskSchema, check_example

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_PACKAGE = Path(__file__).resolve().parents[1]


class Options(Settings):
    """The [options] of a task file."""

    chunk_tokens: int = Field(2000, ge=32, description="longest stretch of a document in one prompt")
    overlap_tokens: int | None = Field(None, ge=0, description="default: a tenth of chunk_tokens")
    max_answer_tokens: int = Field(512, ge=8, description="an answer that needs more is cut")
    template: str | None = Field(None, description="a named format, a Jinja file, a SillyTavern preset, or Jinja text")
    reasoning: int = Field(0, ge=0, description="tokens of free thought before the answer, for reasoning models")
    keep_reasoning: bool = Field(False, description="keep the thoughts in the database")
    document_first: bool = Field(False, description="the document stands before the instructions: tasks share it")
    day_first: bool | None = Field(
        None, description="03/04/2025 is the third of April; counts where a document does not say itself"
    )
    ocr: str | None = Field(None, pattern=OCR_LANGUAGES, description="languages of scans, as Tesseract names them")

    @property
    def overlap(self) -> int:
        """Tokens that neighbouring chunks share."""
        return self.chunk_tokens // 10 if self.overlap_tokens is None else self.overlap_tokens

    @pydantic.field_validator("ocr")
    @classmethod
    def _ocr_is_languages(cls, value: str | None) -> str | None:
        if value in ("auto", "off"):
            raise ValueError("name languages such as por+eng; `auto` and `off` are said to the run (`--ocr`)")
        return value

    @pydantic.model_validator(mode="after")
    def _overlap_is_smaller(self) -> Options:
        if self.overlap * 2 > self.chunk_tokens:
            raise ValueError("overlap_tokens must be at most half of chunk_tokens")
        return self


class _ExampleFile(Settings):
    text: str | None = None
    file: str | None = None
    answer: dict[str, object] | str

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> _ExampleFile:
        if (self.text is None) == (self.file is None):
            raise ValueError("give either `text` or `file`")
        return self


class _TaskFile(Settings):
    instructions: str = Field(min_length=1)
    schema_: str | None = Field(None, alias="schema")
    examples: tuple[_ExampleFile, ...] = ()
    options: Options = Options()


@dataclass(frozen=True, slots=True)
class Example:
    """A document and its right answer, written exactly as the model must write it."""

    text: str = field(repr=False)
    answer: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of every document. `parts` are the hashes that enter the work key, by what they are about."""

    name: str
    path: Path
    instructions: str
    schema: TaskSchema
    examples: tuple[Example, ...]
    options: Options
    parts: Mapping[str, str]


def load_task(name: str) -> Task:
    """The task of this name, or of this file where the name ends in .toml. Raises TaskError or SchemaError."""
    path = _find(name)
    source = _read(path, path)
    try:
        data = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise TaskError(f"{path} is not valid TOML: {error}.", hint="Correct the line that is named.") from error
    try:
        file = _TaskFile.model_validate(data)
    except pydantic.ValidationError as error:
        raise _explain(path, source, error) from error
    schema = TaskSchema.load(_schema_path(path, file.schema_))
    examples = tuple(_example(path, number, example, schema) for number, example in enumerate(file.examples, start=1))
    instructions = file.instructions.strip()
    options = _with_template_text(path, file.options)
    return Task(
        name=path.stem,
        path=path,
        instructions=instructions,
        schema=schema,
        examples=examples,
        options=options,
        parts={
            "prompt": fingerprint(instructions),
            "examples": fingerprint([[example.text, example.answer] for example in examples]),
            "schema": schema.hash,
            "template": fingerprint(options.template),
            "options": fingerprint(
                options.max_answer_tokens,
                options.document_first,
                options.day_first,
                *([options.reasoning] if options.reasoning else []),  # without it the key is as it always was
            ),
        },
    )


def available_tasks() -> dict[str, Path]:
    """Name and file of every task that `load_task` finds by name; the working directory's come first."""
    found: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return found


def _folders() -> list[Path]:
    """Where tasks lie: the working directory's prompts/, then those that ship (in the wheel, or in the checkout)."""
    shipped = _PACKAGE / "shipped" / "prompts"
    return [Path("prompts"), shipped if shipped.is_dir() else _PACKAGE.parent / "prompts"]


def _find(name: str) -> Path:
    if name.endswith(".toml"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise TaskError(f"There is no task file {path}.", hint="Check the path.")
    else:
        tasks = available_tasks()
        if name not in tasks:
            known = ", ".join(sorted(tasks)) or "none"
            raise TaskError(
                f"There is no task {name!r}. Known tasks: {known}.",
                hint=f"Write prompts/{name}.toml in the working directory, or give the path of a .toml file.",
            )
        path = tasks[name]
    if not _NAME.fullmatch(path.stem):
        raise TaskError(
            f"{path}: the file's name becomes the table's name, and {path.stem!r} cannot be one.",
            hint="Use lower-case letters, digits and underscores, beginning with a letter.",
        )
    return path


def _read(path: Path, asked_by: Path | str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise TaskError(f"{asked_by}: {path} cannot be read: {error.strerror}.", hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise TaskError(
            f"{asked_by}: {path} is not UTF-8 (byte {error.start}).", hint="Save it as UTF-8 text."
        ) from error


def _schema_path(task: Path, named: str | None) -> Path:
    """`schema` is a name beside prompts/ or a path from the task file; without it, the task's own name."""
    if named is not None and named.endswith((".py", ".json")):
        path = task.parent / Path(named).expanduser()
        if not path.is_file():
            raise TaskError(f"{task}: key `schema`: there is no file {path}.", hint="Check the path.")
        return path
    folder = task.parent.parent / "schemas" if task.parent.name else Path("../schemas")
    candidates = [folder / f"{named or task.stem}{suffix}" for suffix in (".py", ".json")]
    for path in candidates:
        if path.is_file():
            return path
    raise TaskError(
        f"{task}: key `schema`: there is neither {candidates[0]} nor {candidates[1]}.",
        hint="Write the schema there, or set `schema` to its path, seen from the task file.",
    )


def _example(task: Path, number: int, example: _ExampleFile, schema: TaskSchema) -> Example:
    place = f"{task}: example {number}"
    text = example.text if example.text is not None else _read(task.parent / str(example.file), task)
    if not text.strip():
        raise TaskError(f"{place} has no text.", hint="Put a document's text into `text` or `file`.")
    answer = example.answer
    if isinstance(answer, str):
        path = task.parent / answer
        try:
            answer = json.loads(_read(path, task))
        except json.JSONDecodeError as error:
            raise TaskError(
                f"{place}: {path} is not valid JSON: line {error.lineno}: {error.msg}.",
                hint="`answer` is a table, or the name of a JSON file.",
            ) from error
        if not isinstance(answer, dict):
            raise TaskError(f"{place}: {path} does not hold a JSON object.", hint="Begin the file with {.")
    try:
        rendered = check_example(schema, answer, text)
    except SchemaError as error:
        raise TaskError(f"{place}: {error.message}", hint=error.hint) from error
    return Example(text.strip(), rendered)


def _with_template_text(task: Path, options: Options) -> Options:
    """`template` may name a file: then its text is what counts."""
    if options.template is None:
        return options
    text = template_text(options.template, task.parent, f"{task}: key `options.template`")
    return options.model_copy(update={"template": text})


def template_text(template: str, folder: Path, asked_by: str) -> str:
    """What `template` means: a format's name or Jinja text as it is, a file's text, a SillyTavern preset as Jinja.

    Raises TaskError, which begins with `asked_by`.
    """
    if template in FORMATS or "{%" in template or "{{" in template:
        return template
    if not template.endswith((".jinja", ".json")):
        raise TaskError(
            f"{asked_by}: there is no format {template!r}.",
            hint=f"Name one of {', '.join(FORMATS)}, or a .jinja file, or a SillyTavern preset (.json).",
        )
    file = folder / Path(template).expanduser()
    text = _read(file, asked_by)
    if not template.endswith(".json"):
        return text
    try:
        return jinja_of(text)
    except ValueError as error:
        raise TaskError(
            f"{asked_by}: {file} cannot be used: {error}.",
            hint="Export an instruct template from SillyTavern's Advanced Formatting.",
        ) from error


def _explain(path: Path, source: str, error: pydantic.ValidationError) -> TaskError:
    first = error.errors(include_url=False)[0]
    place = first["loc"]
    key = ".".join(str(step + 1 if isinstance(step, int) else step) for step in place if step not in _BRANCHES)
    line = _line(source, place)
    where = f"{path}, line {line}" if line else str(path)
    if first["type"] == "extra_forbidden":
        known = _known(place)
        return TaskError(f"{where}: unknown key `{key}`.", hint=f"Known keys here: {', '.join(known)}.")
    expected = first["msg"].removeprefix("Value error, ")
    more = f" ({error.error_count() - 1} more after that)" if error.error_count() > 1 else ""
    return TaskError(f"{where}: key `{key or 'the file'}`: {expected}{more}.", hint="See `nightdesk help tasks`.")


_BRANCHES = ("dict[str,any]", "dict[str,object]", "str")


def _known(place: Sequence[int | str]) -> list[str]:
    model: type[Settings] = _TaskFile
    if place[0] == "options" and len(place) > 1:
        model = Options
    elif place[0] == "examples" and len(place) > 1:
        model = _ExampleFile
    return [info.alias or name for name, info in model.model_fields.items()]


def _line(source: str, place: Sequence[int | str]) -> int | None:
    """The line a key stands on, as well as a search can tell: TOML parsers keep no places."""
    lines = source.splitlines()
    found: int | None = None
    for step in place:
        if isinstance(step, int):
            headers = [i for i, line in enumerate(lines) if re.match(r"\s*\[\[\s*examples\s*\]\]", line)]
            found = headers[step] if step < len(headers) else found
        else:
            pattern = re.compile(rf"\s*(\[+\s*)?[\"']?{re.escape(step)}[\"']?\s*[=.\]]")
            found = next((i for i in range(found or 0, len(lines)) if pattern.match(lines[i])), found)
    return None if found is None else found + 1

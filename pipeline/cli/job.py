"""The command line and, where it names one, a job file -> a checked Job.

What is given on the command line wins over the job file. Paths in a job file are seen from the file's own folder.
Every message names the file and the key, or the option, and what was expected there.
"""

from __future__ import annotations

import difflib
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic

from pipeline.cli import options
from pipeline.config import Job, Settings
from pipeline.errors import JobError
from pipeline.models.locate import is_path

Place = tuple[int | str, ...]
Given = Mapping[Place, object]
"""Values of the command line by their place in a Job; None: not given."""

_PLAIN = {
    "missing": "is missing",
    "tuple_type": 'expected a list, such as ["a", "b"]',
    "string_type": "expected text in quotes",
    "path_type": "expected a path in quotes",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
    "model_type": "expected a table",
    "too_short": "expected at least one",
}
_WORKED = ("demo", "scripted")
"""Model names that are no paths."""


def is_job_file(subject: str, inputs: Sequence[Path]) -> bool:
    """Whether `nightdesk run SUBJECT INPUT...` names a job file and no task."""
    return subject.endswith(".toml") and not inputs


def from_command_line(task: str, inputs: Sequence[Path], database: Path | None, given: Given) -> Job:
    """The job that the arguments and options describe."""
    if not inputs:
        raise JobError(
            f"No files or folders were named for the task {task}.",
            hint=f"Name them: nightdesk run {task} FOLDER. A job file ends in .toml.",
        )
    if task.endswith(".toml") and "tasks" in tables(Path(task)):
        raise JobError(
            f"{task} is a job file, which names its own inputs.",
            hint=f"Leave out {shlex.quote(str(inputs[0]))}, or add it to the file.",
        )
    for path in inputs:
        _require(path, "")
    data: dict[str, Any] = {
        "database": options.database(database),
        "model": options.model(None),
        "tasks": [{"task": task, "inputs": [*inputs]}],
    }
    return _job(data, given, "the command line", "")


def from_file(file: Path, database: Path | None, given: Given) -> Job:
    """The job that a job file describes."""
    source, data = _read(file)
    if "instructions" in data:
        raise JobError(
            f"{file} is a task file, not a job file.", hint=f"Name what it is to read: nightdesk run {file} FOLDER."
        )
    data.setdefault("model", _from_anywhere(options.model(None)))
    data.setdefault("database", str(options.database(None).absolute()))
    if database is not None:
        data["database"] = str(database.absolute())
    job = _job(data, given, str(file), source)
    return _seen_from(file, source, job, given)


def tables(file: Path) -> dict[str, Any]:
    """What a TOML file holds; nothing where it is none: who loads it as a task says why."""
    try:
        return _read(file)[1]
    except JobError:
        return {}


def _read(file: Path) -> tuple[str, dict[str, Any]]:
    try:
        source = file.read_text("utf-8-sig")
        return source, tomllib.loads(source)
    except OSError as error:
        raise JobError(f"{file} cannot be read: {error.strerror}.", hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise JobError(f"{file} is not UTF-8 (byte {error.start}).", hint="Save it as UTF-8 text.") from error
    except tomllib.TOMLDecodeError as error:
        raise JobError(f"{file} is not valid TOML: {error}.", hint="Correct the line that is named.") from error


def _from_anywhere(model: str) -> str:
    """A model's name that means the same in another folder than this."""
    path = Path(model).expanduser()
    return str(path.absolute()) if path.exists() else model


def _job(data: dict[str, Any], given: Given, name: str, source: str) -> Job:
    flags = {place: value for place, value in given.items() if value is not None}
    for place, value in flags.items():
        _put(data, place, value)
    try:
        return Job.model_validate(data)
    except pydantic.ValidationError as error:
        raise _explained(error, name, source, flags) from None  # pydantic's text holds the values, so passwords too


def _put(data: dict[str, Any], place: Place, value: object) -> None:
    *above, last = place
    for key in above:
        below = data.setdefault(str(key), {})
        if not isinstance(below, dict):
            return  # the file is wrong here, and validation says so
        data = below
    data[str(last)] = value


def _seen_from(file: Path, source: str, job: Job, given: Given) -> Job:
    """The job with its paths seen from the folder of its file. Raises JobError for an input that is not there."""
    folder = file.parent
    model_given, lora_given, template_given, key_given = (
        given.get((place,)) is not None for place in ("model", "lora", "template", "key_from")
    )

    def seen(path: Path | str) -> Path:
        return folder / Path(path).expanduser()

    tasks = []
    for number, entry in enumerate(job.tasks):
        inputs = tuple(seen(path) for path in entry.inputs)
        for path in inputs:
            _require(path, _where(str(file), source, ("tasks", number, "inputs")))
        task = str(seen(entry.task)) if entry.task.endswith(".toml") else entry.task
        tasks.append(entry.model_copy(update={"task": task, "inputs": inputs}))
    model = job.model
    if not model_given and model not in _WORKED and (is_path(model) or seen(model).exists()):
        model = str(seen(model))
    template = job.template
    if template is not None and not template_given and template.endswith((".jinja", ".json")):
        template = str(seen(template))
    lora = job.lora
    if not lora_given:
        lora = tuple(each.model_copy(update={"path": seen(each.path)}) for each in lora)
    key_from = job.key_from
    if key_from not in (None, "keyring", "prompt") and not key_given:
        key_from = str(seen(key_from))
    update = {
        "key_from": key_from,
        "database": seen(job.database),
        "summary": tuple(map(seen, job.summary)),
        "model": model,
        "template": template,
        "lora": lora,
        "tasks": tuple(tasks),
    }
    return job.model_copy(update=update)


def _require(path: Path, where: str) -> None:
    if not path.exists():
        raise JobError(
            f"{where + ': there' if where else 'There'} is no file or folder {path}.",
            hint="Check the spelling, and the folder you started in.",
        )


def _explained(error: pydantic.ValidationError, name: str, source: str, flags: Given) -> JobError:
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    first = min(errors, key=lambda each: each["type"] != "extra_forbidden")  # a misspelt key is missing as well
    place = first["loc"]
    flag = next((given for given in flags if place[: len(given)] == given), None)
    if first["type"] == "extra_forbidden":
        known = [*_model_at(place).model_fields]
        close = difflib.get_close_matches(str(place[-1]), known, 1)
        hint = f"Did you mean `{close[0]}`?" if close else f"Known keys here: {', '.join(known)}."
        return JobError(f"{_where(name, source, place)}: there is no key `{place[-1]}`.", hint=hint)
    what = _PLAIN.get(first["type"]) or _said(first["msg"])
    if flag is not None:
        return JobError(f"--{str(flag[-1]).replace('_', '-')}: {what}.", hint="See `nightdesk run --help`.")
    key = ".".join(str(step + 1 if isinstance(step, int) else step) for step in place)
    colon = "" if what == _PLAIN["missing"] else ":"
    return JobError(f"{_where(name, source, place)}: key `{key}`{colon} {what}.", hint="See `nightdesk help running`.")


def _said(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _model_at(place: Place) -> type[Settings]:
    """The settings model in which the last step of `place` was looked for."""
    model: type[Settings] = Job
    for step in place[:-1]:
        if isinstance(step, str) and step in model.model_fields:
            inner = model.model_fields[step].annotation
            nested = [t for t in (inner, *getattr(inner, "__args__", ())) if isinstance(t, type)]
            model = next((t for t in nested if issubclass(t, Settings)), model)
    return model


def _where(name: str, source: str, place: Place) -> str:
    line = line_of(source, place)
    return f"{name}, line {line}" if line else name


_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\"'-]+)\s*\]")
_KEY = re.compile(r"\s*([\w.\"'-]+)\s*=")


def line_of(source: str, place: Place) -> int | None:
    """The line of a key, or of the nearest thing above it that has one: TOML parsers keep no places."""
    best: int | None = None
    depth = 0
    table: Place = ()
    counts: dict[str, int] = {}
    for number, line in enumerate(source.splitlines(), start=1):
        if header := _HEADER.match(line):
            name = header[2].replace('"', "").replace("'", "")
            table = tuple(name.split("."))
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                table = (*table, counts[name])
            found: Place = table
        elif key := _KEY.match(line):
            found = (*table, *key[1].replace('"', "").replace("'", "").split("."))
        else:
            continue
        if len(found) > depth and place[: len(found)] == found:
            best, depth = number, len(found)
    return best

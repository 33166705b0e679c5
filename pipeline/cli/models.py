"""`nightdesk models`: the models on this machine, and what any model file is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options, screen
from pipeline.errors import StoreError

if TYPE_CHECKING:
    from pipeline.models.gguf import Header
    from pipeline.models.shelf import Found

models = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
CONTEXT = 8192  # cells for which the list says whether a model fits; `nightdesk fit` knows a task's own


@dataclass(frozen=True, slots=True)
class _Row:
    """A model of the list. `problem`: why it cannot be used."""

    found: Found
    header: Header | None
    problem: str
    need: int
    fits: bool
    speed: float = 0.0  # tokens a second
    measured: bool = False  # in earlier runs; else an estimate


@models.callback()
def list_models(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects, with every path.")] = False,
) -> None:
    """List the models that other programs have put on this machine, and those in $NIGHTDESK_MODELS.

    Looks where Ollama, LM Studio, Hugging Face, llama.cpp, text-generation-webui, Jan, GPT4All and llm keep their
    models. Other folders (KoboldCpp has none of its own) are named in $NIGHTDESK_MODELS, separated as in $PATH.

    \b
    Examples:
      nightdesk models
      NIGHTDESK_MODELS=~/koboldcpp nightdesk models --json
      nightdesk models inspect downloads/model.safetensors
    """
    if context.invoked_subcommand is not None:
        return
    rows = _rows()
    if as_json:
        screen.out(json.dumps([_object(row) for row in rows], indent=1, ensure_ascii=False))
        return
    if not rows:
        screen.out(
            "No models were found where Ollama, LM Studio, Hugging Face, llama.cpp, text-generation-webui, Jan, "
            "GPT4All and llm keep theirs.",
            "Name other folders: export NIGHTDESK_MODELS=~/models    The small demo model: --model demo",
        )
        return
    _print(rows)


def inspect(
    file: Annotated[
        str, typer.Argument(metavar="FILE|NAME", help="A model file, a folder with one, or a listed name.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One object.")] = False,
) -> None:
    """Say what a model file is and what to do with it. Nothing in it is run.

    \b
    Example:
      nightdesk models inspect ~/Downloads/some-model-Q4_K_M.gguf
    """
    from pipeline.models.inspect import inspect as look
    from pipeline.models.locate import find_model, is_path

    path = Path(file).expanduser()
    seen = look(path if path.exists() or is_path(file) else find_model(file))
    if as_json:
        facts = {"path": str(seen.path), "what": seen.what, "advice": seen.advice, "usable": seen.usable, **seen.facts}
        screen.out(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    screen.out(f"{screen.styled(str(seen.path), 'bold')}: {screen.safe(seen.what)}")
    for name, value in seen.facts.items():
        screen.out(f"  {name:<16}{screen.safe(value)}")
    screen.out(screen.safe(seen.advice))


models.command("inspect")(inspect)


def _rows() -> list[_Row]:
    from pipeline.engines.shape import usable
    from pipeline.models.shelf import shelf
    from pipeline.run.model import machine

    room = usable(machine())
    with _measured() as speed:
        return [_row(found, room, speed) for found in shelf()]


@contextmanager
def _measured() -> Iterator[Callable[[Header], float | None]]:
    """Tokens a second that runs into the database have measured with a model; None where none has."""
    from pipeline.models.locate import known_sha256
    from pipeline.store import Store

    database = options.database(None)
    if not database.is_file():
        yield lambda _: None
        return
    with ExitStack() as stack:
        try:
            store = stack.enter_context(Store.open(database, write=False))
        except StoreError as error:
            screen.note(f"No speeds were read from {screen.safe(str(database))}: {error.message}")
            yield lambda _: None
            return

        def speed(header: Header) -> float | None:
            sha256 = known_sha256(*header.files)
            found = store.speed(sha256) if sha256 else None
            return None if found is None else found[0]

        yield speed


def _row(found: Found, room: int, measured: Callable[[Header], float | None]) -> _Row:
    from pipeline.engines.shape import smallest
    from pipeline.errors import ModelFileError
    from pipeline.models.gate import gate
    from pipeline.models.gguf import check_model
    from pipeline.models.memory import estimate
    from pipeline.models.speed import bandwidth, tokens_a_second

    try:
        header = check_model(found.path)
        gate(header)
    except ModelFileError as error:
        return _Row(found, None, error.message, 0, fits=False)
    need = estimate(header, smallest(CONTEXT)).total
    speed = measured(header)
    guess = speed or tokens_a_second(header, bandwidth())
    return _Row(found, header, "", need, fits=need <= room, speed=guess, measured=speed is not None)


def _worth(row: _Row) -> tuple[bool, bool, int, int]:
    """What orders models for somebody who knows nothing else about them: as `nightdesk fit` does."""
    header = row.header
    return (
        row.fits,
        header is not None and bool(header.chat_template),
        header.parameters if header is not None else 0,
        header.tensor_bytes if header is not None else 0,
    )


def _object(row: _Row) -> dict[str, object]:
    from pipeline.models.quantisation import quality

    facts: dict[str, object] = {"name": row.found.name, "path": str(row.found.path), "from": row.found.program}
    facts |= {"adapters": [str(path) for path in row.found.adapters]} if row.found.adapters else {}
    if row.header is None:
        return facts | {"problem": row.problem}
    header = row.header
    return facts | {
        "architecture": header.architecture,
        "parameters": header.parameters,
        "quantisation": header.quantisation,
        "quality": quality(header.quantisation),
        "size": header.size,
        "context": header.context_length,
        "template": header.chat_template is not None,
        "memory": row.need,
        "fits": row.fits,
        "tokens_per_second": float(f"{row.speed:.2g}"),
        "measured": row.measured,
    }


def _print(rows: list[_Row]) -> None:
    from pipeline.models.inspect import short_count
    from pipeline.models.quantisation import quality

    heads = ("name", "architecture", "size", "quantisation", "GiB", "context", "template", "fits", "tokens/s", "from")
    table = [
        (
            row.found.name,
            row.header.architecture,
            short_count(row.header.parameters),
            f"{row.header.quantisation} ({quality(row.header.quantisation)})",
            f"{row.header.size / 2**30:.1f}",
            row.header.context_length or 0,
            "yes" if row.header.chat_template else "no",
            "yes" if row.fits else "no",
            f"{'' if row.measured else '~'}{float(f'{row.speed:.2g}'):,g}" if row.fits else "",
            row.found.program + (" (with an adapter)" if row.found.adapters else ""),
        )
        for row in rows
        if row.header is not None
    ]
    if table:
        screen.out(*screen.table(heads, table), "")
    for row in rows:
        if row.problem:
            screen.out(f"{screen.safe(row.found.name)} cannot be used: {screen.safe(row.problem)}")
    if table:
        first = max(rows, key=_worth)
        screen.out(
            f"Fits: with {CONTEXT:,} tokens of context, without swapping, as the memory is now.",
            "tokens/s: measured in runs; with ~ an estimate for one answer at a time, memory speed over size.",
            f"Which is best for a task: nightdesk fit TASK    Use one: --model {shlex.quote(first.found.name)}",
        )

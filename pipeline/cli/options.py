"""Options that several verbs share, and the one rule for where they come from when they are not given."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.screen import safe
from pipeline.errors import UserError
from pipeline.loopback import server_address

DATABASE = "nightdesk.db"
MODEL = "demo"

Db = Annotated[
    Path | None,
    typer.Option("--db", metavar="FILE", help=f"The database. Default: $NIGHTDESK_DB, else ./{DATABASE}"),
]
KeyFrom = Annotated[
    str | None,
    typer.Option("--key-from", metavar="FILE|keyring|prompt", help="Where the key is of a database that is encrypted."),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="FILE|demo", help=f"The model, a GGUF file. Default: $NIGHTDESK_MODEL, else {MODEL}"
    ),
]
Server = Annotated[
    str | None,
    typer.Option("--engine", metavar="http://127.0.0.1:PORT", help="A model server that runs here already."),
]
Template = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE", help="A prompt format, a .jinja file or a SillyTavern preset (.json)."),
]
TaskName = Annotated[str | None, typer.Option("--task", metavar="NAME", help="This task only.")]


def database(given: Path | None) -> Path:
    """The database to use: the option, else $NIGHTDESK_DB, else nightdesk.db in the working directory."""
    return given or Path(os.environ.get("NIGHTDESK_DB") or DATABASE).expanduser()


def model(given: str | None) -> str:
    """The model to use: the option, else $NIGHTDESK_MODEL, else the demo model."""
    return given or os.environ.get("NIGHTDESK_MODEL") or MODEL


def server(given: str | None) -> str | None:
    """The address of a server, checked. Raises UserError."""
    if given is not None:
        try:
            server_address(given)
        except ValueError as error:
            raise UserError(f"--engine: {error}.", hint="See `nightdesk help models`.") from error
    return given


def naming(database: Path, key_from: str | None) -> str:
    """The options that name a database, as a command line that is printed holds them."""
    words = ["--db", str(database), *(["--key-from", key_from] if key_from else [])]
    return safe(shlex.join(words))


def absolute(path: Path | str) -> str:
    """A path as the database keeps it: absolute, links not followed."""
    return os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links


def passwords(given: list[str], file: Path | None) -> tuple[str, ...]:
    """The passwords of the command line and those of a file, one a line."""
    if file is None:
        return tuple(given)
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"--password-file: {file} cannot be read: {error.strerror}.", hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"--password-file: {file} is not UTF-8.", hint="Save it as UTF-8 text.") from error
    return (*given, *(line for line in lines if line))

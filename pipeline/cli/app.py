"""The commands and the options that come before them."""

from __future__ import annotations

import os
from importlib import metadata
from typing import Annotated

import typer

from pipeline.cli import screen
from pipeline.cli.bench import bench
from pipeline.cli.bundle import bundle
from pipeline.cli.check import check
from pipeline.cli.doctor import doctor
from pipeline.cli.encrypt import encrypt
from pipeline.cli.eval import evaluate
from pipeline.cli.explain import explain
from pipeline.cli.export import export
from pipeline.cli.failures import failures
from pipeline.cli.fit import fit
from pipeline.cli.help import help as show_help
from pipeline.cli.models import models
from pipeline.cli.purge import purge
from pipeline.cli.retry import retry
from pipeline.cli.run import run
from pipeline.cli.schedule import schedule
from pipeline.cli.status import status
from pipeline.cli.tune import tune
from pipeline.cli.watch import watch

app = typer.Typer(
    name="nightdesk",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # they print local variables, and these hold documents
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        screen.out(f"nightdesk {metadata.version('nightdesk')}")
        raise typer.Exit


@app.callback()
def nightdesk(
    version: Annotated[  # noqa: ARG001 - the callback has done it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours, also with $NO_COLOR set.")] = False,
) -> None:
    """Facts from private documents into a SQLite file, on this machine alone.

    \b
    Begin with:
      nightdesk run receipts samples/receipts --db night.db
      nightdesk help
    """
    if no_color:
        os.environ["NO_COLOR"] = "1"  # as if it had been set outside: libraries and children see it too


for _verb in (
    *(run, status, failures, explain, export, check, retry, purge, encrypt),
    *(doctor, schedule, watch, fit, bundle, tune, bench),
):
    app.command()(_verb)
app.command("eval")(evaluate)
app.add_typer(models, name="models")
app.command("help")(show_help)

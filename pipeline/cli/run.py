"""`nightdesk run`: do a job, draw its progress, say what it did."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Generator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from pipeline.cli import first_of, options, screen
from pipeline.errors import Interrupted, ItemError, Stopped, UserError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from pipeline.cli.stop import Stop
    from pipeline.config import Job
    from pipeline.run.night import NightsEnd


def run(
    subject: Annotated[str, typer.Argument(metavar="TASK|JOB.toml", help="A task, or a job file and nothing else.")],
    inputs: Annotated[list[Path] | None, typer.Argument(metavar="INPUT...", help="Files and folders to read.")] = None,
    db: options.Db = None,
    key_from: options.KeyFrom = None,
    model: options.ModelName = None,
    template: options.Template = None,
    model_change: Annotated[
        Literal["redo", "keep"] | None, typer.Option(help="What is done with rows of another model. Default: redo.")
    ] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE[:SCALE]", help="A LoRA adapter of this model (GGUF); may be repeated."),
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Try a random N documents first.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and count, but load no model.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no messages but errors.")] = False,
    grammar: Annotated[
        Literal["llguidance", "outlines_core", "free"] | None, typer.Option(help="What holds answers to the schema.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="batched|naive|http://127.0.0.1:PORT",
            help="naive: one document at a time, for comparison. An address: a model server that runs here already.",
        ),
    ] = None,
    slots: Annotated[int | None, typer.Option(metavar="N", help="Answers written at the same time.")] = None,
    context: Annotated[int | None, typer.Option(metavar="N", help="Tokens that all slots share.")] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Of all replicas together; default: the physical cores.")
    ] = None,
    replicas: Annotated[int | None, typer.Option(metavar="N", help="Engine processes that share the work.")] = None,
    drafts: Annotated[
        int | None, typer.Option(metavar="N", help="Decode copied words ahead, while at most N answers are written.")
    ] = None,
    allow_swap: Annotated[
        bool, typer.Option("--allow-swap", help="Start although the model does not fit the memory. Very slow.")
    ] = False,
    temperature: Annotated[float | None, typer.Option(metavar="T", help="Default: 0, the likeliest token.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="For temperatures above 0.")] = None,
    samples: Annotated[
        int | None, typer.Option(metavar="K", help="K more answers, drawn; how far they agree counts as confidence.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="06:00", help="Stop at this time, and say what is left.")] = None,
    max_duration: Annotated[str | None, typer.Option(metavar="6h", help="Stop after this time.")] = None,
    max_documents: Annotated[int | None, typer.Option(metavar="N", help="Begin no more documents than these.")] = None,
    only_on_ac: Annotated[bool, typer.Option("--only-on-ac", help="Pause while on battery.")] = False,
    max_load: Annotated[
        float | None, typer.Option(metavar="N", help="Pause while the load average is above N; this run counts too.")
    ] = None,
    nice: Annotated[int | None, typer.Option(metavar="N", help="Let other programs go first: 1 to 19.")] = None,
    ocr: Annotated[
        str | None, typer.Option(metavar="LANGUAGES", help="For scans and photos: por+eng, say; auto (default); off.")
    ] = None,
    changes: Annotated[
        Literal["final", "original", "all"] | None,
        typer.Option(help="Tracked changes: final (default) is with them, original without, all marks both."),
    ] = None,
    summary: Annotated[
        list[Path] | None, typer.Option(metavar="FILE.md|.json", help="Write the summary there too; may be repeated.")
    ] = None,
    no_text: Annotated[
        bool, typer.Option("--no-text", help="Keep neither texts nor quotes in the database: values and offsets only.")
    ] = False,
    password: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="For encrypted PDFs; may be repeated. Others may see it.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same, one a line, seen by nobody.")
    ] = None,
) -> int:
    """Extract facts from documents into a database.

    Does what is missing or has changed, and nothing else: run the same command again after an interruption, or every
    night. Settings in a job file are overruled by options.

    \b
    Examples:
      nightdesk run receipts scans/ --db night.db
      nightdesk run receipts scans/ --limit 20 --model ~/models/qwen3-4b-q8_0.gguf
      nightdesk run night.toml --until 06:00
    """
    from pipeline.cli import job as jobs
    from pipeline.cli import report
    from pipeline.cli.keys import key
    from pipeline.cli.summary import Tally

    given: jobs.Given = {
        ("key_from",): key_from,
        ("model",): model,
        ("template",): template,
        ("model_change",): model_change,
        ("lora",): lora or None,
        ("limit",): limit,
        ("engine", "grammar"): grammar,
        ("engine", "engine"): engine,
        ("engine", "sampling", "temperature"): temperature,
        ("engine", "sampling", "seed"): seed,
        ("engine", "sampling", "samples"): samples,
        ("engine", "shape", "slots"): slots,
        ("engine", "shape", "context"): context,
        ("engine", "shape", "threads"): threads,
        ("engine", "shape", "replicas"): replicas,
        ("engine", "shape", "drafts"): drafts,
        ("engine", "shape", "allow_swap"): allow_swap or None,
        ("night", "until"): until,
        ("night", "max_duration"): max_duration,
        ("night", "max_documents"): max_documents,
        ("night", "only_on_ac"): only_on_ac or None,
        ("night", "max_load"): max_load,
        ("night", "nice"): nice,
        ("ocr",): ocr,
        ("changes",): changes,
        ("summary",): tuple(file.absolute() for file in summary or ()) or None,
        ("no_text",): no_text or None,
        ("password",): options.passwords(password or [], password_file) or None,
    }
    if jobs.is_job_file(subject, inputs or []):
        job = jobs.from_file(Path(subject), db, given)
    else:
        job = jobs.from_command_line(subject, inputs or [], db, given)
    report.check(job.summary)
    try:
        secret = key(job.key_from, job.database)
    except UserError as error:
        report.write_broken(Tally(), job, error)
        raise
    lower_priority(job)
    return do(job, secret, quiet=quiet, dry_run=dry_run)


def lower_priority(job: Job) -> None:
    """As the job asks for; once a process, because the system counts from where it is."""
    if job.night.nice is not None:
        os.nice(job.night.nice)


def do(
    job: Job,
    key: SecretStr | None,
    *,
    quiet: bool,
    dry_run: bool,
    stop: Stop | None = None,
    night: NightsEnd | None = None,
) -> int:
    """Do the job; the exit code. With `stop` somebody else holds the signals; with `night` several runs share it."""
    from pipeline.batching import Halt
    from pipeline.cli import report
    from pipeline.cli.progress import Progress
    from pipeline.cli.stop import Stop as Signals
    from pipeline.cli.summary import Tally, lines
    from pipeline.run import run as story
    from pipeline.run.events import Event, Opened
    from pipeline.run.surroundings import synchronised

    report.check(job.summary)
    if (service := synchronised(job.database)) and not quiet:
        screen.note(f"{screen.safe(str(job.database))} lies in a folder that {service} copies to other machines.")
    tally = Tally()
    extracting = False
    try:
        with nullcontext(stop) if stop is not None else Signals(quiet=quiet) as stop, Progress(quiet=quiet) as progress:
            command = _command(sys.argv[1:])
            told = story(job, key=key, command=command, dry_run=dry_run, should_stop=stop, night=night)
            events = cast("Generator[Event]", told)
            for event in events:
                tally.count(event)
                progress.show(event)
                extracting = extracting or (isinstance(event, Opened) and bool(event.shape))
                if stop.halt is Halt.NOW and not extracting:
                    events.throw(KeyboardInterrupt())
    except BaseException as error:
        report.write_broken(tally, job, error)
        raise
    screen.out(*lines(tally, job))
    codes = [0]
    if tally.summary is not None:
        ended_early = {"interrupted": Interrupted.exit_code, "stopped": Stopped.exit_code}
        codes.append(ended_early.get(tally.summary.state, 0))
    if tally.failures:
        codes.append(ItemError.exit_code)
    code = first_of(codes)
    for file in job.summary:
        try:
            report.write(file, tally, job, code)
        except UserError as error:  # how the night ended says more
            screen.error(error.message, error.hint)
            codes.append(error.exit_code)
    return first_of(codes)


def _command(args: Sequence[str]) -> str:
    """The command line as the database keeps it: without passwords."""
    kept = list(args)
    for index, arg in enumerate(args):
        if arg.startswith("--password="):
            kept[index] = "--password=***"
        elif index and args[index - 1] == "--password":
            kept[index] = "***"
    return shlex.join(["nightdesk", *kept])

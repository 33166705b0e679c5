"""The command line: the only room that prints, and the only place that turns errors into exit codes.

    app.py       the commands, one file a verb
    options.py   options that several verbs share         eval_tables.py  scores and misses, in words
    job.py       command line and job file -> Job
    progress.py  bars on stderr while a run goes      summary.py  what a run did, in words
    stop.py      Ctrl-C and SIGTERM                   screen.py   text, tables and colours for people

`pipeline.errors` has the table of exit codes. Nothing heavy is imported before it is needed, and nothing at all
before the network guard is on.
"""

from __future__ import annotations

import logging
import os
import sys
import tomllib
import traceback
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from pipeline.cli import screen
from pipeline.errors import Interrupted, NightdeskError
from pipeline.offline import guard, quiet_environment

_ASKING = frozenset({"run", "watch", "check", "eval", "fit", "doctor"})
"""The commands that may ask a model server."""
_FIRST = (1, 4, 5, 130, 75, 3, 2, 0)
_PACKAGE = Path(__file__).resolve().parents[1]


def main() -> None:
    """The command `nightdesk`."""
    os.umask(0o077)  # what libraries and children create is for its owner alone, too
    quiet_environment()
    open_the_way(sys.argv[1:])
    guard()
    # Libraries warn and log with the text of documents in their messages. What matters becomes a Failure.
    logging.getLogger().addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    code = call(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        screen.nobody_reads()
    sys.exit(code)


def open_the_way(args: Sequence[str]) -> None:
    """Start the relay to the model server that a command names, if it names one: behind the guard it is too late.

    Reads `--engine` and, where there is none, `engine` under [engine] of a job file. What is wrong there is said by
    the command itself.
    """
    if not _ASKING.intersection(args):
        return
    url: object = None
    for arg, following in zip(args, [*args[1:], ""], strict=True):
        if arg == "--engine" or arg.startswith("--engine="):
            url = following if arg == "--engine" else arg.partition("=")[2]
    if url is None:
        for name in (arg for arg in args[1:] if arg.endswith(".toml")):
            with suppress(OSError, ValueError, AttributeError):
                url = tomllib.loads(Path(name).read_text("utf-8-sig")).get("engine", {}).get("engine")
                break
    if isinstance(url, str) and url.startswith("http://"):
        from pipeline.loopback import server_address
        from pipeline.supervise.relay import relay_to

        with suppress(ValueError):
            relay_to(*server_address(url))


def call(args: Sequence[str]) -> int:
    """Run a command line in this process and give its exit code. Every error ends here."""
    from typer import Abort
    from typer.exceptions import Exit, TyperException
    from typer.main import get_command

    from pipeline.cli.app import app

    try:
        with get_command(app).make_context("nightdesk", [*args]) as context:
            code = context.command.invoke(context)
    except Exit as ended:
        return ended.exit_code
    except TyperException as wrong:  # an option or a command that does not exist
        wrong.show()  # type: ignore[attr-defined]
        return wrong.exit_code
    except NightdeskError as known:
        screen.error(known.message, known.hint)
        return known.exit_code
    except (KeyboardInterrupt, Abort):  # the second: while a question was asked
        return Interrupted.exit_code
    except BrokenPipeError:
        screen.nobody_reads()
        return 0
    except Exception as bug:
        screen.error(
            f"A bug in Nightdesk: {type(bug).__name__} at {_place(bug.__traceback__)}.",
            "What was finished is kept. Please report this line where you got Nightdesk from; it holds nothing "
            "of your documents.",
        )
        return 1
    return code if isinstance(code, int) else 0


def first_of(codes: Iterable[int]) -> int:
    """The exit code to give when several apply."""
    return min(codes, key=_FIRST.index, default=0)


def _place(trace: TracebackType | None) -> str:
    """Where it happened: our innermost line, and the innermost of all. Never what was said there."""
    frames = traceback.extract_tb(trace, limit=None) if trace is not None else []
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    places = [f"{os.path.relpath(frame.filename, _PACKAGE.parent)}:{frame.lineno}" for frame in ours[-1:]]
    if frames and frames[-1] not in ours:
        places.append(f"{Path(frames[-1].filename).name}:{frames[-1].lineno}")
    return " in ".join(reversed(places)) or "an unknown place"

"""`nightdesk doctor`: is this machine in order for a night?"""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli import first_of, options, screen

_MARKS: dict[str, screen.Style] = {"ok": "green", "note": "yellow", "bad": "red"}


def doctor(
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="FILE|demo", help="Answer the sample with this model.")
    ] = None,
    engine: options.Server = None,
    db: options.Db = None,
    key_from: options.KeyFrom = None,
) -> int:
    """Look at versions, machine, model, database and the network guard, and run a sample once.

    Says what it tried. Without --model and --engine the sample runs on a scripted model, which takes a second and
    loads no weights.

    \b
    Examples:
      nightdesk doctor
      nightdesk doctor --model ~/models/instruct.gguf --db night.db
      nightdesk doctor --engine http://127.0.0.1:8080
    """
    from pipeline.cli.keys import key
    from pipeline.config import EngineSettings
    from pipeline.run.doctor import doctor as look
    from pipeline.run.model import SCRIPTED

    codes = [0]
    settings = EngineSettings(engine=options.server(engine) or "batched")
    name = (model or SCRIPTED) if engine is None else options.model(model)
    database = options.database(db)
    for check in look(name, database, settings, key(key_from, database)):
        screen.out(
            f"{screen.styled(f'{check.state:<5}', _MARKS[check.state])}{check.name:<11}{screen.safe(check.said)}"
        )
        if check.hint:
            screen.out(f"{'':<16}{screen.safe(check.hint)}")
        codes.append(check.code)
    bad = sum(code != 0 for code in codes)
    screen.out("", "In order." if not bad else f"{screen.counted(bad, 'thing')} must be mended before a night.")
    return first_of(codes)

"""`nightdesk bundle`: everything for a machine without a network, in one folder with a list of sha256."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options, screen
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.run.bundle import Packed


def bundle(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The bundle: to be made, or to be verified.")],
    wheels: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Wheels that `pip wheel` made.")] = None,
    model: options.ModelName = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compare a bundle with its list.")] = False,
) -> None:
    """Pack Nightdesk, a model and the tasks of this folder for a machine without a network, or verify such a bundle.

    Downloads nothing. Without --wheels it says how to make the wheels.

    \b
    Examples:
      nightdesk bundle usb/nightdesk --wheels wheels --model ~/models/instruct.gguf
      nightdesk bundle usb/nightdesk --verify
    """
    from pipeline.models.gguf import check_model
    from pipeline.models.locate import find_adapters, find_model
    from pipeline.run import bundle as bundles

    if verify:
        packed, wrong = bundles.verify(folder)
        for each in wrong:
            screen.out(f"{screen.safe(each.path)} {each.what}.")
        if wrong:
            raise UserError(
                f"{folder} is not as it was packed: {screen.counted(len(wrong), 'file')}.", hint="Copy it again."
            )
        screen.out(f"As it was packed: {_said(packed)}")
        return
    if wheels is None:
        raise UserError(
            "Wheels are needed: name their folder with --wheels.",
            hint=f"In the folder of Nightdesk's sources: {bundles.WHEEL_COMMAND}",
        )
    name = options.model(model)
    header = check_model(find_model(name))
    if find_adapters(name):
        screen.note(
            "The adapter that Ollama lays over this model is not packed: copy its file, and name it with --lora."
        )
    screen.out(
        f"{screen.safe(str(folder))}: {_said(bundles.pack(folder, wheels, header.files))}",
        "INSTALL.txt there says how to go on. Keep the sha256 of the list apart from the bundle.",
    )


def _said(packed: Packed) -> str:
    return (
        f"{screen.counted(packed.files, 'file')}, {packed.size / 1e6:,.0f} MB.\n"
        f"sha256 of SHA256SUMS: {packed.list_sha256}"
    )

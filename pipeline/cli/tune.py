"""`nightdesk tune`: two or three minutes of measurement, and the settings that later runs then use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options, screen
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.models.gguf import Header
    from pipeline.run.tuned import Measured, Tuned


def tune(
    model: options.ModelName = None,
    show: Annotated[bool, typer.Option("--show", help="What was found before; nothing is measured.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Forget it: later runs use the defaults.")] = False,
    minutes: Annotated[float, typer.Option(min=0.1, metavar="N", help="Large models need more.")] = 2.5,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE.svg", help="Tokens a second over slots.")] = None,
    requantize: Annotated[
        bool, typer.Option("--requantize", help="Write the model as Q8_0 and compare speed and answers.")
    ] = False,
) -> None:
    """Measure which settings make this model fast on this machine, and keep them for later runs.

    Threads, slots, sizes of calls, flash attention, processes, sleeping threads, drafts. Never more memory than is
    free. What a job or an option sets itself is not overruled, and nothing is done again because of it. Runs go well
    without it.

    --requantize writes a sibling of the model file into the cache directory and says whether labelled samples are
    answered otherwise. It is a model of its own, used only where it is named.

    \b
    Examples:
      nightdesk tune --model ~/models/qwen3-4b-q4_k_m.gguf --plot slots.svg
      nightdesk tune --show
    """
    if requantize and plot is not None:
        raise UserError("--requantize measures no slots, so there is nothing to plot.", hint="Leave --plot out.")
    from pipeline.models.gguf import check_model
    from pipeline.models.locate import find_model, sha256_of
    from pipeline.run import tuned

    header = check_model(find_model(options.model(model)))
    if show or reset:
        if reset:
            there = tuned.reset(sha256_of(*header.files))
            screen.out("Forgotten; runs use the defaults." if there else "Nothing was kept for this model here.")
            return
        kept = tuned.load(sha256_of(*header.files))
        if kept is None:
            screen.out("Nothing is kept for this model on this machine; runs use the defaults.")
            return
        _say(kept, plot)
        return
    if requantize:
        _requantize(header)
        return
    from pipeline.run.model import machine
    from pipeline.run.tune import tune as search

    screen.note(f"Measuring {screen.safe(str(header.path))} for about {screen.duration(minutes * 60)} ...")
    for found in search(header, machine(), minutes * 60):
        if isinstance(found, tuned.Tuned):
            tuned.save(found)
            _say(found, plot)
        else:
            screen.note(f"  {_one(found)}")


def _one(trial: Measured) -> str:
    speed = "does not fit or does not run" if trial.tokens is None else f"{trial.tokens:,.0f} tokens/s"
    return f"{trial.name} {trial.value}: {speed}"


def _say(found: Tuned, plot: Path | None) -> None:
    rows = [(t.name, str(t.value), "-" if t.tokens is None else f"{t.tokens:,.0f}") for t in found.trials]
    screen.out(*screen.table(("setting", "value", "tokens/s"), rows), "")
    screen.out(
        f"{found.date}, {screen.counted(found.cores, 'core')}, llama-cpp-python {found.llama_cpp}: "
        f"{screen.safe(found.words())}; {found.tokens:,.0f} tokens/s, {found.before:,.0f} with the defaults."
    )
    screen.out(*(f"Note: {note}" for note in found.notes))
    if plot is not None:
        from pipeline.cli.tune_plot import svg

        try:
            plot.write_text(svg(Path(found.model).name, found.trials), "utf-8")
        except OSError as error:
            raise UserError(f"{plot} cannot be written: {error.strerror}.", hint="Name another file.") from error
        screen.out(f"Plot: {screen.safe(str(plot))}")


def _requantize(header: Header) -> None:
    from pipeline.run.sibling import compare, write

    sibling = write(header)
    screen.out(
        f"{screen.safe(str(sibling))}: {sibling.stat().st_size / 2**20:,.0f} MiB "
        f"(the original, which is untouched: {header.size / 2**20:,.0f} MiB)."
    )
    screen.note("Asking both about the labelled receipts ...")
    done = compare(header.path, sibling)
    rows = [
        (name, f"{side.right} of {side.values}", f"{side.speed:,.0f}")
        for name, side in (("original", done.before), ("Q8_0", done.after))
    ]
    screen.out(*screen.table(("file", "values right", "documents/hour"), rows))
    screen.out(f"{done.changed or 'None'} of {done.asked} values changed.")
    if done.after.right < done.before.right:
        screen.out("Fewer are right than with the original.")
    screen.out(f"It is used only where it is named: --model {screen.safe(str(sibling))}")

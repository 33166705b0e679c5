"""`nightdesk bench`: documents an hour on this machine, beside the slow twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options, screen

if TYPE_CHECKING:
    from pipeline.run.bench import Pace

_NAMES = {"batched": "nightdesk", "naive": "its slow twin"}


def bench(
    model: options.ModelName = None,
    seconds: Annotated[float, typer.Option(min=1.0, metavar="N", help="For each of the two, at most.")] = 30.0,
) -> None:
    """Measure documents an hour on the receipts that ship, beside the slow twin, which does one at a time.

    Both answer the same documents in the same order. Loading the model and a first document are not counted; what was
    begun when the time ends is finished. Nothing is kept, and your documents are not read.

    \b
    Example:
      nightdesk bench --model ~/models/qwen3-4b-q8_0.gguf --seconds 60
    """
    from pipeline.models.locate import find_model
    from pipeline.run.bench import Busy
    from pipeline.run.bench import bench as measure
    from pipeline.run.model import SCRIPTED

    name = options.model(model)
    shown = name if name == SCRIPTED else str(find_model(name))
    screen.note(f"Measuring {screen.safe(shown)}: two engines, {screen.duration(seconds)} each and the loading ...")
    paces: list[Pace] = []
    for found in measure(name, seconds=seconds):
        if isinstance(found, Busy):
            screen.out(
                f"Note: the machine is busy, others use {found.share:.0%} of its cores. Measure when it is quiet."
            )
            continue
        screen.note(f"  {_NAMES[found.engine]}: {screen.safe(found.shape)}")
        paces.append(found)
    heads = ("", "documents", "documents/hour", "prefilled", "reused", "decoded", "calls")
    screen.out(*screen.table(heads, [_row(pace) for pace in paces]))
    screen.out("Tokens and calls are those of one document, on average: decoded are the tokens of its answer.")
    ours, twin = paces
    if ours.documents and twin.documents:
        screen.out(f"{ours.per_hour / twin.per_hour:.1f} times the slow twin.")


def _row(pace: Pace) -> tuple[str | int, ...]:
    counts, each = pace.counts, max(1, pace.documents)
    return (
        _NAMES[pace.engine],
        pace.documents,
        round(pace.per_hour),
        round(counts.prefilled / each),
        round(counts.reused / each),
        round((counts.forced + counts.sampled) / each),
        f"{pace.calls / each:.1f}",
    )

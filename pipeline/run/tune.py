"""Two or three minutes of measurement: which settings of speed suit this model on this machine.

One setting after the other is changed and kept where it is clearly faster. Nothing is tried that would need more
memory than is free. The type of the cache is measured and never chosen, because it changes answers.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import psutil

from pipeline.batching.drafts import MOST
from pipeline.config import Shape
from pipeline.engines.shape import BATCH, FEW, SLOTS, Machine, for_prompts, usable, without_flash
from pipeline.engines.trial import COLD, DOCUMENT, LONG, PREFIX, Pace, Trial, measure, sizes_for
from pipeline.errors import ModelError
from pipeline.models.gate import gate
from pipeline.models.gguf import Header
from pipeline.models.locate import sha256_of
from pipeline.models.memory import estimate
from pipeline.run.model import llama_cpp_version
from pipeline.run.tuned import NAMES, VERSION, Measured, Tuned

CLEARLY = 1.05  # times as fast: less is taken for noise
BUSY = 0.10  # share of the cores that others may use
RIGHT = 1 / 3  # of the tokens of a draft (tests/benchmarks/LOG.md)
DRAFTED = "drafts, if a third is right"
BEHIND = "flash_attention, slots behind a long prompt"
ALONE = f"one prompt of {COLD:,} tokens"
DRIFT = 1.15  # between two measurements of the same

Measure = Callable[[Trial], Pace | None]
Value = int | bool | str


@dataclass(frozen=True, slots=True)
class _Settings:
    threads: int  # of all replicas together
    slots: int = SLOTS
    ubatch: int = 512
    batch: int = BATCH
    flash_attention: bool | Literal["prompts"] = True
    kv_type: str = "f16"
    replicas: int = 1
    passive: bool = False
    drafts: int = 0

    def trial(self, header: Header, seconds: float, prefix: int = PREFIX) -> Trial:
        threads = max(1, self.threads // self.replicas)
        flash = bool(self.flash_attention)
        sizes = sizes_for(
            self.slots, threads, self.ubatch, self.batch, self.kv_type, flash_attention=flash, prefix=prefix
        )
        sizes = for_prompts(header, sizes, self.slots, prefix + DOCUMENT)
        if self.flash_attention == "prompts":
            sizes = without_flash(sizes)
        return Trial(header.path, sizes, self.slots, self.replicas, self.passive, seconds, prefix=prefix)


def others_use() -> float:
    """The share of the cores (0 to 1) that is in use now. Takes a second."""
    return psutil.cpu_percent(interval=1.0) / 100


def tune(
    header: Header,
    offered: Machine,
    seconds: float,
    *,
    busy: Callable[[], float] = others_use,
    measure: Measure = measure,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Measured | Tuned]:
    """Each setting as it was measured, and last what was found. Raises ModelError where not even one slot runs."""
    notes = []
    if (used := busy()) > BUSY:
        notes.append(f"The machine was busy: others used {used:.0%} of its cores. Tune again when it is quiet.")
    until, room = clock() + seconds, usable(offered)
    each = max(0.5, min(1.5, seconds / 30))

    def paced(settings: _Settings, prefix: int, seconds: float) -> Pace | None:
        trial = settings.trial(header, seconds, prefix)
        fits = estimate(header, trial.sizes).of(settings.replicas) <= room
        return measure(trial) if fits else None

    def tried(settings: _Settings, prefix: int = PREFIX) -> float | None:
        pace = paced(settings, prefix, each)
        return None if pace is None else pace.tokens

    batched = not gate(header).recurrent
    default = _Settings(offered.cores, slots=SLOTS if batched else 1)
    while (first := tried(default)) is None:
        if default.slots == 1:
            raise ModelError(f"{header.path} cannot be measured here.", hint=f"nightdesk fit --model {header.path}")
        default = replace(default, slots=default.slots // 2)
    trials = [Measured("slots", default.slots, first)]
    yield trials[0]
    settings, best = default, first
    for name, values in _candidates(default, offered, batched=batched):
        for value in values:
            if clock() >= until:
                break
            changed = replace(settings, **{name: value})  # type: ignore[arg-type]
            trials.append(Measured(name, value, tried(changed)))
            yield trials[-1]
            found = trials[-1].tokens
            if found is not None and found > best * CLEARLY and name != "kv_type":
                settings, best = changed, found
    usual = fastest = 0.0  # tokens a second behind a long prompt, with flash attention for all and at best
    if batched and settings.flash_attention:
        start = settings
        few = [replace(start, flash_attention="prompts", slots=slots) for slots in (FEW, 2 * FEW)]
        few = [each for each in few if not each.trial(header, 0.0, LONG).sizes.flash_attention]  # it can be left out
        for changed in (start, *few) if few else ():
            if clock() >= until:
                break
            value = f"{changed.flash_attention}, {changed.slots}"
            trials.append(Measured(BEHIND, value, tried(changed, LONG)))
            yield trials[-1]
            found = trials[-1].tokens
            if found is None:
                break
            if found > fastest * CLEARLY:
                settings, fastest = changed, found
            usual = usual or found
    quickest = 0.0  # tokens a second of one long prompt
    for name, number in (("ubatch", settings.ubatch), ("ubatch", 256), ("ubatch", 1024), ("batch", 512)):
        if clock() >= until:
            break
        changed = replace(settings, **{name: number})  # type: ignore[arg-type]
        pace = paced(changed, COLD, 0.0)
        trials.append(Measured(f"{name}, {ALONE}", number, None if pace is None else pace.cold))
        yield trials[-1]
        if pace is not None and pace.cold > quickest * CLEARLY:
            settings, quickest = changed, pace.cold
        if not quickest:
            break
    if batched:
        for pair in _drafted(settings.trial(header, each), measure, lambda: clock() >= until):
            trials += pair
            yield from pair
            without, drafting = (trial.tokens or 0.0 for trial in pair)
            if drafting > without * CLEARLY:
                settings = replace(settings, drafts=int(pair[1].value))
    if clock() >= until:
        notes.append("The time was over before everything was tried; what was not keeps its default.")
    again = tried(default) or first
    if max(again, first) > DRIFT * min(again, first):
        notes.append("The same settings gave other speeds at the end than at the start, so the defaults stay.")
        settings, best = default, first
    if settings.flash_attention == "prompts":
        notes.append(f"Behind {LONG:,} shared tokens {fastest:,.0f} tokens/s, and {usual:,.0f} without that.")
    given = Shape().model_dump()
    chosen = {
        name: value for name in NAMES if (value := getattr(settings, name)) not in (given[name], getattr(default, name))
    }
    if settings.flash_attention == "prompts":
        chosen["slots"] = settings.slots  # the two go together
    yield Tuned(
        version=VERSION,
        model=str(header.path),
        sha256=sha256_of(*header.files),
        cores=offered.cores,
        llama_cpp=llama_cpp_version(),
        date=f"{datetime.date.today():%Y-%m-%d}",
        chosen=chosen,
        tokens=best,
        before=first,
        trials=tuple(trials),
        notes=tuple(notes),
    )


def _drafted(trial: Trial, measure: Measure, over: Callable[[], bool]) -> Iterator[tuple[Measured, Measured]]:
    """What is written without and with drafts, for one, two and four answers at a time, as long as drafts pay.

    The second is an estimate, as if every call had drafts. The price of their rows is measured here; how many of them
    come true is what it was on the samples that ship with the demo model.
    """
    for answers in (1, 2, 4):
        if over() or answers > trial.slots:
            return
        few = replace(trial, slots=answers, replicas=1)
        drafted = min(MOST, trial.sizes.max_outputs // answers - 1)  # as many as a call has room for
        plain, drafting = measure(few), measure(replace(few, drafted=drafted))
        without = plain.written if plain else None
        tokens = drafting.written * (1 + drafted * RIGHT) if drafting else None
        yield Measured("drafts", 0, without), Measured(DRAFTED, answers, tokens)
        if not (without and tokens and tokens > without * CLEARLY):
            return


def _candidates(start: _Settings, offered: Machine, *, batched: bool) -> Iterator[tuple[str, list[Value]]]:
    """What is tried beside the settings to start from, the most telling first."""
    logical = psutil.cpu_count() or offered.cores
    threads: set[int] = {max(1, offered.cores // 2), offered.cores, max(1, offered.cores - 1), logical}
    yield "threads", sorted(threads - {start.threads})
    if batched:
        yield "slots", [slots for slots in (1, 2, 4, 8, 16, 32) if slots != start.slots]
    yield "flash_attention", [False]
    if offered.cores > 1:
        yield "replicas", [2]
    yield "passive", [True]
    yield "kv_type", ["q8_0"]

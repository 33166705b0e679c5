"""Two or three minutes of measurement: which settings of speed suit this model on this machine.

One setting after the other is changed and kept where it is clearly faster, also than what it replaces measured again
behind it, since a machine's own speed moves; what was found then runs in turn with the defaults. Nothing is tried that
would need more memory than is free. The type of the cache is measured and never chosen, because it changes answers.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
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
BEHIND = "flash_attention, slots behind short and long prompts"
ALONE = f"one prompt of {COLD:,} tokens"
DRIFT = 1.15  # between two measurements of the same: it is said

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


class _Bench:
    """Measures settings and keeps the record. Nothing runs that would need more memory than there is room."""

    def __init__(self, header: Header, measure: Measure, room: int, seconds: float) -> None:
        """`seconds`: of one measurement."""
        self.trials: list[Measured] = []
        self._header, self._measure, self._room, self._seconds = header, measure, room, seconds

    def tokens(self, settings: _Settings, prefix: int = PREFIX) -> float | None:
        """A second, of documents and answers behind a beginning of `prefix` tokens; None where it cannot be run."""
        pace = self._pace(settings, prefix, self._seconds)
        return None if pace is None else pace.tokens

    def behind(self, settings: _Settings) -> float | None:
        """Tokens a second behind short and long beginnings alike."""
        speeds = [self.tokens(settings, prefix) for prefix in (PREFIX, LONG)]
        return 2 / sum(1 / speed for speed in speeds if speed) if all(speeds) else None

    def cold(self, settings: _Settings) -> float | None:
        """Tokens a second of one long prompt."""
        pace = self._pace(settings, COLD, 0.0)
        return None if pace is None else pace.cold

    def _pace(self, settings: _Settings, prefix: int, seconds: float) -> Pace | None:
        trial = settings.trial(self._header, seconds, prefix)
        fits = estimate(self._header, trial.sizes).of(settings.replicas) <= self._room
        return self._measure(trial) if fits else None

    def record(self, name: str, value: Value, tokens: float | None) -> Measured:
        """One more trial."""
        self.trials.append(Measured(name, value, tokens))
        return self.trials[-1]

    def challenge(
        self,
        name: str,
        value: Callable[[_Settings], Value],
        challenger: _Settings,
        holder: tuple[_Settings, float],
        speed: Callable[[_Settings], float | None],
    ) -> Generator[Measured, None, tuple[_Settings, float]]:
        """The faster of the two, with its speed. The holder is measured again where it seems to be beaten."""
        found = speed(challenger)
        yield self.record(name, value(challenger), found)
        if found is None or found <= holder[1] * CLEARLY:
            return holder
        again = speed(holder[0])
        yield self.record(name, value(holder[0]), again)
        holder = holder[0], again or holder[1]
        return (challenger, found) if found > holder[1] * CLEARLY else holder

    def in_turn(self, one: _Settings, other: _Settings, first: float) -> tuple[list[float], list[float]]:
        """The speeds of both, twice; `first` stands in where the one cannot be run any more."""
        pairs = [(self.tokens(one) or first, self.tokens(other) or 0.0) for _ in range(2)]
        return [mine for mine, _ in pairs], [theirs for _, theirs in pairs]


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
    notes: list[str] = []
    if (used := busy()) > BUSY:
        notes.append(f"The machine was busy: others used {used:.0%} of its cores. Tune again when it is quiet.")
    until = clock() + seconds
    each = max(0.5, min(1.5, seconds / 30))
    bench = _Bench(header, measure, usable(offered), each)

    batched = not gate(header).recurrent
    default = _Settings(offered.cores, slots=SLOTS if batched else 1)
    while (first := bench.tokens(default)) is None:
        if default.slots == 1:
            raise ModelError(f"{header.path} cannot be measured here.", hint=f"nightdesk fit --model {header.path}")
        default = replace(default, slots=default.slots // 2)
    yield bench.record("slots", default.slots, first)
    settings, best = default, first
    for name, values in _candidates(default, offered, batched=batched):
        for value in values:
            if clock() >= until:
                break
            changed = replace(settings, **{name: value})  # type: ignore[arg-type]
            if name == "kv_type":
                yield bench.record(name, value, bench.tokens(changed))
            else:
                held = settings, best
                settings, best = yield from bench.challenge(name, attrgetter(name), changed, held, bench.tokens)
    if batched and settings.flash_attention and clock() < until:
        few = [replace(settings, flash_attention="prompts", slots=slots) for slots in (FEW, 2 * FEW)]
        few = [each for each in few if not each.trial(header, 0.0, LONG).sizes.flash_attention]  # it can be left out
        usual = bench.behind(settings) if few else None
        if usual is not None:
            yield bench.record(BEHIND, _flash_and_slots(settings), usual)
            held = settings, usual
            for changed in few:
                if clock() >= until:
                    break
                held = yield from bench.challenge(BEHIND, _flash_and_slots, changed, held, bench.behind)
            settings = held[0]
    if clock() < until and (quickest := bench.cold(settings)) is not None:
        yield bench.record(f"ubatch, {ALONE}", settings.ubatch, quickest)
        held = settings, quickest
        for name, number in (("ubatch", 256), ("ubatch", 1024), ("batch", 512)):
            if clock() >= until:
                break
            changed = replace(held[0], **{name: number})  # type: ignore[arg-type]
            held = yield from bench.challenge(f"{name}, {ALONE}", attrgetter(name), changed, held, bench.cold)
        settings = held[0]
    if batched:
        for pair in _drafted(settings.trial(header, each), measure, lambda: clock() >= until):
            bench.trials += pair
            yield from pair
            without, drafting = (trial.tokens or 0.0 for trial in pair)
            if drafting > without * CLEARLY:
                settings = replace(settings, drafts=int(pair[1].value))
    if clock() >= until:
        notes.append("The time was over before everything was tried; what was not keeps its default.")
    before, after = [first], [first]
    if settings != default:
        before, after = bench.in_turn(default, settings, first)
        if sum(after) * CLEARLY < sum(before):
            notes.append("In turn with the defaults, what was found was slower, so the defaults stay.")
            settings, after = default, before
    drift = max(first, *before) / min(first, *before)
    if drift > DRIFT:
        notes.append(f"The machine's own speed moved by {drift:.2f} meanwhile.")
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
        tokens=sum(after) / len(after),
        before=sum(before) / len(before),
        trials=tuple(bench.trials),
        notes=tuple(notes),
    )


def _flash_and_slots(settings: _Settings) -> str:
    return f"{settings.flash_attention}, {settings.slots}"


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

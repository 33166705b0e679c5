"""Cells, and what is computed from them. A cell is one alternative on one workload in one round.

No clock and no model here: everything is a function of what the cells say.
"""

from __future__ import annotations

import json
import os
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

OURS = "nightdesk"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one alternative answered to one question."""

    key: str
    document: str
    task: int
    chunk: int
    text: str = field(repr=False)
    prompt_tokens: int
    output_tokens: int
    ended: bool  # not cut by the output budget
    valid: bool  # JSON that the schema takes
    tokens: tuple[int, ...] = field(default=(), repr=False)  # of nightdesk: those fed back, for the floor
    forced: int = 0  # of these


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement, or why there is none (`error`). `seconds` are those of answering; start-up is apart."""

    spec: Mapping[str, object]  # what was asked for: another spec is another cell
    settings: Mapping[str, object] = field(default_factory=dict)
    error: str = ""
    startup: float = 0.0
    seconds: float = 0.0
    questions: int = 0  # that were asked
    done: tuple[str, ...] = ()  # documents all of whose questions were answered
    given_up: int = 0  # documents that were begun and not finished
    prefilled: int | None = None
    generated: int | None = None  # rows evaluated for output tokens
    calls: int | None = None  # of llama_decode
    decode_seconds: float | None = None  # inside llama_decode
    busy: float = 0.0  # share of the machine that others used just before
    answers: tuple[Answer, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """workload, alternative, round."""
        alternative = re.sub(r"\W+", "-", str(self.spec["alternative"]))
        return f"{self.spec['workload']}-{alternative}-r{self.spec['round']}"

    def save(self, folder: Path) -> None:
        """Write beside, then rename: an interrupted benchmark leaves whole cells."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        partial = path.with_suffix(".part")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, ensure_ascii=False, indent=1)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
        data["answers"] = tuple(Answer(**{**each, "tokens": tuple(each["tokens"])}) for each in data["answers"])
        data["done"] = tuple(data["done"])
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: the medians over the rounds of one alternative on one workload."""

    workload: str
    alternative: str
    rounds: int
    documents: float
    per_hour: float
    low: float
    high: float
    ratio: float | None  # documents an hour of nightdesk over this one's
    prefilled: float | None  # a document
    generated: float | None
    calls: float | None
    output_tokens: float
    valid: float
    f1: float | None
    common_f1: float | None
    over_floor: float | None  # wall / floor
    in_decode: float | None  # share of wall inside llama_decode
    note: str = ""


def per_hour(documents: int, seconds: float) -> float:
    """Documents an hour."""
    return 3600.0 * documents / seconds if seconds > 0 else 0.0


def median(values: Iterable[float | None]) -> float | None:
    """The median of what is known."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def common(cells: Iterable[Cell]) -> set[str]:
    """The documents that every alternative finished in each of its rounds."""
    sets = [set(cell.done) for cell in cells if not cell.error and cell.spec["alternative"] != "floor"]
    return set.intersection(*sets) if sets else set()


def over_floor(cell: Cell, floors: Sequence[Cell]) -> float | None:
    """Wall over the floor of the same round: the floor replayed exactly this cell's answers, if none was given up."""
    for floor in floors if not cell.given_up else ():
        if floor.spec["round"] == cell.spec["round"] and floor.decode_seconds and not floor.error:
            return cell.seconds / floor.decode_seconds
    return None


def handed_over(cells: Sequence[Cell]) -> str:
    """Nightdesk on W3 beside the others on W3a, where each task goes by itself; empty where one is missing."""
    ours = _rate(cells, "W3", OURS)
    names = dict.fromkeys(str(cell.spec["alternative"]) for cell in cells if cell.spec["workload"] == "W3a")
    rates = {name: rate for name in names if name != "floor" and (rate := _rate(cells, "W3a", name))}
    if ours is None or not rates:
        return ""
    times = ", ".join(f"{name} {ours / rate:.2f}" for name, rate in rates.items())
    return f"Nightdesk on W3 ({ours:,.0f} documents/hour) is so many times as fast as on W3a: {times}."


def _rate(cells: Sequence[Cell], workload: str, name: str) -> float | None:
    return median(
        per_hour(len(cell.done), cell.seconds)
        for cell in cells
        if (cell.spec["workload"], cell.spec["alternative"]) == (workload, name) and not cell.error and cell.done
    )


def table(cells: Sequence[Cell], f1: Mapping[str, tuple[float | None, float | None]]) -> Iterator[Line]:
    """The lines of all workloads. `f1` gives the F1 of a cell by its name: over its documents, and over common ones."""
    for workload in dict.fromkeys(str(cell.spec["workload"]) for cell in cells):
        here = [cell for cell in cells if cell.spec["workload"] == workload]
        floors = [cell for cell in here if cell.spec["alternative"] == "floor"]
        speeds: dict[str, float] = {}
        for name in dict.fromkeys(str(cell.spec["alternative"]) for cell in here):
            mine = [cell for cell in here if cell.spec["alternative"] == name]
            good = [cell for cell in mine if not cell.error and cell.done]
            if name == "floor" and good:
                continue  # it stands in nightdesk's line
            if not good:
                yield _missing(workload, name, mine[0].error or _none_finished(mine[0]))
                continue
            rates = [per_hour(len(cell.done), cell.seconds) for cell in good]
            speeds[name] = statistics.median(rates)
            answers = [answer for cell in good for answer in cell.answers]
            yield Line(
                workload,
                name,
                rounds=len(good),
                documents=statistics.median(len(cell.done) for cell in good),
                per_hour=speeds[name],
                low=min(rates),
                high=max(rates),
                ratio=speeds[OURS] / speeds[name] if OURS in speeds and speeds[name] else None,
                prefilled=median(_each(cell.prefilled, cell) for cell in good),
                generated=median(_each(cell.generated, cell) for cell in good),
                calls=median(_each(cell.calls, cell) for cell in good),
                output_tokens=sum(a.output_tokens for a in answers) / sum(len(cell.done) for cell in good),
                valid=sum(a.valid for a in answers) / len(answers),
                f1=median(f1.get(cell.name, (None, None))[0] for cell in good),
                common_f1=median(f1.get(cell.name, (None, None))[1] for cell in good),
                over_floor=median(over_floor(cell, floors) for cell in good) if name == OURS else None,
                in_decode=median(cell.decode_seconds and cell.decode_seconds / cell.seconds for cell in good),
                note="; ".join(_notes(mine, good)),
            )


def _each(total: int | None, cell: Cell) -> float | None:
    """A document's share, over all that were begun: every one that is begun is finished."""
    return None if total is None else total / len(cell.done)


def _notes(mine: Sequence[Cell], good: Sequence[Cell]) -> Iterator[str]:
    if len(good) < len(mine):
        yield f"{len(mine) - len(good)} of {len(mine)} rounds failed"
    if given_up := sum(cell.given_up for cell in good):
        yield f"{given_up} documents were begun and not finished in time"
    busy = max(cell.busy for cell in good)
    if busy > 0.1:
        yield f"machine {busy:.0%} busy before a round"


def _none_finished(cell: Cell) -> str:
    return f"none of {cell.given_up} documents that were begun was finished in {cell.seconds:.0f} s"


def _missing(workload: str, name: str, error: str) -> Line:
    none = (None, None, None, None)
    return Line(workload, name, 0, 0, 0, 0, 0, *none, 0, 0, *none, note=error)


_COLUMNS = (
    "workload", "alternative", "documents", "documents/hour (low-high)", "nightdesk is x times", "prefilled/doc",
    "rows/doc", "calls/doc", "output tokens/doc", "valid JSON", "F1", "F1, common documents", "wall/floor",
    "in llama_decode", "note",
)  # fmt: skip


def markdown(lines: Iterable[Line]) -> str:
    """The table for LOG.md."""
    out = [f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"]
    for line in lines:
        speed = f"{line.per_hour:,.0f} ({line.low:,.0f}-{line.high:,.0f})" if line.rounds else "-"
        shown = (
            line.workload,
            line.alternative,
            _number(line.documents, 0) if line.rounds else "-",
            speed,
            _number(line.ratio, 2),
            _number(line.prefilled, 1),
            _number(line.generated, 1),
            _number(line.calls, 1),
            _number(line.output_tokens, 1) if line.rounds else "-",
            _percent(line.valid) if line.rounds else "-",
            _percent(line.f1),
            _percent(line.common_f1),
            _number(line.over_floor, 3),
            _percent(line.in_decode),
            line.note,
        )
        out.append(f"| {' | '.join(shown)} |")
    return "\n".join(out)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"

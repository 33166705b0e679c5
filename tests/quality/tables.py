"""Cells as Markdown, on the documents that were done in every form: nothing is compared across documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.evaluation import FieldScore, Report, compare, evaluate
from tests.quality.cells import in_text
from tests.quality.sets import FORMS, Set

Cell = Mapping[str, object]


def lines(sets: Sequence[Set], cells: Mapping[tuple[str, str], Cell]) -> list[str]:
    """The whole table, then a table of fields for each set."""
    out = [
        "| set | documents | in text | free | extractive | typed | typed - free | of the gap | documents/hour "
        "| right number of items | not in the document |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    below: list[str] = []
    for set in sets:
        mine = {form: cells[set.name, form] for form in FORMS if (set.name, form) in cells}
        if len(mine) < len(FORMS):
            continue
        ids = [one for one in mine["free"]["asked"] if all(one in cell["answers"] for cell in mine.values())]
        if not ids:
            out.append(f"| {set.name} | 0 |" + " |" * 9)
            continue
        reports = {form: _report(set, cell, ids) for form, cell in mine.items()}
        out.append(_row(set, ids, mine, reports))
        below += ["", f"{set.name}, by field (F1, with the interval of 95 of 100 resamples)", "", *_fields(reports)]
    return [*out, *below]


def _report(set: Set, cell: Cell, ids: Sequence[str]) -> Report:
    gold = [one for one in set.gold if one.id in ids]
    return evaluate(gold, {one: cell["answers"][one] for one in ids}, set.types)


def _row(set: Set, ids: list[str], cells: Mapping[str, Cell], reports: Mapping[str, Report]) -> str:
    stand, total = in_text(set, ids)
    ceiling = stand / max(total, 1)
    change = compare(reports["free"], reports["typed"]).micro
    gap = ceiling - change.before
    low, high = change.interval
    hours = [3600 * cell["done"] / cell["seconds"] if cell["seconds"] else 0 for cell in cells.values()]
    counted = [[score for score in report.fields if score.same_length is not None] for report in reports.values()]
    lengths = [sum(s.same_length for s in scores) / max(sum(s.documents for s in scores), 1) for scores in counted]
    outside = [f"{cells[form]['outside']} of {cells[form]['pointed']}" for form in FORMS if form != "free"]
    parts = [
        set.name,
        str(len(ids)),
        f"{100 * ceiling:.1f}",
        *(_share(reports[form].micro) for form in FORMS),
        f"{100 * change.gain:+.1f} ({100 * low:+.1f} to {100 * high:+.1f}){', noise' if change.is_noise else ''}",
        f"{change.gain / gap:.2f}" if gap > 0 else "",
        " / ".join(f"{hour:,.0f}" for hour in hours),
        " / ".join(f"{100 * share:.0f} %" for share in lengths) if counted[0] else "",
        ", ".join(outside),
    ]
    return f"| {' | '.join(parts)} |"


def _fields(reports: Mapping[str, Report]) -> list[str]:
    out = [f"| field | values | {' | '.join(FORMS)} |", f"|---|---|{'---|' * len(FORMS)}"]
    for score in reports["free"].fields:
        same = [next((one for one in reports[form].fields if one.name == score.name), None) for form in FORMS]
        shares = " | ".join("" if one is None else _share(one) for one in same)
        out.append(f"| {score.name} | {score.normalised.gold} | {shares} |")
    return out


def _share(score: FieldScore) -> str:
    low, high = score.interval
    return f"{100 * score.normalised.f1:.1f} ({100 * low:.1f} to {100 * high:.1f})"

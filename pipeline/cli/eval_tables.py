"""What `nightdesk eval` prints: scores, misses, a comparison, a calibration, the worth of examples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pipeline.cli.screen import counted, safe, styled, table

if TYPE_CHECKING:
    from pipeline.data import Evidence, Record
    from pipeline.evaluation import Comparison, Difference, FieldScore, Report
    from pipeline.run.examples import Worth

_MOST_WRONG = 10  # values of one list that are shown with their places


def report_lines(task: str, report: Report, left_out: Mapping[str, int]) -> Iterator[str]:
    """A row a field, and all together."""
    yield styled(f"{task}: {counted(report.documents, 'document')} scored", "bold")
    for why, number in left_out.items():
        yield f"Left out, {why}: {counted(number, 'document')}."
    if report.unanswered:
        yield f"Without a record, so all wrong: {counted(len(report.unanswered), 'document')}."
    yield ""
    heads = ("field", "documents", "precision", "recall", "F1", "95 % of resamples", "exact F1", "right length")
    yield from table(heads, [_row(score) for score in (*report.fields, report.micro)])
    low, high = report.macro_interval
    yield f"The mean of the fields' F1 is {report.macro_f1:.3f} ({low:.3f} to {high:.3f})."


def _row(score: FieldScore) -> tuple[str | int, ...]:
    n = score.normalised
    low, high = score.interval
    length = "" if score.same_length is None else f"{score.same_length} of {score.documents}"
    name = "all values" if score.name == "micro" else score.name
    shares = (f"{n.precision:.3f}", f"{n.recall:.3f}", f"{n.f1:.3f}", f"{low:.3f} to {high:.3f}")
    return (name, score.documents, *shares, f"{score.exact.f1:.3f}", length)


def miss_lines(report: Report, records: Mapping[str, Record]) -> Iterator[str]:
    """Every wrong field of every document: what was said and where, the quote where it differs, what the label says."""
    if not report.misses:
        yield "Nothing went wrong."
        return
    yield ""
    yield styled("What went wrong", "bold")
    for document, misses in groupby(report.misses, key=lambda miss: miss.document):
        yield styled(document, "bold")
        evidence = records[document].evidence if document in records else ()
        wrong = {path for path, right in report.verdicts.get(document, {}).items() if not right}
        for miss in misses:
            yield f"  {safe(miss.name)}"
            yield from _said(miss.predicted, next((piece for piece in evidence if piece.path == miss.name), None))
            within = [piece for piece in evidence if piece.path in wrong and piece.path.startswith(f"{miss.name}[")]
            yield from _wrong([piece for piece in within if piece.quote])
            yield f"    gold  {_shown(miss.gold)}"


def _said(value: object, piece: Evidence | None) -> Iterator[str]:
    said = _shown(value)
    yield f"    said  {said}{_where(piece) if piece else ''}"
    if piece is not None and piece.quote and _shown(piece.quote) != said:
        yield f"    quote {_shown(piece.quote)}"


def _wrong(pieces: Sequence[Evidence]) -> Iterator[str]:
    """The wrong values of a list, as they stand in the document."""
    yield from (f"    wrong {safe(one.path)}: {_shown(one.quote)}{_where(one)}" for one in pieces[:_MOST_WRONG])
    if len(pieces) > _MOST_WRONG:
        yield f"          and {len(pieces) - _MOST_WRONG:,} more"


def _where(piece: Evidence) -> str:
    where = [piece.found.value.replace("_", " ")]
    if piece.place or piece.page is not None:
        where.append(safe(piece.place or f"page {piece.page}"))
    if piece.confidence is not None:
        where.append(f"confidence {piece.confidence:.2f}")
    return f"  ({', '.join(where)})"


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping) and "any_of" in value:
        return " or ".join(_shown(one) for one in value["any_of"])
    return safe(" ".join(value.split()) if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def comparison_lines(before: str, comparison: Comparison) -> Iterator[str]:
    """What changed since another run, and whether it is more than the choice of documents."""
    yield ""
    yield styled(f"Against {before}, on {counted(comparison.documents, 'document')} that both were given", "bold")
    heads = ("field", "F1 before", "F1 now", "gain", "95 % of resamples", "more than noise")
    yield from table(heads, [_difference(one) for one in (*comparison.fields, comparison.micro)])
    for what, changed in (("Better", comparison.better), ("Worse", comparison.worse)):
        if changed:
            yield f"{what}: {', '.join(f'{safe(document)} {safe(name)}' for document, name in changed)}"


def _difference(one: Difference) -> tuple[str, ...]:
    low, high = one.interval
    name = "all values" if one.name == "micro" else one.name
    gain = (f"{one.gain:+.3f}", f"{low:+.3f} to {high:+.3f}", "no" if one.is_noise else "yes")
    return (name, f"{one.before:.3f}", f"{one.after:.3f}", *gain)


def calibration_lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """How well confidence says how often values are right."""
    yield ""
    yield styled(f"Confidence, from {figures['values']:,} values of which {figures['right']:.0%} are right", "bold")
    yield "Each value was rated by a calibration that had not seen its document."
    rows = [(b["values"], f"{b['confidence']:.2f}", f"{b['right']:.2f}") for b in figures["reliability"]]
    yield from table(("values", "confidence", "right"), rows)
    blind = figures["right"] * (1 - figures["right"])
    yield f"Mean squared error (Brier): {figures['brier']:.3f}; one number for all values: {blind:.3f}."
    yield ""
    for one in figures["coverage"]:
        if one["threshold"] is None:
            yield f"No set of values is {one['precision']:.0%} right."
        else:
            yield f"{one['share']:.0%} of the values are {one['precision']:.0%} right: from {one['threshold']:.3f} on."
    yield f"Kept for the runs of this task with this model: {safe(figures['file'])}"
    yield f"Plot: {safe(figures['plot'])}"


def example_lines(worth: Sequence[Worth]) -> Iterator[str]:
    """What each example brings, and what it costs a document."""
    yield styled("What each example is worth: the task was run without it", "bold")
    heads = (
        "without",
        "F1",
        "gain of the example",
        "95 % of resamples",
        "its tokens",
        "seconds a document",
        "it costs",
    )
    yield from table(heads, [_worth(one) for one in worth])
    yield "What it costs are the seconds a document that the run without it saved."
    yield "Its tokens are evaluated once a run; with document_first, with every document."


def _worth(one: Worth) -> tuple[str, ...]:
    if one.example is None:
        return ("nothing", f"{one.f1:.3f}", "", "", "", f"{one.seconds:.3f}", "")
    low, high = one.interval
    noise = " (noise)" if low <= 0 <= high else ""
    gain = (f"{one.gain:+.3f}{noise}", f"{low:+.3f} to {high:+.3f}", f"{one.tokens:,}")
    return (f"example {one.example}", f"{one.f1:.3f}", *gain, f"{one.seconds:.3f}", f"{one.costs:+.3f}")

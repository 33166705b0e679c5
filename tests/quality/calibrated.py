"""What confidence is worth on a labelled set: `nightdesk eval --calibrate` over a cell's database, with its plot."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch

from pipeline.cli import call
from pipeline.errors import UserError
from pipeline.evaluation import Gold
from pipeline.schema import List
from tests.quality.sets import Set


def calibrated(set: Set, gold: Sequence[Gold], task: Path, database: Path, model: str, plot: Path) -> object:
    """The figures of the calibration, which is not kept; None where there are too few values to learn from."""
    folder = database.parent
    labels = folder / "gold.jsonl"
    lines = ({"id": one.id, "file": str(set.path(one)), "fields": _as_asked(set, one)} for one in gold)
    labels.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    plot.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    printed = io.StringIO()
    given = ("--labels", labels, "--db", database, "--model", model, "--calibrate", "--plot", plot, "--json")
    with patch.dict(os.environ, XDG_DATA_HOME=str(folder)), redirect_stdout(printed):
        code = call(["eval", str(task), *map(str, given)])
    assert code in (0, UserError.exit_code), code
    return json.loads(printed.getvalue())["calibration"] if code == 0 else None


def _as_asked(set: Set, gold: Gold) -> dict[str, object]:
    """The labels by the task's names; one value of a list is a list."""
    asked: dict[str, object] = {}
    for field in set.schema.fields:
        name = set.names.get(field.name, field.name)
        if name in gold.fields:
            label = gold.fields[name]
            one = isinstance(field.node, List) and label is not None and not isinstance(label, list)
            asked[field.name] = [label] if one else label
    return asked


def calibration_table(found: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """A row a set, of at least one: how well confidence says how often values are right, and how many can be kept."""
    precisions = [one["precision"] for one in next(iter(found.values()))["coverage"]]
    kept = " | ".join(f"kept at {precision:.0%}" for precision in precisions)
    yield f"| set | values | right | Brier score | one number for all | {kept} |"
    yield f"|---|---|---|---|---|{'---|' * len(precisions)}"
    for name, figures in found.items():
        right, shares = figures["right"], [one["share"] for one in figures["coverage"]]
        cells = [f"{figures['values']:,}", f"{right:.0%}", f"{figures['brier']:.3f}", f"{right * (1 - right):.3f}"]
        yield f"| {name} | {' | '.join([*cells, *(f'{share:.0%}' for share in shares)])} |"

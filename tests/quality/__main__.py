"""The table of answers held freely, to the text, and to spans of their type: `python -m tests.quality`.

Needs $NIGHTDESK_TEST_DATA. Prints Markdown for tests/benchmarks/LOG.md. Cells are kept in --out as they end, so that
the same command goes on where it was stopped; a cell with other settings is run anew. Beside the cells lies a plot for
each set: how often typed values are right by their confidence, from a calibration that had not seen their document.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.quality.calibrated import calibration_table
from tests.quality.cells import cell
from tests.quality.sets import FORMS, SETS, load
from tests.quality.tables import lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.quality", description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", default=",".join(SETS), help="comma-separated; default: all")
    parser.add_argument("--documents", type=int, default=100, help="of a set, evenly drawn; default: 100")
    parser.add_argument("--seconds", type=float, default=120.0, help="of decoding a cell; default: 120")
    parser.add_argument("--model", default="demo", help="a GGUF file, demo or scripted; default: demo")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "nightdesk-quality")
    given = parser.parse_args()
    if "NIGHTDESK_TEST_DATA" not in os.environ:
        parser.error("set NIGHTDESK_TEST_DATA to the folder that holds kie/")
    sets = [load(name) for name in given.sets.split(",")]
    cells = {}
    for one in sets:
        for form in FORMS:
            cells[one.name, form] = made = cell(
                one,
                form,
                given.out,
                model=given.model,
                documents=given.documents,
                seconds=given.seconds,
                threads=given.threads,
            )
            print(
                f"{one.name} {form}: {made['done']} documents in {made['seconds']:.0f} s", file=sys.stderr, flush=True
            )
    print("\n".join(lines(sets, cells)))
    learned = {one.name: figures for one in sets if (figures := cells[one.name, "typed"].get("calibration"))}
    if learned:
        print("", *calibration_table(learned), sep="\n")


if __name__ == "__main__":
    main()

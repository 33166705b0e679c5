"""What confidence is worth on a set, by the command that a user has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.evaluation import Gold
from tests.quality.calibrated import calibration_table
from tests.quality.cells import cell
from tests.quality.sets import Set, load


@pytest.fixture
def invoices(tmp_path: Path) -> Set:
    return load("invoices")


def test_a_typed_cell_tells_what_its_confidence_is_worth(invoices: Set, tmp_path: Path) -> None:
    made = cell(invoices, "typed", tmp_path, model="scripted", documents=8, seconds=60.0, threads=1)

    figures = made["calibration"]
    assert isinstance(figures, dict)
    assert figures["values"] >= 20
    assert "<svg" in (tmp_path / "invoices-calibration.svg").read_text("utf-8")
    *_, row = calibration_table({"invoices": figures})
    assert row.startswith(f"| invoices | {figures['values']:,} | {figures['right']:.0%} | {figures['brier']:.3f} |")


def test_too_few_values_have_no_calibration(invoices: Set, tmp_path: Path) -> None:
    one = replace(invoices, gold=(Gold("a", {"number": "1"}, invoices.gold[0].file),))
    made = cell(one, "typed", tmp_path, model="scripted", documents=1, seconds=60.0, threads=1)

    assert made["calibration"] is None
    assert not (tmp_path / "invoices-calibration.svg").exists()

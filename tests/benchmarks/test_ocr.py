"""What the OCR benchmark computes, and that its scanner gives the same scan every time."""

from __future__ import annotations

import pytest

from tests.benchmarks.ocr import ROOT, Cell, rates, reading_table
from tests.benchmarks.scanning import SCANNERS, scan

PDF = ROOT / "samples/receipts/ballyfern-garden.pdf"


def cell(text: str, read: str, **more: str) -> Cell:
    return Cell(
        **{"task": "receipts", "id": "a", "language": "en", "scanner": "x", "version": "1", **more},
        text=text,
        read=read,
    )


def test_rates_are_edits_for_each_character_and_word_of_the_text():
    got = rates([cell("Total due\n41.50", "Total  due 4150")])

    assert (got.characters, got.words) == (pytest.approx(1 / 15), pytest.approx(1 / 3))


def test_ruled_lines_are_not_text_and_another_order_loses_no_word():
    assert rates([cell("Tea\n-----\n4.60", "Tea 4.60")]).characters == 0
    turned = rates([cell("one two three four", "three four one two")])
    assert turned.found == 1
    assert turned.words > 0.5


def test_the_table_has_a_line_a_language_task_and_scanner():
    cells = [cell("a", "a"), cell("b", "b", id="b"), cell("c", "c", language="pt"), cell("d", "d", scanner="y")]

    assert len(reading_table(cells).splitlines()) == 2 + 3
    assert "| en | 2 receipts | x | 0.0 % | 0.0 % | 100.0 % |" in reading_table(cells)


def test_the_same_document_gives_the_same_scan():
    first, pages = scan(PDF, "", SCANNERS[2])

    assert pages == 1
    assert scan(PDF, "", SCANNERS[2]) == (first, 1)
    assert scan(PDF, "", SCANNERS[1]) != (first, 1)

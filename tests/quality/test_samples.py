"""The table of right values on the samples."""

from __future__ import annotations

from pipeline.evaluation import Gold, evaluate
from tests.quality.samples import FOLDERS, SAMPLES, job, lines, short


def test_every_labelled_folder_is_run_and_scored(tmp_path):
    tasks = job(tmp_path / "night.db", "scripted", 1).tasks
    assert {path.stem for path in (SAMPLES / "gold").glob("*.jsonl")} == {*FOLDERS}
    assert {(path.name, entry.task) for entry in tasks for path in entry.inputs} == {*FOLDERS.items()}


def test_shares_are_of_the_labelled_values_and_a_missing_record_is_wrong():
    items = [{"what": "A", "price": "1"}, {"what": "B", "price": "2"}]
    gold = [Gold("a", {"total": "3", "items": items}), Gold("b", {"total": "4", "items": []})]
    report = evaluate(gold, {"a": {"total": "3", "items": [{"what": "A", "price": "9"}]}})
    rows = [*lines({"invoices": report})]
    assert "| invoices | total | 2 | 2 | 1 | 50 % | 100 % |" in rows
    assert "| invoices | items.price | 1 | 2 | 0 | 0 % | 0 % |" in rows
    assert any(row.startswith("| invoices | items (whole) |") for row in rows)
    assert any(row.startswith("| invoices | all values | 2 | 6 | 2 | 33 %") for row in rows)
    assert [*short({"invoices": report})][-1].startswith("| invoices | 2 | total 50, ")

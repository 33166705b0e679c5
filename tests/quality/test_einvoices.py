"""Labels that are made from the XML of e-invoices."""

from __future__ import annotations

import os

import pytest

from pipeline.evaluation import load_gold
from pipeline.prompting import load_task
from tests.quality.einvoices import main


@pytest.mark.skipif("NIGHTDESK_TEST_DATA" not in os.environ, reason="NIGHTDESK_TEST_DATA names no folder")
def test_every_invoice_is_a_text_without_its_xml_and_has_labels_of_the_task(tmp_path):
    assert main([str(tmp_path)]) == 0

    labels = load_gold(tmp_path / "gold.jsonl")
    assert len(labels) == 13
    known = {field.name for field in load_task("invoices").schema.root.fields}
    for label in labels:
        assert "CrossIndustryInvoice" not in (tmp_path / label.file).read_text("utf-8")
        assert {"number", "date", "total"} <= label.fields.keys() <= known
    by_id = {label.id: label.fields for label in labels}
    german = by_id["inv-MustangGnuaccountingBeispielRE_20140703_502"]
    assert german["due_date"] == "2014-07-24"
    assert german["items"][1] == {"description": "Luftballon", "quantity": "400", "amount": "376.04"}

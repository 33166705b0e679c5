"""Invoices that nobody here wrote, for the task `invoices` as it ships: `python -m tests.quality.einvoices FOLDER`.

Writes the text that a reader sees of each e-invoice of $NIGHTDESK_TEST_DATA, without the XML that travels in the PDF,
and labels made from that XML: FOLDER/gold.jsonl. Then, as for any folder:

    nightdesk run invoices FOLDER --model FILE --db NEW
    nightdesk eval invoices --labels FOLDER/gold.jsonl --db NEW
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lxml import etree
from pypdf import PdfReader

from pipeline.evaluation import load_gold
from tests.quality.sets import read, test_data

FIELDS = {
    "number": "invoice_number",
    "date": "issue_date",
    "supplier": "seller_name",
    "customer": "buyer_name",
    "currency": "currency",
    "total": "grand_total",
}  # of the task, with what the labels that come with the files call them
ITEM = {"description": "Name", "quantity": "BilledQuantity", "amount": "LineTotalAmount"}  # the last of these names


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the texts and the labels."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality.einvoices", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    source = test_data() / "kie" / "einvoice"
    labels = []
    for gold in load_gold(source / "gold.jsonl"):
        invoice = _invoice(source / gold.file)
        if invoice is not None:
            file = f"{gold.id}.txt"
            (folder / file).write_text(read(source / gold.file).text, encoding="utf-8")
            labels.append({"id": gold.id, "file": file, "fields": dict(_fields(gold.fields, invoice))})
    (folder / "gold.jsonl").write_text("".join(json.dumps(one) + "\n" for one in labels), encoding="utf-8")
    print(f"{len(labels)} invoices in {folder}")
    return 0


def _invoice(path: Path) -> etree._Element | None:
    """What a PDF carries for the programs of its receiver."""
    files = PdfReader(path).attachments.items()
    return next((etree.fromstring(content) for name, [content] in files if name.lower().endswith(".xml")), None)


def _fields(given: Mapping[str, object], invoice: etree._Element) -> Iterator[tuple[str, object]]:
    """The labels of one invoice: those that come with it, and from its XML the due date and the items."""
    for name, theirs in FIELDS.items():
        if given.get(theirs) is not None:
            yield name, given[theirs]
    if due := _said(invoice, "DueDateDateTime/{*}DateTimeString"):
        yield "due_date", f"{due[:4]}-{due[4:6]}-{due[6:8]}"
    lines = invoice.iterfind(".//{*}IncludedSupplyChainTradeLineItem")
    items = [{name: _said(line, theirs) for name, theirs in ITEM.items()} for line in lines]
    if items and all(item["description"] for item in items):  # the smallest of the profiles names none
        yield "items", items


def _said(part: etree._Element, name: str) -> str | None:
    found = part.findall(f".//{{*}}{name}")
    return found[-1].text if found else None


if __name__ == "__main__":
    sys.exit(main())

"""What share of the labelled values of a type each finder finds, on documents that nobody here wrote.

A floor is the share that was reached when it was written down; a change may raise it, never lower it.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from lxml import etree
from pypdf import PdfReader

from pipeline.finders import find, normalise
from pipeline.readers import read_file

SAMPLES = Path(__file__).parents[2] / "samples"

# set, type, fields, floor
FLOORS = [
    ("sroie", "date", ("date",), 1.0),
    ("sroie", "money", ("total",), 1.0),
    ("einvoice", "date", ("issue_date",), 0.92),
    ("einvoice", "money", ("grand_total", "tax_basis_total", "tax_total"), 0.89),
    ("einvoice", "id", ("invoice_number",), 1.0),
    ("einvoice", "currency", ("currency",), 1.0),
    ("einvoice", "iban", ("PayeePartyCreditorFinancialAccount/IBANID",), 0.87),
    ("einvoice", "phone", ("TelephoneUniversalCommunication/CompleteNumber",), 0.66),
    ("einvoice", "email", ("EmailURIUniversalCommunication/URIID",), 1.0),
    ("invoice2data", "date", ("date", "date_due"), 1.0),
    ("invoice2data", "money", ("amount", "amount_untaxed", "amount_tax"), 1.0),
    ("invoice2data", "id", ("invoice_number", "order_id"), 0.8),  # one is glued to its neighbours
    ("invoice2data", "currency", ("currency",), 1.0),
    ("invoice2data", "phone", ("telephone",), 0.5),
    ("invoice2data", "iban", ("iban",), 0.0),  # one is not in the text, one is no IBAN
    ("kleister-nda", "date", ("effective_date",), 0.92),
    ("tatqa", "number", ("q1", "q2", "q3", "q4", "q5"), 1.0),
    ("pii", "phone", ("PHONE_NUMBER",), 1.0),
    ("pii", "email", ("EMAIL_ADDRESS",), 1.0),
    ("pii", "url", ("DOMAIN_NAME",), 1.0),
    ("pii", "date", ("DATE_TIME",), 0.0),  # bare years
    ("references", "url", ("url",), 0.5),  # one is printed with a blank in it
    ("references", "number", ("volume",), 1.0),
    ("us-addresses", "number", ("AddressNumber",), 1.0),
    ("xquad", "number", ("q1", "q2", "q3", "q4", "q5"), 1.0),
]

OWN = [
    ("receipts", "date", ("date",)),
    ("receipts", "money", ("total",)),
    ("invoices", "date", ("date", "due_date")),
    ("invoices", "money", ("total", "items.amount")),
    ("contracts", "date", ("date",)),
    ("invoices", "id", ("number",)),
    ("invoices", "currency", ("currency",)),
]


def squeeze(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())


@cache
def read(path: Path) -> str:
    return read_file(path).text


def labels(gold: Path, fields: tuple[str, ...], type: str):
    """Document text and value, for each labelled value of these fields that is written like the type."""
    for line in gold.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        path = gold.parent / row["file"]
        for name in fields:
            outer, _, inner = name.partition(".")
            values = in_xml(path, name) if "/" in name else row["fields"].get(outer)
            values = [item.get(inner) for item in values or []] if inner else values
            for value in values if isinstance(values, list) else [values]:
                if value is None or isinstance(value, dict):
                    continue
                looks_numeric = re.fullmatch(r"(?:RM ?)?[-(]?[$€£]?[\d.,]+[)]?", str(value).strip())
                if type not in ("money", "number") or isinstance(value, int | float) or looks_numeric:
                    yield path, value


@cache
def in_xml(path: Path, name: str) -> list[str]:
    """What the XML in an electronic invoice says for the programs of its receiver."""
    files = [content for file, [content] in PdfReader(path).attachments.items() if file.lower().endswith(".xml")]
    way = ".//" + "/".join(f"{{*}}{part}" for part in name.split("/"))
    return [found.text for file in files for found in etree.fromstring(file).iterfind(way) if found.text]


def is_found(text: str, value: object, type: str) -> bool:
    spans = find(text, type)
    if isinstance(value, int | float):
        return any(Decimal(span.value) == Decimal(str(value)) for span in spans)
    form = normalise(value, type) if type in ("date", "money", "number", "currency") else None
    return any(
        squeeze(text[span.start : span.end]) == squeeze(value) or (form and span.value == form.value) for span in spans
    )


def recall(gold: Path, fields: tuple[str, ...], type: str) -> tuple[int, int, list[str]]:
    results = [(path.name, value, is_found(read(path), value, type)) for path, value in labels(gold, fields, type)]
    return (
        sum(hit for *_, hit in results),
        len(results),
        [f"{name}: {value}" for name, value, hit in results if not hit],
    )


@pytest.mark.parametrize(
    ("name", "type", "fields", "floor"), FLOORS, ids=[f"{name} {type}" for name, type, *_ in FLOORS]
)
def test_the_share_of_labelled_values_that_are_found(name, type, fields, floor) -> None:
    root = os.environ.get("NIGHTDESK_TEST_DATA")
    if not root:
        pytest.skip("NIGHTDESK_TEST_DATA names no folder with the public test data")

    hits, total, missed = recall(Path(root, "kie", name, "gold.jsonl"), fields, type)

    print(f"{name} {type}: {hits} of {total} = {hits / total:.3f}", *missed, sep="\n  ")
    assert hits / total >= floor


@pytest.mark.parametrize(("name", "type", "fields"), OWN, ids=[f"{name} {type}" for name, type, _ in OWN])
def test_every_labelled_value_of_the_samples_is_found(name, type, fields) -> None:
    hits, total, missed = recall(SAMPLES / "gold" / f"{name}.jsonl", fields, type)

    assert total > 0
    assert missed == []
    assert hits == total

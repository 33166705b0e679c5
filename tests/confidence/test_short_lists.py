"""A list that ends before the document does is pointed out; one that does not is left alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.confidence import Part, short_lists
from pipeline.data import Chunk, Evidence, Extraction, Found
from pipeline.readers import read_file
from pipeline.schema import Field, List, Object, Text

SAMPLES = Path(__file__).parents[2] / "samples"
SCHEMA = Object((Field("no", Text()), Field("items", List(Object((Field("name", Text()), Field("price", Text())))))))
ROWS = [f"{n} {name} {n}.50 EUR {n * 2}.00" for n, name in enumerate(("Tea", "Bun", "Jam pot", "Egg", "Oat milk"), 1)]


def part(lines: list[str], items: list[str], samples: tuple[int, ...] = ()) -> Part:
    """A chunk of these lines; `items` are those that were found, samples found that many."""
    text = "\n".join(lines)
    evidence = []
    for number, item in enumerate(items):
        start = text.index(item)
        evidence.append(Evidence(f"items[{number}].name", item, Found.POINTED, start, start + len(item), 1, 1))
    values = {"no": "1", "items": [{"name": item, "price": "1"} for item in items]}
    drawn = tuple({"items": [{"name": "x", "price": "1"}] * number} for number in samples)
    return Part(Chunk("d", 0, 0, len(text), text), Extraction("k", values, (), drawn), evidence)


def reasons(one: Part, others: list[tuple[int, int]] | None = None) -> list[tuple[str, str]]:
    found = short_lists(SCHEMA, one.extraction.values, [one], len(one.chunk.text), {"items": others or []})
    return [(short.path, short.reason) for short in found]


def test_rows_that_look_like_the_items_found_are_missed_ones():
    assert reasons(part(["Invoice 17", *ROWS, "Thank you"], ["Tea", "Bun"])) == [
        ("items", "more lines look like its items")
    ]


def test_a_whole_list_with_its_totals_is_not_marked():
    names = ["Tea", "Bun", "Jam", "Egg", "Oat"]

    assert reasons(part(["Invoice 17", *ROWS, "Net 30.00", "VAT 19 % 5.70", "Total 35.70"], names)) == []


def test_the_totals_of_a_receipt_look_like_its_items_and_are_few():
    lines = ["TEA 2.00", "BUN 1.00", "SUBTOTAL 3.00", "TAX 0.20", "TOTAL 3.20", "CASH 5.00", "CHANGE 1.80"]

    assert reasons(part(lines, ["TEA", "BUN"])) == []


def test_prose_has_no_shape():
    lines = ["Between Acme Ltd and Bolt Inc", "Whereas Acme sells", "Whereas Bolt buys", "Whereas both agree"]

    assert reasons(part(lines, ["Acme Ltd", "Acme sells"])) == []


@pytest.mark.parametrize(("samples", "marked"), [((2, 3, 3), True), ((3, 2, 2), False), ((3, 2), False), ((), False)])
def test_most_samples_must_have_more(samples, marked):
    assert bool(reasons(part(["TEA", "BUN"], ["TEA", "BUN"], samples))) is marked


@pytest.mark.parametrize(("known", "found", "marked"), [(30, 1, True), (30, 4, False), (19, 1, False)])
def test_what_is_usual_is_learned_from_the_jobs_own_documents(known, found, marked):
    items = ["TEA", "BUN", "EGG", "OAT"][:found]
    one = part([*["x" * 200] * 5, *items], items)

    assert (reasons(one, [(12, 1000)] * known) == [("items", "it is usually longer")]) is marked


def test_short_documents_have_short_lists():
    assert reasons(part(["TEA"], ["TEA"]), [(12, 1000)] * 50) == []


@settings(deadline=None)
@given(st.text(alphabet="ab1 .,\n\u0661%", max_size=80), st.integers(0, 3))
def test_any_text_is_judged(text, samples):
    items = text.split()[:2]

    reasons(part([text], items, (9,) * samples))


PRICED = Object((Field("name", Text()), Field("price", Text(type="money"))))


def found_in(text: str, values: dict, schema: Object, evidence: tuple[Evidence, ...] = ()) -> list[str]:
    one = Part(Chunk("d", 0, 0, len(text), text), Extraction("k", values, ()), evidence)
    return [short.path for short in short_lists(schema, values, [one], len(text), {})]


@pytest.mark.parametrize("items", [[], None])
def test_an_empty_list_over_rows_that_hold_such_figures_is_short(items):
    schema = Object((Field("items", List(PRICED)), Field("people", List(Text()))))
    values = {"items": items, "people": []}

    assert found_in("\n".join(["Invoice 17", *ROWS]), values, schema) == ["items"]
    assert found_in("\n".join(["Invoice 17", *ROWS[:4]]), values, schema) == []
    assert found_in("\n".join(row.replace(" ", "\n") for row in ROWS), values, schema) == ["items"]  # cells of a PDF


def test_rows_of_another_list_say_nothing_about_an_empty_one():
    schema = Object((Field("items", List(PRICED)), Field("discounts", List(PRICED))))
    text = "\n".join(ROWS)
    names = ["Tea", "Bun", "Jam", "Egg", "Oat"]
    values = {"items": [{"name": name, "price": None} for name in names], "discounts": []}
    evidence = tuple(
        Evidence(f"items[{number}].name", name, Found.POINTED, text.index(name), text.index(name) + 3)
        for number, name in enumerate(names)
    )

    assert found_in(text, values, schema, evidence) == []


@pytest.mark.parametrize("type", ["money", "number", "date"])
@pytest.mark.parametrize("folder", ["mail", "contracts"])
def test_letters_and_contracts_without_rows_are_not_flagged(folder, type):
    schema = Object((Field("rows", List(Object((Field("what", Text()), Field("figure", Text(type=type)))))),))

    assert [name for name, text in sample_texts(folder) if found_in(text, {"rows": []}, schema)] == []


def test_the_samples_rows_are_seen():
    """What is not seen: an invoice of three items in a letter, and one as a list of definitions."""
    schema = Object((Field("items", List(PRICED)),))
    flagged = {name for name, text in sample_texts("invoices") if found_in(text, {"items": []}, schema)}

    assert {name for name, _ in sample_texts("invoices")} - flagged == {"gipfelglut.eml", "livia-prado.html"}


@cache
def sample_texts(folder: str) -> list[tuple[str, str]]:
    return [(file.name, read_file(file).text) for file in sorted((SAMPLES / folder).iterdir())]


def chunked(first: list[str], second: list[str], shared: int = 0) -> list[tuple[str, str]]:
    """Two chunks of one document, of which the first has items on all of its lines but its own first, the second none;
    the second begins with so many lines of the first."""
    text = "\n".join([*first, *second])
    middle = len("\n".join(first)) + 1
    start = middle - sum(len(line) + 1 for line in first[len(first) - shared :])
    items = [{"name": line, "price": None} for line in first[1:]]
    evidence = [
        Evidence(f"items[{number}].name", line, Found.POINTED, text.index(line), text.index(line) + len(line))
        for number, line in enumerate(first[1:])
    ]
    parts = [
        Part(Chunk("d", 0, 0, middle, text[:middle]), Extraction("k", {"no": "1", "items": items}), evidence),
        Part(Chunk("d", 1, start, len(text), text[start:]), Extraction("l", {"no": "1", "items": []}), []),
    ]
    found = short_lists(SCHEMA, {"no": "1", "items": items}, parts, len(text), {})
    return [(short.path, short.reason) for short in found]


def test_a_later_chunk_without_items_is_compared_with_the_rows_of_an_earlier_one():
    assert chunked(["Invoice 17", *ROWS[:3]], ROWS[3:]) == [("items", "more lines look like its items")]
    assert chunked(["Invoice 17", *ROWS], ["Net 30.00", "VAT 5.70", "Total 35.70", "Pay by 3 May", "in 14 days"]) == []
    assert chunked(["Invoice 17", *ROWS], ["Thank you"], shared=2) == []


def orders(lines: list[str], found: list[list[str]]) -> list[tuple[str, str]]:
    """Orders, each with the items that were found; an order begins with a line `Order <number>`."""
    rows = List(Object((Field("name", Text()),)))
    schema = Object((Field("orders", List(Object((Field("no", Text()), Field("rows", rows))))),))
    text = "\n".join(lines)
    evidence = []
    for number, items in enumerate(found):
        for path, quote in (
            (f"orders[{number}].no", f"Order {number + 1}"),
            *((f"orders[{number}].rows[{at}].name", item) for at, item in enumerate(items)),
        ):
            start = text.index(quote)
            evidence.append(Evidence(path, quote, Found.POINTED, start, start + len(quote), 1, 1))
    values = {"orders": [{"no": str(n), "rows": [{"name": item} for item in items]} for n, items in enumerate(found)]}
    one = Part(Chunk("d", 0, 0, len(text), text), Extraction("k", values, ()), evidence)
    return [(short.path, short.reason) for short in short_lists(schema, values, [one], len(text), {})]


def test_a_list_in_an_item_is_short_where_lines_before_the_next_item_look_like_its_own():
    lines = ["Order 1", *ROWS[:3], "Order 2", *ROWS[3:]]

    assert orders(lines, [["Tea", "Bun", "Jam"], ["Egg", "Oat"]]) == []
    assert orders(lines, [["Tea"], ["Egg", "Oat"]]) == [("orders.rows", "more lines look like its items")]

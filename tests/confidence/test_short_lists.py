"""A list that ends before the document does is pointed out; one that does not is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.confidence import Part, short_lists
from pipeline.data import Chunk, Evidence, Extraction, Found
from pipeline.schema import Field, List, Object, Text

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

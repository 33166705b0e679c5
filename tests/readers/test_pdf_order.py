"""Pages that draw their text in another order than people read it in."""

import random

import pytest

from pipeline import readers

TITLE = "Supply agreement between the two parties that are named in full length below"
LEFT = [
    "The supplier shall deliver the goods to",
    "the buyer at the address above, and on",
    "the days that both have agreed upon in",
    "writing. Where a delivery is late, the",
    "buyer may refuse it within three days",
    "and ask for the price that was paid.",
]
RIGHT = [
    "Payment is due within thirty days of the",
    "invoice. Interest on what is late is one",
    "percent a month. The buyer may hold back",
    "what is in dispute, but not more than a",
    "tenth of the price, until the dispute is",
    "settled by the arbiter named hereunder.",
]
SIGNED = "Signed in Lisbon on 3 May 2025 by both of the parties, in two copies of equal force."
ITEMS = [("Item", "Count", "Price"), ("Tea", "2", "3.50"), ("Jam", "1", "4.20"), ("Bread", "3", "6.00")]

ADDRESSES = [("Bill to", "Ship to"), ("Ana Reis", "Rui Maia"), ("Rua A 3", "Rua B 5"), ("Faro", "Beja")]


def drawn(*pieces):
    """A page with texts (x, y, text) in the order in which they are drawn."""
    return b"".join(b"BT /F1 10 Tf %d %d Td (%s) Tj ET\n" % (x, y, text.encode()) for x, y, text in pieces)


def across(*columns, lefts=(60, 320), top=760):
    """Lines drawn across columns."""
    return [
        (left, top - 13 * number, line)
        for number, lines in enumerate(zip(*columns, strict=True))
        for left, line in zip(lefts, lines, strict=True)
        if line
    ]


def by_column(rows, lefts=(60, 250, 350), top=760):
    """A table drawn one column after the other."""
    return [(left, top - 14 * at, row[column]) for column, left in enumerate(lefts) for at, row in enumerate(rows)]


@pytest.fixture
def text(make_pdf):
    return lambda *pieces: readers.read(make_pdf(drawn(*pieces)), "a.pdf").text


def test_lines_drawn_across_two_columns_are_read_column_by_column(text):
    page = text((60, 800, TITLE), *across(LEFT, RIGHT), (60, 640, SIGNED))

    assert page.split("\n") == [TITLE, *LEFT, *RIGHT, SIGNED]


def test_three_columns_and_one_that_ends_earlier(text):
    short = [*RIGHT[:5], ""]
    narrow = [line[:28] for line in LEFT]
    page = text(*across(LEFT, short, narrow, lefts=(20, 215, 415)))

    assert page.split("\n") == [*LEFT, *RIGHT[:5], *(line.strip() for line in narrow)]


def test_a_table_drawn_column_by_column_is_read_row_by_row(text):
    page = text((60, 800, TITLE), *by_column(ITEMS), (250, 690, "Total"), (350, 690, "13.70"), (60, 660, SIGNED))

    assert page.split("\n") == [TITLE, *("  ".join(row) for row in ITEMS), "Total 13.70", SIGNED]


def test_a_cell_of_two_lines_keeps_its_row(text):
    pieces = by_column(ITEMS, top=760)
    page = text(*pieces[:4], (60, 704, "from our own oven"), *pieces[4:])

    assert page.split("\n") == [*("  ".join(row) for row in ITEMS), "from our own oven"]


@pytest.mark.parametrize(
    "pieces",
    [
        [*((60, 760 - 13 * at, line) for at, line in enumerate(LEFT))],
        [(left, y, line) for (left, y, line) in sorted(across(LEFT, RIGHT), key=lambda piece: piece[0])],
        across(["Date", "Number", "Term", "Law", "Place", "Fee"], ["3 May 2025", "77", "2 years", "Dutch", "Ede", "9"]),
        across([line[: 12 + 5 * at] for at, line in enumerate(LEFT)], [line[:20] for line in RIGHT]),
        across([line[:30] for line in LEFT], ["100" + 24 * " " + "- -", "7" + 26 * " " + "- -"] * 3),
        across(*zip(*ITEMS, strict=True), lefts=(60, 250, 350)),
        by_column(
            [("Bill to", "Ship to"), ("Ana Reis", "Rui Maia"), ("Rua A 3", "Rua B 5"), ("Faro", "Beja")], (60, 300)
        ),
    ],
    ids=[
        "one column",
        "column by column",
        "names and values",
        "ragged cells",
        "names and wide numbers",
        "row by row",
        "two addresses",
    ],
)
def test_a_page_of_the_usual_kind_is_read_in_the_order_in_which_it_is_drawn(text, make_pdf, monkeypatch, pieces):
    found = text(*pieces)
    monkeypatch.setattr("pipeline.readers.pdf_order.Pages.ordered", lambda *_: None)

    assert [line.split() for line in found.split("\n")] == [line.split() for line in text(*pieces).split("\n")]


def test_a_gap_between_two_cells_of_a_row_is_two_blanks(text):
    rows = [("1", "Olive oil, 5 l", "2", "9.50 EUR"), *(("2", "Jam", "1", "4.20 EUR"),) * 2]
    page = text((60, 800, TITLE), *across(*zip(*rows, strict=True), lefts=(60, 90, 300, 400)), (60, 640, SIGNED))

    assert page.split("\n") == [TITLE, *("  ".join(row) for row in rows), SIGNED]


def test_a_cell_of_several_lines_does_not_tear_its_row(text):
    first = [(60, 760, "1.00"), (100, 760, "Design of a"), (100, 748, "sample"), (100, 736, "invoice")]
    rest = [(250, 760, "7 %"), (320, 760, "160.00"), (60, 720, "400.00"), (100, 720, "Balloons"), (250, 720, "19 %")]
    below = [(320, 720, "316.00"), (60, 700, "Net total: 476.00"), (60, 688, "Due in May")]
    page = text(*first, *rest, *below)

    assert page.split("\n") == [
        "1.00  Design of a  7 %  160.00",
        "sample",
        "invoice",
        "400.00  Balloons  19 %  316.00",
        "Net total: 476.00",
        "Due in May",
    ]


def test_blanks_of_justified_lines_and_a_few_gaps_on_a_page_are_blanks(text):
    words = [(60 + 35 * at, 760 - 13 * line, "supply") for line in range(6) for at in range(8)]  # six points apart
    assert set(text(*words).split("\n")) == {" ".join(["supply"] * 8)}
    assert text(*across(["Page 1", "Draft"], ["of 3", "May"])).split("\n") == ["Page 1 of 3", "Draft May"]


def test_the_words_of_a_page_stay_the_same_whatever_is_drawn_where(text, monkeypatch):
    chance = random.Random(7)
    for _ in range(12):
        pieces = [(chance.randrange(20, 400), chance.randrange(40, 800, 7), chance.choice(LEFT)) for _ in range(12)]
        chosen = chance.choice([pieces, sorted(pieces, key=lambda piece: -piece[1]), across(LEFT, RIGHT) + pieces[:1]])
        found = text(*chosen)
        with monkeypatch.context() as patch:
            patch.setattr("pipeline.readers.pdf_order.Pages.ordered", lambda *_: None)
            assert sorted("".join(found.split())) == sorted("".join(text(*chosen).split()))

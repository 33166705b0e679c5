"""Laws of merging: however a document is cut into chunks, its record is the one that the whole would have given."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data import Chunk, Completeness, Conflict, Document, Evidence, Extraction, Found, Page
from pipeline.finders import Settled
from pipeline.merging import merge
from pipeline.schema import Boolean, Choice, Extractive, Field, List, Number, Object, Text

SHA = "a" * 64


def make_document(text: str, note: str = "") -> Document:
    return Document(SHA, text, (Page(1, 0, len(text), note),), "text", "1")


def make_chunk(document: Document, index: int, start: int, end: int) -> Chunk:
    return Chunk(SHA, index, start, end, document.text[start:end])


def one_field(rule: str = "first", node=None) -> Object:
    return Object((Field("a", node or Text(), nullable=True, merge=rule),))


def merge_values(schema: Object, answers: list, evidence=(), cuts=None, settled=None):
    """Chunks of ten characters side by side, one for each answer; None is a failed chunk."""
    document = make_document("x" * (10 * len(answers)))
    answered = [
        (
            make_chunk(document, index, index * 10, index * 10 + 10),
            None if values is None else Extraction(f"k{index}", values, (cuts or {}).get(index, ())),
        )
        for index, values in enumerate(answers)
    ]
    return merge(document, "task", schema, answered, evidence, settled)


# -- scalars ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "given", "kept"),
    [
        ("first", [None, "b", "c", "c"], "b"),
        ("last", ["b", "c", None], "c"),
        ("majority", ["b", "c", "C ", None], "c"),
        ("majority", ["b", "c"], "b"),
        ("first", [None, None], None),
        ("first", [0, 5], 0),
        ("first", [False, True], False),
        ("first", ["", "b"], ""),
    ],
)
def test_a_scalar_follows_its_rule_and_null_is_no_vote(rule, given, kept) -> None:
    record = merge_values(one_field(rule), [{"a": value} for value in given])

    assert record.values == {"a": kept}
    assert record.state is Completeness.COMPLETE


def test_the_most_confident_value_wins_and_a_found_one_beats_an_invented_one() -> None:
    schema = one_field("confident")
    measured = [
        [Evidence("a", "x", Found.POINTED, 1, 2, confidence=0.4)],
        [Evidence("a", "y", Found.FUZZY, 11, 12, confidence=0.9)],
    ]
    found = [[Evidence("a", "x", Found.NOT_FOUND)], [Evidence("a", "y", Found.FOLDED, 11, 12)]]

    assert merge_values(schema, [{"a": "x"}, {"a": "y"}], measured).values == {"a": "y"}
    assert merge_values(schema, [{"a": "x"}, {"a": "y"}], found).values == {"a": "y"}
    assert merge_values(schema, [{"a": "x"}, {"a": "y"}]).values == {"a": "x"}


def test_each_different_value_is_kept_as_a_conflict_with_its_chunk() -> None:
    record = merge_values(one_field(), [{"a": "b"}, {"a": None}, {"a": "c"}, {"a": "B"}, {"a": "c"}, {"a": "d"}])

    assert record.conflicts == (Conflict("a", "b", "c", 2), Conflict("a", "b", "d", 5))


def test_a_conflict_keeps_both_quotes() -> None:
    evidence = [[Evidence("a", "B  b", Found.FOLDED, 1, 5)], [Evidence("a", "C\nc", Found.FOLDED, 11, 14)]]

    record = merge_values(one_field("last"), [{"a": "B b"}, {"a": "C c"}], evidence)

    assert record.conflicts == (Conflict("a", "C c", "B b", 0, "C\nc", "B  b"),)


def test_one_amount_in_two_ways_of_writing_is_no_conflict() -> None:
    money, date = one_field(node=Text(type="money")), one_field(node=Text(type="date", extractive=Extractive("date")))

    assert merge_values(money, [{"a": "1,234.50"}, {"a": "1234.5"}]).conflicts == ()
    assert merge_values(date, [{"a": "5 March 2018"}, {"a": "2018-03-05"}]).conflicts == ()
    assert len(merge_values(money, [{"a": "1,234.50"}, {"a": "1234.60"}]).conflicts) == 1


def test_dates_and_amounts_are_equal_where_they_mean_the_same_in_their_document() -> None:
    money, date = one_field(node=Text(type="money")), one_field(node=Text(type="date"))
    month_first, points = Settled(day_first=False), Settled(decimal=".")

    def conflicts(schema: Object, one: str, other: str, settled: Settled | None = None) -> int:
        return len(merge_values(schema, [{"a": one}, {"a": other}], settled=settled).conflicts)

    assert conflicts(date, "03/04/2018", "March 4, 2018", month_first) == 0
    assert conflicts(date, "03/04/2018", "3 April 2018", month_first) == 1
    assert conflicts(date, "03/04/2018", "3 April 2018") == 0
    assert conflicts(money, "1.234", "1,234.00", points) == 1
    assert conflicts(date, "2O18-04-03", "3 April 2018") == 0


@pytest.mark.parametrize("rule", ["first", "last", "confident", "majority"])
def test_words_in_place_of_a_date_are_no_vote_against_one(rule) -> None:
    """A chunk without dates has to say something."""
    words = {"a": "This Agreement"}
    answers = [words, {"a": "5 May 2020"}, words]
    evidence = [[Evidence("a", "This Agreement", Found.POINTED, 1, 15, confidence=0.9)], [], []]
    evidence[1] = [Evidence("a", "5 May 2020", Found.POINTED, 11, 21, confidence=0.1)]

    record = merge_values(one_field(rule, Text(type="date")), answers, evidence)

    assert record.values == {"a": "5 May 2020"}
    assert record.conflicts == (Conflict("a", "5 May 2020", "This Agreement", 0, "5 May 2020", "This Agreement"),)
    assert merge_values(one_field(rule, Text(type="date")), [words]).values == words


def test_the_evidence_is_that_of_the_value_that_was_kept() -> None:
    first, second = Evidence("a", "b", Found.EXACT, 1, 2), Evidence("a", "c", Found.EXACT, 12, 13)

    record = merge_values(one_field("last"), [{"a": "b"}, {"a": "c"}], [[first], [second]])

    assert record.evidence == (second,)


def test_an_object_is_merged_field_by_field() -> None:
    seller = Object((Field("name", Text(), True), Field("vat", Text(), True, merge="last")))
    schema = Object((Field("seller", seller, nullable=True),))
    evidence = [
        [Evidence("seller.name", "N", Found.EXACT, 1, 2)],
        [Evidence("seller.vat", "V", Found.EXACT, 12, 13)],
        [],
    ]

    record = merge_values(
        schema,
        [{"seller": {"name": "N", "vat": None}}, {"seller": {"name": "M", "vat": "V"}}, {"seller": None}],
        evidence,
    )

    assert record.values == {"seller": {"name": "N", "vat": "V"}}
    assert [piece.path for piece in record.evidence] == ["seller.name", "seller.vat"]
    assert record.conflicts == (Conflict("seller.name", "N", "M", 1, "N", ""),)


# -- completeness -----------------------------------------------------------------------------------------------


def test_a_document_with_a_failed_chunk_is_incomplete() -> None:
    record = merge_values(one_field(), [{"a": "b"}, None])

    assert record.state is Completeness.INCOMPLETE
    assert record.values == {"a": "b"}


def test_a_document_whose_chunks_all_failed_has_a_row_of_nulls() -> None:
    inner = Object((Field("b", Text()),))
    schema = Object(
        (
            Field("a", Text()),
            Field("o", inner),
            Field("l", List(Text()), merge="union"),
            Field("n", inner, nullable=True),
        )
    )

    record = merge_values(schema, [None, None])

    assert record.values == {"a": None, "o": {"b": None}, "l": [], "n": None}
    assert record.state is Completeness.INCOMPLETE


def test_a_page_without_text_makes_the_record_incomplete() -> None:
    document = make_document("text", note="no text layer")

    record = merge(document, "t", one_field(), [(make_chunk(document, 0, 0, 4), Extraction("k", {"a": "x"}))])

    assert record.state is Completeness.INCOMPLETE


def test_a_field_cut_in_one_chunk_is_whole_when_another_chunk_has_it() -> None:
    cut = Evidence("a", "", Found.CUT)

    both = merge_values(one_field(), [{"a": None}, {"a": "b"}], [[cut], []], {0: ("a",)})
    alone = merge_values(one_field(), [{"a": None}, {"a": None}], [[cut], [cut]], {0: ("a",), 1: ("a",)})

    assert (both.state, both.cut, both.evidence) == (Completeness.COMPLETE, (), ())
    assert (alone.state, alone.cut, alone.evidence) == (Completeness.INCOMPLETE, ("a",), (cut,))


# -- lists ------------------------------------------------------------------------------------------------------

ITEM = Object((Field("name", Text(), True), Field("price", Text(type="money"), True)))
ITEMS = Object((Field("items", List(ITEM), merge="union"),))


def read_lines(document: Document, chunk: Chunk, partial: bool = False):
    """What a faultless model says: an item for each line of the chunk that is "name price", with its places."""
    items, evidence = [], []
    position = 0
    for line in document.text.split("\n"):
        start, end = position, position + len(line)
        position = end + 1
        name, price = line.split(" ")
        name_place, price_place = (start, start + len(name)), (end - len(price), end)
        inside = [chunk.start <= place[0] and place[1] <= chunk.end for place in (name_place, price_place)]
        if not all(inside) and not (partial and any(inside)):
            continue
        items.append({"name": name if inside[0] else None, "price": price if inside[1] else None})
        for part, place, value, is_in in (
            ("name", name_place, name, inside[0]),
            ("price", price_place, price, inside[1]),
        ):
            if is_in:
                evidence.append(Evidence(f"items[{len(items) - 1}].{part}", value, Found.EXACT, *place))
    return Extraction("k", {"items": items}), evidence


lines = st.lists(
    st.tuples(st.sampled_from(["tea", "milk", "bread"]), st.sampled_from(["1.00", "2.50"])).map(" ".join),
    min_size=1,
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(rows=lines, size=st.integers(1, 6), overlap=st.integers(0, 4))
def test_however_the_lines_are_cut_each_item_is_there_once(rows, size, overlap) -> None:
    document = make_document("\n".join(rows))
    starts = [0]
    for row in rows:
        starts.append(starts[-1] + len(row) + 1)
    answered, evidence, first = [], [], 0
    while first < len(rows):
        last = min(first + size, len(rows))
        chunk = make_chunk(document, len(answered), starts[first], starts[last] - 1)
        extraction, pieces = read_lines(document, chunk)
        answered.append((chunk, extraction))
        evidence.append(pieces)
        first = last if last == len(rows) else max(last - overlap, first + 1)

    record = merge(document, "t", ITEMS, answered, evidence)

    assert [f"{item['name']} {item['price']}" for item in record.values["items"]] == rows
    assert len(record.evidence) == 2 * len(rows)
    for piece in record.evidence:
        index, part = piece.path.removeprefix("items[").split("].")
        assert record.values["items"][int(index)][part] == document.text[piece.start : piece.end]


@settings(max_examples=100, deadline=None)
@given(rows=lines, data=st.data())
def test_an_item_that_a_chunk_saw_in_part_is_joined_with_its_rest(rows, data) -> None:
    document = make_document("\n".join(rows))
    length = len(document.text)
    words = sorted({0, *(i + 1 for i, char in enumerate(document.text) if char in " \n")})
    cut = data.draw(st.sampled_from(words))
    back = data.draw(st.sampled_from([start for start in words if start <= cut][-4:]))
    left = make_chunk(document, 0, 0, max(cut - 1, 1) if cut else length)
    right = make_chunk(document, 1, back if cut else length, length)
    shares_a_whole_row = document.text.rfind("\n", 0, left.end) + 1 >= right.start
    if not shares_a_whole_row and cut:
        return  # a row of which no part is in both chunks cannot be known for one row

    pairs = [(chunk, *read_lines(document, chunk, partial=True)) for chunk in (left, right)]
    record = merge(document, "t", ITEMS, [(c, e) for c, e, _ in pairs], [pieces for *_, pieces in pairs])

    assert [f"{item['name']} {item['price']}" for item in record.values["items"]] == rows


def item_evidence(index: int, start: int) -> list[Evidence]:
    return [
        Evidence(f"items[{index}].name", "tea", Found.EXACT, start, start + 3),
        Evidence(f"items[{index}].price", "1.00", Found.EXACT, start + 4, start + 8),
    ]


def merge_two(left_items, left_evidence, right_items, right_evidence, cuts=((), ()), schema=ITEMS, text="x" * 100):
    document = make_document(text)
    chunks = [make_chunk(document, 0, 0, 60), make_chunk(document, 1, 40, 100)]
    return merge(
        document,
        "t",
        schema,
        [
            (chunks[0], Extraction("l", {"items": left_items}, cuts[0])),
            (chunks[1], Extraction("r", {"items": right_items}, cuts[1])),
        ],
        [left_evidence, right_evidence],
    )


TEA = {"name": "tea", "price": "1.00"}


def test_equal_items_in_different_places_of_the_overlap_are_kept() -> None:
    record = merge_two([TEA], item_evidence(0, 41), [TEA], item_evidence(0, 50))

    assert record.values["items"] == [TEA, TEA]


def test_the_same_place_in_the_overlap_is_one_item() -> None:
    record = merge_two([TEA, TEA], item_evidence(0, 10) + item_evidence(1, 45), [TEA], item_evidence(0, 45))

    assert record.values["items"] == [TEA, TEA]


def test_a_row_that_two_chunks_read_differently_in_one_part_is_one_item_with_a_conflict() -> None:
    other = {"name": "tea", "price": "2.00"}
    last = Evidence("items[0].price", "2.00", Found.EXACT, 54, 58)

    record = merge_two(
        [TEA, TEA], item_evidence(0, 10) + item_evidence(1, 45), [other], [item_evidence(0, 45)[0], last]
    )

    assert record.values["items"] == [TEA, TEA]
    assert record.conflicts == (Conflict("items[1].price", "1.00", "2.00", 1, "1.00", "2.00"),)
    assert [piece.quote for piece in record.evidence] == ["tea", "1.00"] * 2


def test_a_row_that_two_chunks_class_differently_is_one_item_with_a_conflict() -> None:
    kind = Field("kind", Choice(("food", "drink")), True)
    schema = Object((Field("items", List(Object((*ITEM.fields, kind))), merge="union"),))
    other = {"name": "tea", "price": "2.00", "kind": "food"}
    last = [item_evidence(0, 45)[0], Evidence("items[0].price", "2.00", Found.EXACT, 54, 58)]

    def merged(second: dict, evidence: list[Evidence]):
        return merge_two([{**TEA, "kind": "drink"}], item_evidence(0, 45), [second], evidence, schema=schema)

    assert merged({**TEA, "kind": "food"}, item_evidence(0, 45)).conflicts == (
        Conflict("items[0].kind", "drink", "food", 1),
    )
    assert merged(other, last).values["items"] == [{**TEA, "kind": "drink"}, other]  # two parts: two rows


@pytest.mark.parametrize(
    ("text", "start"),
    [("x" * 50 + "\n" + "x" * 49, 45), ("x" * 100, 54)],
    ids=["on two lines", "not the same place"],
)
def test_different_items_that_share_a_word_are_both_kept(text, start) -> None:
    other = {"name": "tea", "price": "2.00"}
    place = [Evidence("items[0].name", "tea", Found.EXACT, start, start + 3)]
    place += [Evidence("items[0].price", "2.00", Found.EXACT, start + 9, start + 13)]

    record = merge_two([TEA], item_evidence(0, 45), [other], place, text=text)

    assert record.values["items"] == [TEA, other]
    assert record.conflicts == ()


def test_words_that_the_end_of_a_chunk_cut_off_are_taken_from_the_next_one() -> None:
    short, long = {"name": "green", "price": None}, {"name": "green tea", "price": "1.00"}

    record = merge_two(
        [short],
        [Evidence("items[0].name", "green", Found.EXACT, 55, 60)],
        [long],
        [
            Evidence("items[0].name", "green tea", Found.EXACT, 55, 64),
            Evidence("items[0].price", "1.00", Found.EXACT, 65, 69),
        ],
    )

    assert record.values["items"] == [long]
    assert [(piece.path, piece.end) for piece in record.evidence] == [("items[0].name", 64), ("items[0].price", 69)]


def test_cut_paths_follow_their_items_to_their_new_places() -> None:
    half = {"name": "tea", "price": None}

    record = merge_two(
        [TEA], item_evidence(0, 10), [TEA, half], item_evidence(0, 70), ((), ("items[1].price", "items"))
    )

    assert record.values["items"] == [TEA, TEA, half]
    assert set(record.cut) == {"items", "items[2].price"}
    assert record.state is Completeness.INCOMPLETE


def test_a_part_that_was_cut_in_one_chunk_and_read_in_the_next_is_not_cut() -> None:
    half = {"name": "tea", "price": None}
    pieces = [item_evidence(0, 45)[0], Evidence("items[0].price", "", Found.CUT)]

    record = merge_two([half], pieces, [TEA], item_evidence(0, 45), (("items[0].price",), ()))

    assert record.values["items"] == [TEA]
    assert record.cut == ()
    assert record.state is Completeness.COMPLETE
    assert [piece.found for piece in record.evidence] == [Found.EXACT, Found.EXACT]


def test_names_are_not_repeated_but_ordered_texts_and_amounts_are() -> None:
    def joined(node: List) -> list:
        schema = Object((Field("items", node, merge="union"),))
        left = [Evidence("items[0]", "5.00", Found.EXACT, 1, 5)]
        right = [Evidence("items[0]", "5.00", Found.EXACT, 90, 94)]
        return merge_two(["5.00"], left, ["5.00"], right, schema=schema).values["items"]

    assert joined(List(Text())) == ["5.00"]
    assert joined(List(Text(), in_order=True)) == ["5.00", "5.00"]
    assert joined(List(Text(type="money"))) == ["5.00", "5.00"]


def test_a_list_with_another_rule_is_the_list_of_one_chunk() -> None:
    schema = one_field("first", List(Number()))

    evidence = [
        [],
        [Evidence("a[0]", "1.0", Found.FOLDED, 11, 14), Evidence("a[1]", "2", Found.EXACT, 16, 17)],
        [Evidence("a[0]", "3", Found.NOT_FOUND)],
    ]
    record = merge_values(schema, [{"a": []}, {"a": [1, 2]}, {"a": [3]}], evidence)

    assert record.values == {"a": [1, 2]}
    assert record.conflicts == (Conflict("a", [1, 2], [3], 2, "1.0\n2", ""),)


def test_items_that_stand_nowhere_are_not_repeated_by_the_overlap() -> None:
    schema = Object((Field("items", List(Boolean()), merge="union"),))

    assert merge_two([True, False], [], [False], [], schema=schema).values["items"] == [True, False]
    assert merge_two([True], [], [True, True], [], schema=schema).values["items"] == [True, True]


def test_ten_thousand_items_are_joined_in_linear_time() -> None:
    document = make_document("\n".join(["tea 1.00"] * 10_000))
    answered, evidence = [], []
    for number, start in enumerate(range(0, 9 * 10_000, 9 * 20)):
        chunk = make_chunk(document, number, start, min(start + 9 * 24, len(document.text)))
        count = (chunk.end - chunk.start + 1) // 9
        answered.append((chunk, Extraction("k", {"items": [TEA] * count})))
        evidence.append([piece for i in range(count) for piece in item_evidence(i, start + 9 * i)])

    record = merge(document, "t", ITEMS, answered, evidence)

    assert len(record.values["items"]) == 10_000


def test_merging_is_a_function_of_its_input() -> None:
    answers = [{"a": "b"}, {"a": "c"}]

    assert merge_values(one_field(), answers) == merge_values(one_field(), answers)
    assert answers == [{"a": "b"}, {"a": "c"}]

"""Where values stand: every status, every choice, and offsets that code of another kind agrees with."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.data import Chunk, Document, Evidence, Found, Page
from pipeline.grounding import extractive_paths, ground
from pipeline.schema import Boolean, Choice, Extractive, Field, List, Number, Object, Text

SHA = "b" * 64


def make_document(text: str, *breaks: int) -> Document:
    starts = [0, *breaks]
    ends = [*breaks, len(text)]
    pages = tuple(Page(n, s, e) for n, (s, e) in enumerate(zip(starts, ends, strict=True), start=1))
    return Document(SHA, text, pages, "text", "1")


def ground_one(value: object, text: str, node=None, **more) -> Evidence:
    schema = Object((Field("a", node or Text(), nullable=True),))
    (evidence,) = ground({"a": value}, schema, make_document(text), **more)
    return evidence


def squeeze(text: str) -> str:
    """Another folding than the one under test: decomposed, without marks, case, blanks or punctuation."""
    parted = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(char for char in parted if unicodedata.category(char)[0] in "LN")


def check(evidence: Evidence, value: str, text: str) -> None:
    """What every evidence with offsets owes to its reader."""
    assert evidence.start is not None
    assert evidence.end is not None
    assert 0 <= evidence.start < evidence.end <= len(text)
    assert evidence.quote == text[evidence.start : evidence.end]
    assert evidence.occurrences >= 1
    assert evidence.page is not None
    if evidence.found in (Found.POINTED, Found.EXACT, Found.FOLDED):
        assert squeeze(evidence.quote) == squeeze(value)


# -- statuses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text", "found", "quote"),
    [
        ("Acme Ltd", "From: Acme Ltd, London", Found.EXACT, "Acme Ltd"),
        ("ACME LTD", "From: Acme Ltd, London", Found.FOLDED, "Acme Ltd"),
        ("Acme Ltd London", "From: Acme\n  Ltd\tLondon.", Found.FOLDED, "Acme\n  Ltd\tLondon"),
        ("international", "an inter-\nnational firm", Found.FOLDED, "inter-\nnational"),
        ("well-known", "a well-\nknown firm", Found.FOLDED, "well-\nknown"),
        ("cooperation", "their co-operation ends", Found.FOLDED, "co-operation"),
        ("finance", "the \ufb01nance office", Found.FOLDED, "\ufb01nance"),
        ("café", "at the cafe\u0301 bar", Found.FOLDED, "cafe\u0301"),
        ("１２３", "No. 123 here", Found.FOLDED, "123"),
        ("Straße 5", "in der STRASSE 5 dort", Found.FOLDED, "STRASSE 5"),
        ("Vertrag", "im Ver\u00ad\ntrag steht", Found.FOLDED, "Ver\u00ad\ntrag"),
        ("soft", "so\u00adft words", Found.FOLDED, "so\u00adft"),
        ("“Sea View”", 'the "Sea View" hotel', Found.FOLDED, '"Sea View"'),
        ("27, Jalan Dedap 13, Taman", "27,JALAN DEDAP 13,\nTAMAN JOHOR", Found.FUZZY, "27,JALAN DEDAP 13,\nTAMAN"),
        ("Johor Bahru Holdings", "by JOHOR BARHU HOLDINGS today", Found.FUZZY, "JOHOR BARHU HOLDINGS"),
        ("Massachusetts law", "of Massachuse\nt\nt\ns Law", Found.FUZZY, "Massachuse\nt\nt\ns Law"),
        ("ภาษี", "รวมภาษีมูลค่าเพิ่ม", Found.EXACT, "ภาษี"),
        ("千円", "合計千円です", Found.EXACT, "千円"),
        ("رولو", "الفايكينغ رولو إلى", Found.EXACT, "رولو"),
    ],
)
def test_how_a_value_was_found(value, text, found, quote) -> None:
    evidence = ground_one(value, text)

    assert (evidence.found, evidence.quote) == (found, quote)
    check(evidence, value, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Globex", "Only Acme is named here"),
        ("5", "15 of 2015 and 5.00"),
        ("ten", "listen, often"),
        ("60", "60.30"),
        ("30", "60.30"),
        ("न", "ना नि"),
        ("an answer that is longer than all of it", "short"),
    ],
)
def test_what_does_not_stand_there_is_not_found(value, text) -> None:
    evidence = ground_one(value, text)

    assert evidence == Evidence("a", value, Found.NOT_FOUND)


def test_a_value_of_the_examples_alone_is_marked_so() -> None:
    assert ground_one("Globex", "Only Acme here", examples="From Globex Inc").found is Found.FROM_EXAMPLE
    assert ground_one("GLOBEX", "Only Acme here", examples="From Globex Inc").found is Found.FROM_EXAMPLE
    assert ground_one("Globex", "Acme and Globex", examples="From Globex Inc").found is Found.EXACT
    assert ground_one(12.5, "paid 12.60", Number(), examples="paid 12.50").found is Found.FROM_EXAMPLE


def test_what_only_resembles_the_text_but_stands_in_an_example_is_the_example_s() -> None:
    evidence = ground_one("Johor Bahru Holdings", "JOHOR BARHU HOLDINGS", examples="of Johor Bahru Holdings")

    assert evidence.found is Found.FROM_EXAMPLE


@pytest.mark.parametrize(
    ("value", "type", "text", "quote"),
    [
        ("2018-03-05", "date", "on 5 March 2018 at", "5 March 2018"),
        ("1234.50", "money", "Total EUR 1.234,50", "EUR 1.234,50"),
        ("DE89370400440532013000", "iban", "IBAN DE89 3704 0044 0532 0130 00.", "DE89 3704 0044 0532 0130 00"),
    ],
)
def test_a_typed_value_is_found_in_another_writing(value, type, text, quote) -> None:
    evidence = ground_one(value, text, Text(type=type))

    assert (evidence.found, evidence.quote, evidence.occurrences) == (Found.FOLDED, quote, 1)


@pytest.mark.parametrize(
    ("value", "type", "text"),
    [
        ("1,234.56", "money", "Total EUR 1,234.58"),
        ("$5,000.00", "money", "Total €5,000.00"),
        ("$5.00", "money", "Total €5.00"),
        ("123,456.00", "money", "Total 12,345.600"),
        ("2018-03-05", "date", "on 2018-03-06 at"),
        ("1.11.2018", "date", "am 11.1.2018"),
        ("1234567", "number", "1234568 pieces"),
        ("DE89370400440532013000", "iban", "IBAN DE88 3704 0044 0532 0130 00."),
        ("+44 20 7946 0018", "phone", "call +44 20 7946 0019"),
        ("jane.doe@example.org", "email", "to jan.doe@example.org"),
        ("https://example.org/one", "url", "at https://example.org/ones"),
    ],
)
def test_a_typed_value_that_differs_in_a_character_or_its_currency_is_not_found(value, type, text) -> None:
    assert ground_one(value, text, Text(type=type)) == Evidence("a", value, Found.NOT_FOUND)


@pytest.mark.parametrize("pointed", [(), ("a",)])
@pytest.mark.parametrize(
    ("value", "type", "text", "start", "occurrences"),
    [
        ("3", "number", "Date 3/4/2018\nQty 3", 18, 1),
        ("March 2018", "date", "5 March 2018, then March 2018", 19, 1),
        ("March 2018", "date", "5 March 2018, then March\n2018", 19, 1),
        ("1O.50", "money", "No 21O.50.7, 1O.50", 13, 1),
        ("5 March", "date", "on 5 March or 5 March 2018", 3, 2),  # no finder's: as good here as there
    ],
)
def test_a_typed_value_stands_where_the_finder_of_its_type_accepts_it(
    value, type, text, start, occurrences, pointed
) -> None:
    evidence = ground_one(value, text, Text(type=type, extractive=Extractive(type)), pointed=pointed)

    assert (evidence.start, evidence.occurrences) == (start, occurrences)
    check(evidence, value, text)


@pytest.mark.parametrize(("value", "text"), [("$5.00", "USD 5.00"), ("€5.00", "5,00"), ("5.0", "€5.00")])
def test_the_currency_counts_where_both_name_one(value, text) -> None:
    assert ground_one(value, text, Text(type="money")).found is Found.FOLDED


@pytest.mark.parametrize(
    ("value", "text", "found", "quote"),
    [
        (60.3, "RM 60.30", Found.FOLDED, "60.30"),
        (12, "12 pieces", Found.EXACT, "12"),
        (1234.5, "1.234,50 und 3,20", Found.FOLDED, "1.234,50"),
        (-5, "(5.00)", Found.FOLDED, "(5.00)"),
        (7, "17 and 70", Found.NOT_FOUND, "7"),
    ],
)
def test_a_number_is_found_by_its_value(value, text, found, quote) -> None:
    evidence = ground_one(value, text, Number())

    assert (evidence.found, evidence.quote) == (found, quote)


def test_generated_values_are_marked_and_missing_ones_have_no_evidence() -> None:
    schema = Object(
        (
            Field("kind", Choice(("invoice", "receipt"))),
            Field("paid", Boolean()),
            Field("about", Text(summary=True)),
            Field("gone", Text(), nullable=True),
            Field("empty", Text()),
            Field("list", List(Text())),
        )
    )
    values = {"kind": "invoice", "paid": True, "about": "invoice", "gone": None, "empty": " ", "list": []}

    assert ground(values, schema, make_document("an invoice, true"), examples="invoice") == (
        Evidence("kind", "", Found.GENERATED),
        Evidence("paid", "", Found.GENERATED),
        Evidence("about", "", Found.GENERATED),
    )


def test_a_cut_path_has_evidence_of_its_own() -> None:
    schema = Object((Field("a", Text(), nullable=True),))

    assert ground({"a": None}, schema, make_document("text"), cut=("a",)) == (Evidence("a", "", Found.CUT),)


def test_a_field_that_the_grammar_held_is_pointed() -> None:
    schema = Object((Field("a", Text(extractive=Extractive())), Field("b", Text())))
    document = make_document("one two\nthree")

    a, b = ground({"a": "two three", "b": "one"}, schema, document, pointed=extractive_paths(schema))

    assert (a.found, a.quote) == (Found.POINTED, "two\nthree")
    assert b.found is Found.EXACT


def test_a_pointed_value_that_is_not_there_is_not_called_pointed() -> None:
    schema = Object((Field("a", Text(extractive=Extractive())),))

    (evidence,) = ground({"a": "absent"}, schema, make_document("one two"), pointed=["a"])

    assert evidence.found is Found.NOT_FOUND


def test_extractive_paths_leave_out_item_numbers() -> None:
    item = Object((Field("name", Text(extractive=Extractive())), Field("kind", Text())))
    schema = Object(
        (Field("items", List(item)), Field("tags", List(Text(extractive=Extractive()))), Field("b", Text()))
    )

    assert extractive_paths(schema) == {"items[].name", "tags[]"}


# -- place ------------------------------------------------------------------------------------------------------


def test_only_the_chunk_that_was_read_is_searched_and_offsets_are_the_document_s() -> None:
    text = "Acme here.\nAcme there.\nGlobex too."
    document = make_document(text, 11, 23)
    chunk = Chunk(SHA, 1, 11, 22, text[11:22])
    schema = Object((Field("a", Text()), Field("b", Text())))

    a, b = ground({"a": "ACME", "b": "Globex"}, schema, document, chunk=chunk)

    assert (a.start, a.end, a.page, a.occurrences) == (11, 15, 2, 1)
    assert b.found is Found.NOT_FOUND


def test_occurrences_are_counted_and_a_scalar_takes_the_first() -> None:
    evidence = ground_one("tea", "tea, TEA, tea and teapot")

    assert (evidence.start, evidence.occurrences) == (0, 2)


MENU = "qty item price\n1 tea 1.00\n2 milk 1.00\n1 tea 2.00\n2 milk 1.00\ntotal 5.00"
ROW = Object((Field("qty", Text()), Field("name", Text()), Field("price", Text())))


def rows_schema(in_order: bool = False) -> Object:
    return Object((Field("rows", List(ROW, in_order=in_order)),))


def ground_rows(rows: list[tuple[str, str, str]], in_order: bool = False) -> list[set[int]]:
    """The lines of the menu on which the parts of each row were found."""
    values = {"rows": [dict(zip(("qty", "name", "price"), row, strict=True)) for row in rows]}
    lines: list[set[int]] = [set() for _ in rows]
    for evidence in ground(values, rows_schema(in_order), make_document(MENU)):
        index = int(re.match(r"rows\[(\d+)\]", evidence.path).group(1))
        lines[index].add(MENU.count("\n", 0, evidence.start))
    return lines


@pytest.mark.parametrize("in_order", [False, True])
def test_the_parts_of_an_item_stand_near_each_other_and_items_behind_each_other(in_order) -> None:
    rows = [("1", "tea", "1.00"), ("2", "milk", "1.00"), ("1", "tea", "2.00"), ("2", "milk", "1.00")]

    assert ground_rows(rows, in_order) == [{1}, {2}, {3}, {4}]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("Tea 9.00\nTOTAL 9.00\nCash 9.00", 15),
        ("Tea 9.00\nTotal\n\n9.00 EUR", 16),
        ("Tea 9.00\nTotal below\n9.00\n9.00 in total", 26),
        ("Tea 9.00\nCash 9.00", 4),
        ("Total 9.00\nTotal due\n9.00\nCash 9.00", 21),
        ("Tea 9.00\nT O T A L   9.00\nCash 9.00", 21),
    ],
)
def test_a_value_that_is_near_words_stands_beside_the_first_that_has_it(text: str, start: int) -> None:
    node = Text(type="money", extractive=Extractive("money", near=("total due", "total")))
    found = ground_one("9.00", text, node)
    assert found.start == start
    assert found.occurrences == text.count("9.00")


def test_equal_items_take_different_places() -> None:
    assert ground_rows([("2", "milk", "1.00"), ("2", "milk", "1.00")]) == [{2}, {4}]


def test_items_out_of_order_are_still_found() -> None:
    assert ground_rows([("1", "tea", "2.00"), ("1", "tea", "1.00")]) == [{3}, {1}]


def test_a_list_of_texts_goes_through_the_document() -> None:
    schema = Object((Field("names", List(Text(), in_order=True)),))

    evidence = ground({"names": ["b", "a", "b"]}, schema, make_document("a b a b"))

    assert [piece.start for piece in evidence] == [2, 4, 6]


# -- laws -------------------------------------------------------------------------------------------------------

WORDS = ["Acme", "Ltd", "naïve", "cafe\u0301", "Straße", "\ufb01nance", "12.50", "東京都", "привет", "İzmir", "مرحبا",
         "हिन्दी", "well-known", "“quoted”", "10%", "(5)", "so\u00adft", "ﷺ", "👩\u200d👧", "x", "O'Neil",
         "한국어", "e-mail"]  # fmt: skip
BLANKS = [" ", "\n", "  ", "\t", "\u00a0", " \n "]
documents = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(BLANKS)), min_size=1, max_size=25)


def rewrite(words: list[str], how: str) -> str:
    text = " ".join(words)
    match how:
        case "upper":
            return text.upper()
        case "lower":
            return text.lower()
        case "nfkc":
            return unicodedata.normalize("NFKC", text)
        case "nfd":
            return unicodedata.normalize("NFD", text)
        case "broken":
            return "\n".join(words)
    return text


@settings(max_examples=200, deadline=None)
@given(parts=documents, data=st.data(), how=st.sampled_from(["as it is", "upper", "lower", "nfkc", "nfd", "broken"]))
def test_a_run_of_words_is_found_however_it_is_rewritten(parts, data, how) -> None:
    text = "".join(word + blank for word, blank in parts)
    first = data.draw(st.integers(0, len(parts) - 1))
    last = data.draw(st.integers(first + 1, min(first + 6, len(parts))))
    words = [word for word, _ in parts[first:last]]
    value = rewrite(words, how)

    evidence = ground_one(value, text)

    assert evidence.found in (Found.EXACT, Found.FOLDED)
    check(evidence, value, text)


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=80), value=st.text(min_size=1, max_size=20), examples=st.text(max_size=40))
def test_whatever_is_found_really_stands_there(text, value, examples) -> None:
    assume(value.strip())

    evidence = ground_one(value, text, examples=examples)

    if evidence.start is not None:
        check(evidence, value, text)
    else:
        assert evidence.found in (Found.NOT_FOUND, Found.FROM_EXAMPLE)
        assert evidence.quote == value
        assert value not in text or value != value.strip() or len(value) < 12


@pytest.mark.parametrize(
    "text",
    ["a" * 20_000, "a " * 10_000, "-a" * 10_000, "1," * 10_000],
    ids=["letters", "words", "hyphens", "digits"],
)
def test_hostile_text_is_searched_in_bounded_time(text) -> None:
    for node, value in ((Text(), "b" * 500), (Text(type="money"), "77.00"), (Text(), "a a"), (Number(), 5)):
        ground_one(value, text, node)

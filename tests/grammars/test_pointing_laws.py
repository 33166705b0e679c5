"""Laws of extractive grammars over random texts and schemas: what is accepted stands in the document and no more, all
that a field may point at is accepted, and a list in order goes through the document once and ends."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pointed import NASTY, PIECES, accepts, answer, field, schema_of, walk

from pipeline.finders import MENDED, find, mend
from pipeline.grammars.llguidance import Engine
from pipeline.grammars.places import Places
from pipeline.grammars.terminals import MAX_LINES
from pipeline.grammars.words import units
from pipeline.schema import fold, parse

SEEDS = st.integers(0, 2**32).map(Random)
WORDS = [piece for piece in PIECES if piece.strip() and len(piece.split()) == 1]
VALUES = ["2.00", "EUR 3.50", "12/07/2024", "4 May 2025", "Tea", "firm", "Tel: ", "a  b", "|", "(12-X)", "5.00EUR"]
BROKEN = ["inter-\nnational", "Ver\u00ad\ntrag", "nat-\nio-\nnal"]
ROWS = ["Tea 1 2.00", "Milk 2 3.50 7.00", "Cake 2.00 4.00", "Total 9.00"]
TEXTS = st.lists(
    st.tuples(st.sampled_from([*WORDS, *VALUES, *BROKEN, *ROWS]), st.sampled_from([" ", " ", "\n", "\n\n", ""])),
    max_size=14,
).map(lambda parts: "".join(piece + gap for piece, gap in parts))
KINDS: list[dict[str, object]] = [
    {"unit": "word"},
    {"unit": "line"},
    {"unit": "lines"},
    {"type": "money"},
    {"type": "date"},
    {"type": "money", "near": ["total"]},
    {"unit": "lines", "near": ["total"]},
    {"one_of": ["tea", "FIRM", "eur 3.50", "Total 9"]},
]
LENGTHS = st.sampled_from([None, 1, 5, 12])
# Words parted by single blanks, without labels, gaps and brackets: lines have no parts.
PLAIN_LINES = st.lists(
    st.lists(
        st.sampled_from([*(word for word in WORDS if word not in ("-", "\x07")), *BROKEN]), min_size=1, max_size=3
    ).map(" ".join),
    min_size=1,
    max_size=8,
)


@st.composite
def items(draw: st.DrawFn) -> dict[str, object]:
    """A text that points, or an object of several, some of which may be null."""
    texts = st.builds(lambda kind, length: field(max_length=length, **kind), st.sampled_from(KINDS), LENGTHS)
    if draw(st.booleans()):
        return draw(texts)
    properties, all_nullable = {}, draw(st.booleans())
    for name in draw(st.sampled_from(["a", "ab", "abc"])):
        node = draw(st.one_of(texts, texts.map(lambda text: {"type": "array", "maxItems": 2, "items": text})))
        properties[name] = {"anyOf": [node, {"type": "null"}]} if all_nullable or draw(st.booleans()) else node
    if draw(st.booleans()):
        properties["paid"] = {"type": "boolean"}
    return {"type": "object", "properties": properties, "required": [*properties]}


def strings(value: object) -> list[str]:
    """All texts of an item."""
    match value:
        case str():
            return [value] if value else []
        case list():
            return [text for one in value for text in strings(one)]
        case dict():
            return strings([*value.values()])
    return []


@given(st.one_of(TEXTS, NASTY), items(), st.sampled_from([None, "line", "block", "row"]), SEEDS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_each_item_of_a_list_in_order_stands_behind_the_one_before_and_the_list_ends(
    source, item, within, random, endless
):
    notes = {"in_order": True, **({"within": within} if within else {})}
    listed = schema_of({"type": "array", "items": item, "x-nightdesk": notes})
    text, at = fold(source).text, 0

    said = parse(listed, walk(listed, source, random, endless=endless))["v"]

    for number, one in enumerate(said):
        values = strings(one)
        if not values:
            assert within == "row" or number >= len(said) - 2
            continue
        end = max(text.index(value, at) + len(value) for value in values)
        assert end > at
        at = end
    assert len(said) <= len(units(text)) + 1


def test_a_list_of_items_that_may_say_nothing_ends():
    names = {"type": "object", "properties": {"name": {"anyOf": [field(), {"type": "null"}]}}, "required": ["name"]}
    nothing = {"name": None}
    for notes in ({}, {"within": "line"}, {"within": "block"}):
        listed = schema_of({"type": "array", "items": names, "x-nightdesk": {"in_order": True, **notes}})
        assert accepts(listed, "a\nb\nc", answer([{"name": "a"}, nothing]))
        assert not accepts(listed, "a\nb\nc", answer([nothing] * 3))


def test_a_line_that_breaks_within_a_word_is_no_value_of_its_own():
    listed = schema_of({"type": "array", "items": field(unit="line"), "x-nightdesk": {"in_order": True}})
    source = "The inter-\nnational firm\nof Porto"
    assert accepts(listed, source, answer(["The international firm", "of Porto"]))
    assert not accepts(listed, source, answer(["The inter"]))
    assert not accepts(listed, source, answer(["national firm"]))
    assert not accepts(listed, source, answer(["The international firm"] * 2))


# --- what one field may point at


def bounds(text: str) -> tuple[list[int], list[int]]:
    """Where words of the text begin and end; a space is none."""
    starts, ends, at = [], [], 0
    for unit in units(text):
        if unit != " ":
            starts.append(at)
            ends.append(at + len(unit))
        at += len(unit)
    return starts, ends


def runs(text: str, limit: int | None) -> set[str]:
    """Every run of words up to the limit."""
    starts, ends = bounds(text)
    found = {text[start:end] for start in starts for end in ends if end > start}
    return {one for one in found if limit is None or len(one) <= limit}


@given(NASTY, LENGTHS, SEEDS)
@settings(max_examples=60, deadline=None)
def test_a_text_points_at_runs_of_words_within_its_length_and_at_all_of_them(source, limit, random):
    words, allowed = schema_of(field(max_length=limit)), runs(fold(source).text, limit)
    assume(allowed)

    assert parse(words, walk(words, source, random))["v"] in allowed
    assert accepts(words, source, answer(random.choice(sorted(allowed))))


@given(PLAIN_LINES, st.sampled_from(["line", "lines"]), st.sampled_from([12, 40, 400]), SEEDS)
@settings(max_examples=60, deadline=None)
def test_a_text_of_lines_points_at_runs_of_whole_lines_within_its_length_and_at_all_of_them(
    written, unit, limit, random
):
    source, lines = "\n".join(written), schema_of(field(unit=unit, max_length=limit))
    assume(not Places(source).facts)
    lines_of = source.split("\n")  # some words break
    parted = [
        fold(f"{one}\n{other}").text == f"{fold(one).text} {fold(other).text}" for one, other in pairwise(lines_of)
    ]
    places = range(len(lines_of))
    allowed = {
        fold("\n".join(lines_of[first : last + 1])).text
        for first in places
        for last in places[first : first + MAX_LINES]
        if (first == 0 or parted[first - 1]) and (last == places[-1] or parted[last])
    }
    allowed = {one for one in allowed if len(one) <= limit}
    assume(allowed)

    assert parse(lines, walk(lines, source, random))["v"] in allowed
    assert accepts(lines, source, answer(random.choice(sorted(allowed))))


@given(st.one_of(TEXTS, NASTY), st.sampled_from(["line", "lines"]), LENGTHS, SEEDS)
@settings(max_examples=60, deadline=None)
def test_whatever_stands_on_a_line_a_text_of_lines_points_at_runs_of_words(source, unit, limit, random):
    lines, allowed = schema_of(field(unit=unit, max_length=limit)), runs(fold(source).text, limit)
    assume(allowed)

    assert parse(lines, walk(lines, source, random))["v"] in allowed


@given(TEXTS, st.sampled_from(["money", "date", "number", "email"]), LENGTHS, SEEDS)
@settings(max_examples=60, deadline=None)
def test_a_typed_text_points_at_spans_of_its_finder_and_at_all_of_them(source, kind, limit, random):
    typed = schema_of(field(type=kind, max_length=limit))
    texts = [source, mend(source)] if kind in MENDED else [source]
    certain = {fold(source[span.start : span.end]).text for span in find(source, kind)}
    spans = certain | {fold(source[span.start : span.end]).text for one in texts for span in find(one, kind)}
    certain, spans = ({one for one in found if len(one) <= (limit or 400)} for found in (certain, spans))
    allowed = spans or runs(fold(source).text, limit)
    assume(allowed)

    assert parse(typed, walk(typed, source, random))["v"] in allowed
    assert all(accepts(typed, source, answer(span)) for span in certain)


@given(TEXTS, st.sampled_from(["line", "block"]), LENGTHS, st.booleans(), SEEDS)
@settings(max_examples=60, deadline=None)
def test_an_item_takes_all_its_words_from_one_line_or_block_and_may_take_any(source, within, limit, in_order, random):
    item = {
        "type": "object",
        "properties": {"a": field(max_length=limit), "b": {"anyOf": [field(type="money"), {"type": "null"}]}},
        "required": ["a", "b"],
    }
    notes = {"within": within, **({"in_order": True} if in_order else {})}
    listed = schema_of({"type": "array", "items": item, "maxItems": 4, "x-nightdesk": notes})
    pieces = source.splitlines() if within == "line" else re.split(r"\n\s*\n", source)
    pieces = [fold(piece).text for piece in pieces if piece.strip()]
    money = {fold(source[span.start : span.end]).text for span in find(source, "money")}

    said = parse(listed, walk(listed, source, random))["v"]

    for one in said:
        assert any(all(value in piece for value in strings(one)) for piece in pieces)
        assert one["b"] is None or not money or one["b"] in money
    allowed = sorted(one for piece in pieces for one in runs(piece, limit))
    if allowed and " ".join(pieces) == fold(source).text:  # a word that breaks at the end of a line stands in no line
        said = {"a": random.choice(allowed), "b": None}
        assert accepts(listed, source, answer([said]))


# --- the same with the tokens of a real vocabulary


@pytest.fixture(scope="session")
def real_engine(real_vocabulary):
    return Engine(real_vocabulary)


@given(source=st.one_of(TEXTS, NASTY), kind=st.sampled_from(KINDS[:3]), limit=LENGTHS, random=SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_tokens_of_a_real_vocabulary_spell_runs_of_words_and_all_of_them(
    real_engine, real_vocabulary, source, kind, limit, random
):
    pointed, allowed = schema_of(field(max_length=limit, **kind)), runs(fold(source).text, limit)
    assume(allowed)

    text = walk(pointed, source, random, real_engine, real_vocabulary)

    assert parse(pointed, text)["v"] in allowed
    assert accepts(pointed, source, text, real_engine, real_vocabulary)
    if kind == {"unit": "word"}:
        assert accepts(pointed, source, answer(random.choice(sorted(allowed))), real_engine, real_vocabulary)


@given(source=TEXTS, item=items(), random=SEEDS, endless=st.booleans())
@settings(max_examples=30, deadline=None)
def test_lists_in_order_end_with_the_tokens_of_a_real_vocabulary(
    real_engine, real_vocabulary, source, item, random, endless
):
    listed = schema_of({"type": "array", "items": item, "x-nightdesk": {"in_order": True}})

    said = walk(listed, source, random, real_engine, real_vocabulary, endless=endless)

    assert len(json.loads(said)["v"]) <= len(units(fold(source).text)) + 1

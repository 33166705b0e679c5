"""Laws of chunking, against counters that behave like real tokenizers: merges across words, bytes, and a BOS."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.chunking import chunk
from pipeline.data import Chunk, Document, Page
from pipeline.errors import TaskError


def make_document(text: str, page_length: int | None = None) -> Document:
    step = page_length or max(len(text), 1)
    pages = tuple(
        Page(number, start, min(start + step, len(text)))
        for number, start in enumerate(range(0, max(len(text), 1), step), start=1)
    )
    return Document("0" * 64, text, pages, "text", "1")


_PIECES = re.compile(r" ?[A-Za-z]{1,6}| ?\d{1,3}|\n+| +|.", re.DOTALL)


def merging_count(text: str) -> int:
    """Like BPE: letters merge with the blank before them, digits by three, the rest costs its UTF-8 bytes."""
    total = 0
    for match in _PIECES.finditer(text):
        piece = match.group()
        total += 1 if piece.isascii() else len(piece.encode("utf-8", "surrogatepass"))
    return total


def counting_with_bos(text: str) -> int:
    return 1 + merging_count(text)


def words(text: str) -> int:
    return len(text.split())


COUNTERS = [len, merging_count, counting_with_bos, words]

prose = st.lists(
    st.sampled_from(
        [
            "Total",
            " ",
            "\n",
            "\n\n",
            ". ",
            "e.g. so",
            "12.50",
            "合計は千円です。",
            "ร้านอาหาร",
            "é",
            "e\u0301",
            "👩\u200d👧",
            "\f",
            "# Head",
            "\n1. One",
            "x" * 40,
            "\t",
            "\u00a0",
            "مرحبا",
            "हिन्दी।",
            "\r\n",
            "\U0001f3ff",
            "-",
        ]
    ),
    max_size=120,
).map("".join)
texts = st.one_of(prose, st.text(max_size=200))


def check_laws(document: Document, chunks: list[Chunk], budget: int, count) -> None:
    text = document.text
    covered = [False] * len(text)
    for index, piece in enumerate(chunks):
        assert piece.index == index
        assert piece.document == document.sha256
        assert text[piece.start : piece.end] == piece.text
        assert piece.text == piece.text.strip()
        assert piece.text
        assert piece.tokens == count(piece.text) <= budget
        covered[piece.start : piece.end] = [True] * (piece.end - piece.start)
    assert all(done or char.isspace() for done, char in zip(covered, text, strict=True))
    starts = [piece.start for piece in chunks]
    ends = [piece.end for piece in chunks]
    assert starts == sorted(set(starts))
    assert ends == sorted(set(ends))


@settings(max_examples=150, deadline=None)
@given(
    text=texts,
    counter=st.sampled_from(COUNTERS),
    budget=st.integers(8, 60),
    share=st.floats(0, 0.9),
    page=st.integers(1, 80),
)
def test_chunks_are_exact_cover_the_text_and_keep_the_budget(text, counter, budget, share, page) -> None:
    document = make_document(text, page)
    budget = max(budget, counter("\U0010ffff") + 1)

    chunks = chunk(document, budget=budget, overlap=int(budget * share), count=counter)

    check_laws(document, chunks, budget, counter)
    assert chunks == chunk(document, budget=budget, overlap=int(budget * share), count=counter)


@settings(max_examples=100, deadline=None)
@given(text=texts, counter=st.sampled_from(COUNTERS))
def test_a_text_that_fits_is_one_chunk(text, counter) -> None:
    budget = max(counter(text.strip()), 1)

    chunks = chunk(make_document(text), budget=budget, overlap=0, count=counter)

    assert [piece.text for piece in chunks] == ([text.strip()] if text.strip() else [])


@settings(max_examples=60, deadline=None)
@given(text=texts, budget=st.integers(20, 60), overlap=st.integers(1, 15))
def test_the_overlap_keeps_its_budget(text, budget, overlap) -> None:
    chunks = chunk(make_document(text), budget=budget, overlap=overlap, count=merging_count)

    for before, after in itertools.pairwise(chunks):
        assert merging_count(text[after.start : before.end]) <= overlap


def test_a_document_without_text_has_no_chunks() -> None:
    for text in ("", " ", "\n\f\t"):
        assert chunk(make_document(text), budget=10, overlap=2, count=len) == []


def test_a_page_that_ends_in_reach_is_where_the_cut_is_made() -> None:
    pages = ["word " * 30, "more " * 30, "last " * 30]
    text = "\f".join(pages)
    starts = [0, len(pages[0]) + 1, len(pages[0]) + len(pages[1]) + 2]
    ends = [*starts[1:], len(text)]
    document = Document(
        "0" * 64,
        text,
        tuple(Page(n + 1, s, e) for n, (s, e) in enumerate(zip(starts, ends, strict=True))),
        "t",
        "1",
    )

    chunks = chunk(document, budget=40, overlap=0, count=words)

    assert [piece.start for piece in chunks] == starts


def test_cuts_fall_before_headings_and_after_paragraphs_and_sentences() -> None:
    heading = "A sentence stands here. " * 6 + "\n## Second part\n" + "Another sentence stands. " * 6
    paragraph = "one two three four five\nsix seven\n\n" * 8
    sentences = "One sentence of six words here. " * 20

    assert chunk(make_document(heading), budget=30, overlap=0, count=words)[1].text.startswith("## Second part")
    for piece in chunk(make_document(paragraph), budget=25, overlap=0, count=words):
        assert piece.text.startswith("one two")
        assert piece.text.endswith("six seven")
    for piece in chunk(make_document(sentences), budget=20, overlap=0, count=words):
        assert piece.text.startswith("One sentence")
        assert piece.text.endswith("here.")


def test_an_abbreviation_is_not_the_end_of_a_sentence() -> None:
    text = "We sell fruit, e.g. apples and pears, all year. " * 12

    for piece in chunk(make_document(text), budget=24, overlap=0, count=words):
        assert not piece.text.endswith("e.g.")


def test_lines_are_kept_whole() -> None:
    text = "\n".join(f"{n} screws steel   {n}.50" for n in range(1, 200))

    for piece in chunk(make_document(text), budget=60, overlap=12, count=merging_count):
        assert all(line in text.split("\n") for line in piece.text.split("\n"))


def test_the_overlap_begins_at_a_sentence() -> None:
    text = " ".join(f"This is sentence number {n} of the text." for n in range(60))

    chunks = chunk(make_document(text), budget=80, overlap=25, count=words)

    assert all(piece.text.startswith("This is") for piece in chunks)
    assert all(after.start < before.end for before, after in itertools.pairwise(chunks))


@pytest.mark.parametrize(
    "text",
    [
        "合計は千円です。消費税を含みます。" * 40,
        "ร้านอาหารไทยเปิดทุกวันตั้งแต่เช้า" * 30,
        "हिन्दी में वाक्य यहाँ है। " * 30,
        "x" * 3000,
    ],
    ids=["japanese", "thai", "hindi", "one word"],
)
def test_scripts_without_spaces_fill_their_chunks(text) -> None:
    chunks = chunk(make_document(text), budget=200, overlap=20, count=merging_count)

    check_laws(make_document(text), chunks, 200, merging_count)
    assert sum(piece.tokens for piece in chunks[:-1]) >= 0.5 * 200 * (len(chunks) - 1)


def test_a_cut_inside_a_word_does_not_part_a_letter_from_its_mark() -> None:
    text = "e\u0301" * 500

    for budget in range(20, 31):
        for piece in chunk(make_document(text), budget=budget, overlap=5, count=len):
            assert piece.text.startswith("e")
            assert piece.text.endswith("\u0301")


class Meter:
    """A counter that remembers how many characters it was asked to count, and in how many calls."""

    def __init__(self, inner=merging_count) -> None:
        self.inner, self.characters, self.calls = inner, 0, 0

    def __call__(self, text: str) -> int:
        self.characters += len(text)
        self.calls += 1
        return self.inner(text)


def rough_count(text: str) -> int:
    return -(-len(text) // 3)


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("word " * 2_000_000, None),
        ("x" * 10_000_000, None),
        ("A page of text.\n" * 200_000, 3_200),
        (("x" * 900 + " ") * 11_000, None),
    ],
    ids=["10 MB line", "10 MB word", "1000 pages", "long words"],
)
def test_counting_stays_linear(text, page) -> None:
    """Ten megabytes take seconds at a microsecond a character: little more than one pass is paid for."""
    meter = Meter(rough_count)

    chunks = chunk(make_document(text, page), budget=1_500, overlap=100, count=meter)

    assert meter.characters < 2 * len(text)
    assert meter.calls < 6 * len(chunks) + 20


def test_counting_stays_linear_where_the_density_changes() -> None:
    text = "".join(("9" * 3_000 if n % 2 else "some easy words " * 400) for n in range(60))
    meter = Meter(lambda part: sum(1 if piece.strip().isalpha() else len(piece) for piece in _PIECES.findall(part)))

    chunk(make_document(text), budget=700, overlap=60, count=meter)

    assert meter.characters < 5 * len(text)


@pytest.mark.parametrize(
    "text", ["." * 100_000, "\n \n" * 50_000, "(" * 100_000, ".' " * 40_000, "a." * 50_000, "# " * 50_000]
)
def test_hostile_text_is_cut_in_linear_time(text) -> None:
    chunks = chunk(make_document(text), budget=2_000, overlap=200, count=len)

    assert all(piece.tokens <= 2_000 for piece in chunks)


def test_a_budget_smaller_than_a_character_says_so() -> None:
    with pytest.raises(TaskError, match="smaller than one character"):
        chunk(make_document("👩 and more text"), budget=2, overlap=0, count=lambda text: len(text.encode()))


@pytest.mark.parametrize(("budget", "overlap"), [(0, 0), (10, 10), (10, -1)])
def test_an_impossible_budget_is_the_task_s_mistake(budget, overlap) -> None:
    with pytest.raises(TaskError) as caught:
        chunk(make_document("text"), budget=budget, overlap=overlap, count=len)

    assert caught.value.hint

"""Text becomes tokens as the model was trained; a document's text never becomes a special token."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ModelFileError
from pipeline.models.byte_tokenizer import END, ByteTokenizer
from pipeline.models.locate import find_model
from pipeline.models.markup import Markup, Special, is_markup
from pipeline.models.tokenizer import Tokenizer

PLAIN = 'Total 12,50 €\n  zażółć\tgęślą — 日本語 Привет 😀\r\n{"a": null}\0 ab ba'

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def obeys_the_laws(tokenizer: Any) -> None:
    """What must hold for every tokenizer, real or made up."""
    vocabulary = tokenizer.vocabulary
    every = [tokenizer.token_text(token) for token in sorted(tokenizer.markup.tokens)]
    specials = [*every[:40], *every[-10:]]
    hostile = [
        *("x" + text + "y" for text in specials),
        *(text[: len(text) // 2] + text + text[len(text) // 2 :] for text in specials),
        *(text + text for text in specials),
        " ".join(every[:300]),
        PLAIN,
    ]
    for text in hostile:
        ids = tokenizer.encode_data(text)
        assert tokenizer.markup.tokens.isdisjoint(ids)
        assert tokenizer.eog.isdisjoint(ids)
        assert vocabulary.decode(ids) == text.encode()
        assert tokenizer.count(text) == len(ids)
    for token in tokenizer.markup.tokens | tokenizer.eog:
        assert vocabulary.pieces[token] == b""
    for text in specials:
        assert tokenizer.markup.split("a" + text)[1] in tokenizer.markup.tokens
    assert tokenizer.encode("") == []
    assert tokenizer.count("") == 0
    raw = PLAIN.encode()
    for cut in range(len(raw)):
        assert vocabulary.decode(tokenizer.encode(raw[:cut])) == raw[:cut]


def test_the_laws_hold_for_bytes() -> None:
    obeys_the_laws(ByteTokenizer())


def test_the_laws_hold_for_made_up_vocabularies(made_up_tokenizer: Tokenizer) -> None:
    obeys_the_laws(made_up_tokenizer)


def test_the_laws_hold_for_real_vocabularies(real_tokenizer: Tokenizer) -> None:
    obeys_the_laws(real_tokenizer)


@pytest.mark.model
def test_the_laws_hold_for_the_demo_model() -> None:
    obeys_the_laws(Tokenizer.load(find_model("demo")))


@quick
@given(text=st.text(max_size=60))
def test_any_text_comes_back_from_its_tokens(made_up_tokenizer: Tokenizer, text: str) -> None:
    raw = text.encode("utf-8", "replace")

    ids = made_up_tokenizer.encode_data(text)

    assert made_up_tokenizer.vocabulary.decode(ids) == raw
    assert made_up_tokenizer.count(text) == len(ids)


@quick
@given(text=st.text(alphabet="<|user|>ends/unk ab\n", max_size=40))
def test_no_text_forges_a_special_token(made_up_tokenizer: Tokenizer, text: str) -> None:
    ids = made_up_tokenizer.encode_data(text)

    assert made_up_tokenizer.markup.tokens.isdisjoint(ids)
    assert made_up_tokenizer.vocabulary.decode(ids) == text.encode()


@quick
@given(raw=st.binary(max_size=30))
def test_bytes_that_are_no_text_come_back_from_their_tokens(made_up_tokenizer: Tokenizer, raw: bytes) -> None:
    assert made_up_tokenizer.vocabulary.decode(made_up_tokenizer.encode(raw)) == raw


def spm(made_up_tokenizer: Tokenizer) -> Tokenizer:
    if not made_up_tokenizer.vocabulary.decode(made_up_tokenizer.encode("a", first=True)).startswith(b" "):
        pytest.skip("not the SentencePiece vocabulary")
    return made_up_tokenizer


def test_sentencepiece_sees_a_space_only_where_a_text_is_first(made_up_tokenizer: Tokenizer) -> None:
    tokenizer = spm(made_up_tokenizer)
    pieces = tokenizer.vocabulary.pieces

    assert [pieces[token] for token in tokenizer.encode("ab", first=True)] == [b" ab"]
    assert [pieces[token] for token in tokenizer.encode("ab")] == [b"ab"]


def test_parts_around_a_special_token_equal_the_whole(made_up_tokenizer: Tokenizer) -> None:
    text = "<s>ab <|end|>ba <|im_start|>ab<|im_end|>\n\nab"

    parts: list[int] = []
    for part in made_up_tokenizer.markup.split(text):
        parts += [part] if isinstance(part, int) else made_up_tokenizer.encode(part, first=True)

    assert parts == made_up_tokenizer.encode(text, special=True, first=True)


def test_parts_around_special_tokens_equal_the_whole_in_real_vocabularies(real_tokenizer: Tokenizer) -> None:
    specials = [real_tokenizer.token_text(token) for token in sorted(real_tokenizer.markup.tokens)][:40]
    text = "Hello there\n".join(specials) + "the end"

    parts: list[int] = []
    for part in real_tokenizer.markup.split(text):
        parts += [part] if isinstance(part, int) else real_tokenizer.encode(part, first=True)

    assert parts == real_tokenizer.encode(text, special=True, first=True)


def test_user_defined_tags_are_markup_and_runs_of_spaces_are_text() -> None:
    assert is_markup("<|user|>")
    assert is_markup("[PAD7]")
    assert not is_markup("    ")
    assert not is_markup("<")


def test_a_long_text_is_counted_whole(made_up_tokenizer: Tokenizer) -> None:
    assert made_up_tokenizer.count("ab" * 100_000) == 100_000


def test_the_end_of_a_generation_is_a_set(made_up_tokenizer: Tokenizer) -> None:
    assert len(made_up_tokenizer.eog) >= 1
    assert ByteTokenizer().eog == {257, END}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tokenizer.ggml.tokens": []}, "carries no vocabulary"),
        ({"tokenizer.ggml.tokens": "a"}, "carries no vocabulary"),
        ({"tokenizer.ggml.tokens": ["a", "b", "a"]}, "holds a token twice"),
        ({"tokenizer.ggml.tokens": ["a", "b", "a\0c"]}, "holds a token twice"),
        ({"tokenizer.ggml.model": "llama"}, "no token for the byte 0"),
        ({"tokenizer.ggml.token_type": [1]}, "cannot load the vocabulary"),
        ({"tokenizer.ggml.model": "unheard"}, "cannot load the vocabulary"),
        ({"general.architecture": "unheard"}, "cannot load the vocabulary"),
    ],
)
def test_a_vocabulary_that_llama_cpp_would_die_of_is_refused(
    files: Any, capfd: pytest.CaptureFixture[str], values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        Tokenizer.load(files.write(change=values))
    assert capfd.readouterr() == ("", "")


def test_special_tokens_swallow_the_white_space_they_are_said_to() -> None:
    markup = Markup([Special(1, "<a>", strips_right=True), Special(2, "<b>", strips_left=True), Special(3, "<bb>")])

    assert markup.split("x <a>\n y <b><bb> z") == ["x ", 1, "y", 2, 3, " z"]
    assert markup.split("<a>  <b>") == [1, 2]


@quick
@given(text=st.text(alphabet="<ab>x", max_size=30))
def test_safe_parts_join_to_the_text_and_hold_no_special(text: str) -> None:
    markup = Markup([Special(1, "<a>"), Special(2, "<b>"), Special(3, "<ab>"), Special(4, "b><a")])

    parts = markup.safe_parts(text)

    assert "".join(parts) == text
    assert not any(markup.occurs(part) for part in parts)

"""Which tokens belong to which value, and what their figures add up to."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.confidence import signals
from pipeline.confidence.signals import value_spans
from pipeline.data import Completion, Counts, Stop, Vocabulary

INF = math.inf


def answered(pieces: list[tuple[str, float, float, float]]) -> dict:
    """Signals of an answer given as (text, logprob, removed, gap) a token."""
    vocabulary = Vocabulary((*(p[0].encode() for p in pieces), b""), frozenset({len(pieces)}), lambda data: [])
    rows = [*pieces, ("", 0.0, 0.0, INF)]
    return signals(
        Completion(
            "key",
            tuple(range(len(rows))),
            tuple(row[1] for row in rows),
            tuple(row[2] for row in rows),
            tuple(row[3] for row in rows),
            Counts(),
            Stop.END,
        ),
        vocabulary,
    )


def forced(text: str) -> tuple[str, float, float, float]:
    return (text, 0.0, 0.0, INF)


def leaves(value: object, path: str = "") -> dict[str, object]:
    if isinstance(value, dict):
        return {
            k: v for name, inner in value.items() for k, v in leaves(inner, f"{path}.{name}" if path else name).items()
        }
    if isinstance(value, list):
        return {k: v for i, inner in enumerate(value) for k, v in leaves(inner, f"{path}[{i}]").items()}
    return {path: value}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "é", 'q"', "日"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["x", "ÿ y", "z"]), json_values), st.booleans(), st.sampled_from([None, 2]))
def test_every_scalar_of_any_json_is_found_where_it_stands(value, ascii_only, indent):
    written = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "replace")
    expected = leaves(json.loads(written))

    spans = value_spans(written.decode("latin-1"))

    assert {path: json.loads(written[a:b]) for path, (a, b) in spans.items()} == expected


@settings(max_examples=60, deadline=None)
@given(json_values, st.integers(0, 200))
def test_a_cut_answer_keeps_its_finished_values_and_harms_nothing(value, length):
    written = json.dumps({"v": value}, ensure_ascii=False).encode("utf-8", "replace").decode("latin-1")
    whole = value_spans(written)

    for path, (start, end) in value_spans(written[:length]).items():
        assert whole[path][0] == start
        assert end <= whole[path][1]


def test_keys_and_punctuation_count_for_no_value():
    found = answered(
        [
            forced('{"total": '),
            ('"', -0.5, 0.0, 2.0),
            ("12", -1.0, 0.5, 1.0),
            ('", ', -0.25, 0.0, 3.0),
            forced('"n": '),
            ("7", -2.0, 0.75, 0.5),
            ("}", -9.0, 0.0, 9.0),
        ]
    )

    assert found.keys() == {"total", "n"}
    total = found["total"]
    assert (total.tokens, total.logprob, total.removed, total.gap) == (3, -1.75, 0.5, 1.0)
    assert total.allowed == pytest.approx(-1.75 - math.log(0.5))
    assert (found["n"].tokens, found["n"].logprob) == (1, -2.0)
    assert found["n"].allowed == pytest.approx(-2 - math.log(0.25))


def test_a_token_of_two_values_counts_for_both():
    found = answered([('{"a": ["x', -1.0, 0.0, 1.0), ('", "y', -2.0, 0.0, 0.5), ('"]}', -4.0, 0.0, 2.0)])

    assert found["a[0]"].logprob == -3.0
    assert found["a[1]"].logprob == -6.0


def test_what_the_grammar_forced_was_not_asked():
    found = answered([forced('{"a": "b'), forced('c"}')])

    assert found["a"].tokens == 0
    assert (found["a"].logprob, found["a"].allowed, found["a"].gap) == (0.0, 0.0, INF)


def test_of_ranked_candidates_the_winner_has_its_share_among_them():
    """The first token carries the mass that went to no candidate; the shares of all candidates add up to one."""
    winner, other = math.log(0.03), math.log(0.01)
    found = answered([forced('{"d": '), ('"12', winner / 2, 1 - 0.04, 1.1), ('.5"', winner / 2, 0.0, INF), forced("}")])

    assert math.exp(found["d"].allowed) == pytest.approx(0.75)
    assert math.exp(found["d"].allowed) + 0.01 / 0.04 == pytest.approx(1)
    assert found["d"].gap == 1.1
    assert other < winner


def test_a_mask_that_took_all_but_nothing_leaves_a_finite_number():
    found = answered([forced('{"a": '), ('"x"', -50.0, 1.0, INF), forced("}")])

    assert found["a"].allowed == 0.0
    assert found["a"].removed == 1.0


def test_characters_cut_across_tokens_belong_to_their_value():
    word = "é".encode()
    vocabulary = Vocabulary((b'{"\xc3', b'\xa9": "' + word[:1], word[1:] + b'", "b": ', b"null}"), frozenset(), list)
    found = signals(
        Completion("k", (0, 1, 2, 3), (-1.0, -2.0, -4.0, -8.0), (0.0,) * 4, (1.0,) * 4, Counts(), Stop.END), vocabulary
    )

    assert {path: signal.logprob for path, signal in found.items()} == {"é": -6.0, "b": -8.0}

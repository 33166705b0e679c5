"""Answers that were drawn beside the one that counts say how sure the model is of it."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.confidence import Signal, agreeing, rate
from pipeline.data import Evidence, Found
from pipeline.schema import Boolean, Field, List, Number, Object, Text

PLACE = Evidence("total", "1", Found.EXACT, 0, 1, 1, 1)


def schema(**types) -> Object:
    """Nullable fields of these types; a type that is a node stands as it is."""
    nodes = {name: Text(type=type) if isinstance(type, str) else type for name, type in types.items()}
    return Object(tuple(Field(name, node, nullable=True) for name, node in nodes.items()))


def test_values_agree_by_letters_and_digits():
    fields = schema(a="text", b=Number(), c=Number(), d=Boolean())
    said = {"a": "Acme  Ltd.", "b": 3, "c": None, "d": True}

    assert agreeing(fields, said, [{"a": "ACME LTD", "b": 3.0, "c": 0, "d": 1}]) == {"a": 1, "b": 1, "c": 0, "d": 0}


@pytest.mark.parametrize(
    ("type", "value", "sample", "agrees"),
    [
        ("date", "1/11/2018", "11/1/2018", False),
        ("date", "1/11/2018", "01.11.2018", True),
        ("date", "5 March 2018", "2018-03-05", True),
        ("money", "12.50", "125.0", False),
        ("money", "12.50", "12.5", True),
        ("number", "-5", "5", False),
        ("money", "€5.00", "$5.00", False),
        ("date", "un known", "Unknown", True),
    ],
)
def test_values_with_a_type_agree_by_what_they_mean(type, value, sample, agrees):
    assert agreeing(schema(a=type), {"a": value}, [{"a": sample}]) == {"a": int(agrees)}


def test_an_item_that_a_sample_has_elsewhere_in_its_list_is_agreed_on():
    fields = schema(items=List(schema(name="text", price="money")))
    values = {"items": [{"name": "tea", "price": "2"}, {"name": "bun", "price": "1"}]}
    sample = {"items": [{"name": "jam", "price": "9"}, {"name": "Tea", "price": "2"}]}

    assert agreeing(fields, values, [sample, {"items": []}, values]) == {
        "items[0].name": 2,
        "items[0].price": 2,
        "items[1].name": 1,
        "items[1].price": 1,
    }


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(0, 19), st.floats(-9, 0), st.floats(0, 0.99))
def test_more_agreement_never_lowers_the_confidence(samples, agreed, logprob, removed):
    signal = Signal(3, logprob, min(0.0, logprob - math.log1p(-removed)), removed, 1.0, samples, min(agreed, samples))
    more = dataclasses.replace(signal, agreed=min(agreed + 1, samples))

    assert 0 <= rate(signal, PLACE) <= rate(more, PLACE) <= 1


def test_without_samples_the_confidence_is_what_it_was():
    assert rate(Signal(1, math.log(0.25), 0.0, 0.75, 1.0), PLACE) == 0.5

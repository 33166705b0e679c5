"""One number for a value: its order without labels, its meaning with them."""

from __future__ import annotations

import dataclasses
import math
import random
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.confidence import (
    Calibration,
    Observation,
    Signal,
    coverage,
    features,
    field_of,
    fit,
    held_out,
    rate,
    rated,
    reliability,
    svg,
)
from pipeline.data import Evidence, Found
from pipeline.errors import UserError

SURE = Signal(tokens=4, logprob=-0.2, allowed=-0.1, removed=0.05, gap=4.0)
some_signals = st.builds(
    Signal,
    tokens=st.integers(0, 50),
    logprob=st.floats(-200, 0),
    allowed=st.floats(-100, 0),
    removed=st.floats(0, 1),
    gap=st.floats(0, 50) | st.just(math.inf),
)


def evidence(found: Found = Found.POINTED, path: str = "total", occurrences: int = 1) -> Evidence:
    return Evidence(path, "60.30", found, 0, 5, 1, occurrences)


@settings(max_examples=60, deadline=None)
@given(some_signals, st.sampled_from(Found), st.integers(0, 30))
def test_the_number_is_a_share(signal, found, occurrences):
    if found is Found.CUT:
        return
    piece = evidence(found, occurrences=occurrences)

    assert 0 <= rate(signal, piece) <= 1
    assert all(math.isfinite(x) for x in features(signal, piece))


@settings(max_examples=60, deadline=None)
@given(some_signals)
def test_worse_evidence_never_makes_a_value_surer(signal):
    order = [Found.POINTED, Found.EXACT, Found.FOLDED, Found.FUZZY, Found.NOT_FOUND, Found.FROM_EXAMPLE]
    numbers = [rate(signal, evidence(found)) for found in order]

    assert numbers == sorted(numbers, reverse=True)


def test_a_value_that_the_model_chose_is_surer_than_one_it_was_led_to():
    led = dataclasses.replace(SURE, logprob=-20.0, removed=0.99)
    torn = dataclasses.replace(SURE, allowed=-1.5)
    unasked = Signal(0, 0.0, 0.0, 0.0, math.inf)

    assert rate(SURE, evidence()) > 0.9
    assert rate(SURE, evidence()) > max(rate(led, evidence()), rate(torn, evidence()), rate(unasked, evidence()))


def test_only_values_with_tokens_are_rated():
    pieces = (evidence(path="a"), evidence(path="b"), evidence(Found.CUT, path="c"))

    a, b, c = rated(pieces, {"a": SURE, "c": SURE})

    assert a.confidence == pytest.approx(rate(SURE, a), abs=1e-6)
    assert b.confidence is None
    assert c.confidence is None


def test_items_share_the_field_of_their_list():
    assert field_of("items[12].price") == "items[].price"
    assert field_of("total") == "total"


def labelled(number: int, seed: int = 0) -> list[Observation]:
    """Values that are right as often as their `allowed` says, in fields of which one is worse."""
    draw = random.Random(seed)
    out = []
    for i in range(number):
        chance = draw.random()
        signal = Signal(3, -1.0, math.log(max(chance, 1e-9)), 0.5, draw.random())
        field = draw.choice(["good", "bad"])
        right = draw.random() < (chance if field == "good" else chance / 4)
        out.append(Observation(f"d{i // 4}", field, right, features(signal, evidence())))
    return out


def test_calibrated_numbers_are_how_often_values_are_right():
    seen, unseen = labelled(2000), labelled(2000, seed=1)
    calibration = fit("t", seen)

    bins = reliability([calibration.probability(o.field, o.numbers) for o in unseen], [o.right for o in unseen])

    assert sum(b.values for b in bins) == 2000
    assert max(abs(b.confidence - b.right) for b in bins if b.values > 100) < 0.12
    assert calibration.fields["good"] > calibration.fields["bad"]
    assert calibration.weights["allowed"] > 0


def test_held_out_numbers_come_from_other_documents():
    """Values are right or wrong at random: nothing can be learnt, and nothing must seem to be."""
    draw = random.Random(3)
    seen = [dataclasses.replace(o, right=draw.random() < 0.5) for o in labelled(400)]

    confidences = held_out(seen)

    wrong = sum((c - o.right) ** 2 for c, o in zip(confidences, seen, strict=True)) / len(seen)
    assert wrong > 0.23


def test_few_labels_do_not_make_sure():
    calibration = fit("t", [Observation("d", "f", True, features(SURE, evidence()))] * 3)

    assert calibration.probability("f", features(SURE, evidence())) <= 1 - 1 / 5
    assert held_out([Observation("d", "f", True, features(SURE, evidence()))]) == [0.5]


worse = st.sampled_from(
    [(SURE, evidence(Found.NOT_FOUND)), (SURE, evidence(Found.FROM_EXAMPLE)),
     (dataclasses.replace(SURE, read=0.5), evidence())]
)  # fmt: skip
some_labels = st.lists(st.tuples(worse | st.just((SURE, evidence())), st.booleans()), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(some_labels, worse)
def test_whatever_the_labels_say_doubt_lowers_the_number(labels, doubtful):
    seen = [Observation(f"d{n % 5}", "total", right, features(*which)) for n, (which, right) in enumerate(labels)]

    calibration = fit("t", seen)

    assert calibration.probability("total", features(*doubtful)) <= calibration.probability(
        "total", features(SURE, evidence())
    )
    assert calibration.weights["unfounded"] < 0 > calibration.weights["misread"]


def test_a_value_that_stands_nowhere_is_lowered_though_no_label_was_such_a_value():
    calibration = fit("t", [Observation(f"d{n}", "total", n % 5 > 0, features(SURE, evidence())) for n in range(100)])

    found, nowhere = (
        calibration.probability("total", features(SURE, evidence(f))) for f in (Found.EXACT, Found.NOT_FOUND)
    )

    assert found == pytest.approx(0.8, abs=0.01)
    assert nowhere == pytest.approx(0.44, abs=0.02)


def test_a_calibration_comes_back_from_its_file():
    calibration = fit("t", labelled(50))

    assert Calibration.from_json(calibration.to_json()) == calibration


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"task": "t"}', '{"task":"t","values":1,"intercept":0,"weights":{},"fields":{}}']
)
def test_a_calibration_of_other_features_is_refused(text):
    with pytest.raises(UserError) as caught:
        Calibration.from_json(text)
    assert "--calibrate" in caught.value.hint


def test_coverage_is_the_most_that_keeps_the_precision():
    confidences = [0.9, 0.8, 0.7, 0.7, 0.2]
    right = [True, True, True, False, False]

    ninety, seventy_five, all_of_it = coverage(confidences, right, (0.9, 0.75, 0.5))

    assert (ninety.share, ninety.threshold) == (0.4, 0.8)  # the two at 0.7 go together
    assert (seventy_five.share, seventy_five.threshold) == (0.8, 0.7)
    assert all_of_it.share == 1.0


def test_where_nothing_is_right_nothing_is_covered():
    (one,) = coverage([0.9, 0.1], [False, False], (0.9,))

    assert (one.share, one.threshold) == (0.0, None)


def test_the_plot_is_xml_with_a_dot_a_bin():
    seen = labelled(200)
    confidences, right = held_out(seen), [o.right for o in seen]
    bins = reliability(confidences, right)

    root = ET.fromstring(svg("receipts & <co>", bins, confidences, right))

    assert len(root.findall(".//{http://www.w3.org/2000/svg}circle")) == len(bins)

"""Scores against labels, checked by hand-counted cases and by brute force."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.evaluation import Gold, Score, compare, evaluate, load_fields, load_gold, value_types
from pipeline.evaluation.matching import best_pairs
from pipeline.schema import Field, List, Object, Text


def evaluate_one(gold: dict, predicted: dict | None, fields=None, **more):
    return evaluate([Gold("d", gold)], {} if predicted is None else {"d": predicted}, fields, samples=20, **more)


def scores(report, name: str) -> tuple[Score, Score]:
    (found,) = [score for score in report.fields if score.name == name]
    return found.exact, found.normalised


# -- one value --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "value", "exact", "normalised"),
    [
        ("Acme Ltd.", "Acme Ltd.", True, True),
        ("Acme Ltd.", "ACME LTD", False, True),
        ("STRASSE", "straße", False, True),
        ("ﬁnance", "finance", False, True),
        ("Acme", "Acme Ltd", False, False),
        ("60.30", "RM 60.30", False, False),
        ("60.30", 60.3, False, True),
        (233.47, "233,47 €", False, True),
        (530.0, "530,00", False, True),
        (530.0, 530, True, True),
        (1.234, "1.234", False, True),
        (19, "20", False, False),
        (True, True, True, True),
        (True, 1, False, False),
        ("True", True, False, True),
        ({"any_of": ["Mai", "Mai Vietnamese Cuisine"]}, "mai", False, True),
        ({"any_of": ["a", "b"]}, "c", False, False),
        ("---", "---", True, True),
        ("---", "***", False, False),
        ("Acme", ["Acme"], True, True),
        ("Acme", {"name": "Acme"}, False, False),
    ],
)
def test_a_value_is_right_exactly_or_by_letters_and_digits(label, value, exact, normalised) -> None:
    report = evaluate_one({"a": label}, {"a": value})

    assert scores(report, "a") == (Score(int(exact), 1, 1), Score(int(normalised), 1, 1))
    assert len(report.misses) == int(not normalised)


def test_types_compare_days_and_amounts() -> None:
    gold, predicted = {"day": "2018-03-05", "sum": "1234.50"}, {"day": "5 March 2018", "sum": "EUR 1.234,50"}

    assert evaluate_one(gold, predicted).micro.normalised.right == 0
    assert evaluate_one(gold, predicted, {"day": "date", "sum": "money"}).micro.normalised.right == 2


@pytest.mark.parametrize(
    ("label", "value", "right"), [("EUR", "€", 1), ("¥", "JPY", 1), ("EUR", "£", 0), ("kr", "€", 0)]
)
def test_a_sign_and_a_code_name_one_currency(label, value, right) -> None:
    assert evaluate_one({"c": label}, {"c": value}, {"c": "currency"}).micro.normalised.right == right


@pytest.mark.parametrize(
    ("label", "value", "right"),
    [
        ("2018-03-04", "03/04/2018", True),
        ("2018-04-03", "03/04/2018", True),
        ("2018-04-04", "03/04/2018", False),
        ("04/03/2018", "03/04/2018", False),
        ("3/4/2018", "03/04/2018", True),
    ],
)
def test_a_date_that_may_be_two_days_is_right_where_the_label_is_one_of_them(label, value, right) -> None:
    assert evaluate_one({"day": label}, {"day": value}, {"day": "date"}).micro.normalised.right == int(right)


def test_a_null_where_gold_has_a_value_is_a_miss() -> None:
    for predicted in ({"a": None}, {}, None):
        report = evaluate_one({"a": "x"}, predicted)

        assert scores(report, "a")[1] == Score(0, 0, 1)
        assert (report.micro.normalised.f1, len(report.misses)) == (0, 1)


def test_what_the_labels_do_not_mention_is_not_scored() -> None:
    report = evaluate_one({"a": "x"}, {"a": "x", "b": "invented"})

    assert [score.name for score in report.fields] == ["a"]
    assert report.micro.normalised == Score(1, 1, 1)


def test_a_null_label_asks_for_null() -> None:
    assert evaluate_one({"a": None}, {"a": None}).misses == ()
    assert scores(evaluate_one({"a": None}, {"a": "x"}), "a")[1] == Score(0, 1, 0)


@pytest.mark.parametrize("label", [None, {"any_of": ["x", None]}])
def test_a_right_null_counts_nowhere(label) -> None:
    for predicted in ({"a": None}, {}):
        report = evaluate_one({"a": label}, predicted)

        assert scores(report, "a") == (Score(), Score())
        assert report.misses == ()


def test_a_document_without_a_record_is_right_about_nothing() -> None:
    report = evaluate_one({"a": None, "l": []}, None)

    assert report.micro.normalised == Score()
    assert next(score for score in report.fields if score.name == "l").same_length == 0


scalars = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b", "1", "2,0", "3 May 2018"])
alternatives = st.fixed_dictionaries({"any_of": st.lists(scalars, min_size=1, max_size=3)})
entries = st.dictionaries(st.sampled_from("pq"), scalars, max_size=2)
given_values = st.dictionaries(st.sampled_from("vw"), scalars | entries | st.lists(scalars | entries, max_size=4))
labels = st.dictionaries(
    st.sampled_from("vw"),
    scalars
    | alternatives
    | entries
    | st.lists(scalars | alternatives, max_size=4)
    | st.lists(st.dictionaries(st.sampled_from("pq"), scalars | alternatives, max_size=2), max_size=4),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(labels, st.none() | given_values), max_size=4))
def test_no_more_is_right_than_was_given_and_asked_for(documents) -> None:
    gold = [Gold(str(n), label) for n, (label, _) in enumerate(documents)]
    report = evaluate(
        gold, {str(n): values for n, (_, values) in enumerate(documents) if values is not None}, samples=9
    )

    for score in (*report.fields, report.micro):
        for counts in (score.exact, score.normalised):
            assert 0 <= counts.right <= min(counts.predicted, counts.gold)
            assert 0 <= counts.f1 <= 1
        assert score.exact.right <= score.normalised.right
        assert 0 <= score.interval[0] <= score.interval[1] <= 1
    assert 0 <= report.macro_f1 <= 1


def test_only_the_named_fields_are_scored() -> None:
    report = evaluate_one({"a": "x", "b": "y", "o": {"c": "z", "d": "w"}}, {"a": "x"}, {"a": "text", "o.c": "text"})

    assert [score.name for score in report.fields] == ["a", "o.c"]


def test_a_document_without_a_record_is_named_and_missed() -> None:
    report = evaluate([Gold("d", {"a": "x"}), Gold("e", {"a": "y"})], {"e": {"a": "y"}, "f": {"a": "z"}}, samples=20)

    assert report.unanswered == ("d",)
    assert report.micro.normalised == Score(1, 1, 2)


# -- lists ------------------------------------------------------------------------------------------------------


def test_lists_are_matched_as_sets() -> None:
    report = evaluate_one(
        {"a": ["Nike Inc.", {"any_of": ["E. Sprunk", "Eric Sprunk"]}]}, {"a": ["eric sprunk", "Other", "NIKE INC"]}
    )

    exact, normalised = scores(report, "a")
    assert (exact, normalised) == (Score(0, 3, 2), Score(2, 3, 2))
    assert report.fields[0].same_length == 0


def test_every_given_value_is_judged_by_its_path() -> None:
    gold = {"a": "x", "o": {"b": "y"}, "l": ["p", "q"], "items": [{"n": "1", "m": "2"}, {"n": "3"}], "none": "z"}
    given = {
        "a": "X.",
        "o": {"b": "w"},
        "l": ["r", "q", "q"],
        "items": [{"n": "3", "m": "9"}, {"n": "1", "m": "0"}, {"n": "7"}],
        "none": None,
        "more": "not labelled",
    }

    assert evaluate_one(gold, given).verdicts["d"] == {
        "a": True, "o.b": False, "l[0]": False, "l[1]": True, "l[2]": False,
        "items[0].n": True, "items[1].n": True, "items[1].m": False, "items[2].n": False,
    }  # fmt: skip


def test_one_value_meets_one_label_only() -> None:
    assert scores(evaluate_one({"a": ["x", "x"]}, {"a": ["x"]}), "a")[1] == Score(1, 1, 2)
    assert scores(evaluate_one({"a": ["x"]}, {"a": ["x", "x"]}), "a")[1] == Score(1, 2, 1)


def test_alternatives_are_given_out_so_that_the_most_is_right() -> None:
    gold = {"a": [{"any_of": ["x", "y"]}, "x"]}

    assert scores(evaluate_one(gold, {"a": ["x", "y"]}), "a")[1] == Score(2, 2, 2)


def test_an_empty_list_is_right_where_the_label_is_empty() -> None:
    assert evaluate_one({"a": []}, {"a": []}).misses == ()
    assert scores(evaluate_one({"a": []}, {"a": ["x"]}), "a")[1] == Score(0, 1, 0)
    assert scores(evaluate_one({"a": ["x"]}, {"a": None}), "a")[1] == Score(0, 0, 1)
    assert scores(evaluate_one({"a": ["x"]}, {"a": "x"}), "a")[1] == Score(1, 1, 1)


def test_items_of_objects_are_scored_field_by_field_with_their_best_partner() -> None:
    gold = {"items": [{"name": "tea", "price": 1.0}, {"name": "milk", "price": 2.5, "qty": 2}]}
    predicted = {
        "items": [
            {"name": "Milk", "price": "2.50", "qty": None},
            {"name": "tea", "price": "9.00", "qty": "7"},
            {"name": "bread", "price": None},
        ]
    }

    report = evaluate_one(gold, predicted)

    assert scores(report, "items.name")[1] == Score(2, 3, 2)
    assert scores(report, "items.price")[1] == Score(1, 2, 2)
    assert scores(report, "items.qty")[1] == Score(0, 0, 1)  # the tea's label has no qty: its 7 is not scored
    assert scores(report, "items")[1] == Score(0, 3, 2)
    assert report.micro.normalised == Score(3, 5, 5)


def test_whole_items_stand_beside_the_average_not_in_it() -> None:
    items = [{"name": "tea", "price": "1.00"}, {"name": "milk", "price": "2.00"}]

    report = evaluate_one({"items": items}, {"items": list(reversed(items))})

    assert scores(report, "items") == (Score(2, 2, 2), Score(2, 2, 2))
    assert report.micro.normalised == Score(4, 4, 4)
    assert report.macro_f1 == 1
    assert next(score for score in report.fields if score.name == "items").same_length == 1


@settings(max_examples=120, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=5), min_size=1, max_size=5))
def test_the_best_pairs_are_the_best_by_brute_force(rows) -> None:
    width = max(map(len, rows))
    likeness = np.array([row + [0] * (width - len(row)) for row in rows], dtype=float)
    turned = likeness if likeness.shape[0] <= likeness.shape[1] else likeness.T
    best = max(
        sum(turned[row, column] for row, column in enumerate(columns))
        for columns in itertools.permutations(range(turned.shape[1]), turned.shape[0])
    )

    pairs = best_pairs(likeness)

    assert sum(likeness[row, column] for row, column in pairs) == best
    assert len(pairs) == min(likeness.shape) == len({row for row, _ in pairs}) == len({column for _, column in pairs})


def test_a_list_of_hundreds_is_paired() -> None:
    items = [{"name": f"n{i}", "price": f"{i}.00"} for i in range(60)]

    report = evaluate_one({"items": items}, {"items": items[::-1]})

    assert report.micro.normalised == Score(120, 120, 120)


# -- averages and intervals -------------------------------------------------------------------------------------


def some_run(right: int, documents: int = 40, fields: str = "ab"):
    gold = [Gold(f"d{i}", dict.fromkeys(fields, "x")) for i in range(documents)]
    predicted = {f"d{i}": dict.fromkeys(fields, "x" if i < right else "y") for i in range(documents)}
    return evaluate(gold, predicted, samples=400)


def test_precision_recall_and_f1() -> None:
    score = Score(right=3, predicted=4, gold=6)

    assert (score.precision, score.recall) == (0.75, 0.5)
    assert score.f1 == pytest.approx(0.6)
    assert (Score().precision, Score().recall, Score().f1) == (1, 1, 1)
    assert (Score(0, 0, 2).precision, Score(0, 0, 2).recall) == (0, 0)


def test_micro_counts_values_and_macro_counts_fields() -> None:
    gold = [Gold("1", {"a": "x", "b": "x"}), Gold("2", {"a": "x"}), Gold("3", {"a": "x"})]
    report = evaluate(gold, {name: {"a": "x", "b": "y"} for name in "123"}, samples=50)

    assert report.micro.normalised.f1 == pytest.approx(0.75)
    assert report.macro_f1 == pytest.approx(0.5)


def test_the_interval_holds_the_score_and_narrows_with_documents() -> None:
    few, many = some_run(10, 20), some_run(100, 200)

    for report in (few, many):
        assert report.micro.interval[0] <= report.micro.normalised.f1 <= report.micro.interval[1]
    assert many.micro.interval[1] - many.micro.interval[0] < few.micro.interval[1] - few.micro.interval[0]
    assert some_run(20, 20).micro.interval == (1, 1)


def test_the_same_seed_gives_the_same_interval() -> None:
    gold = [Gold(f"d{i}", {"a": "x"}) for i in range(20)]
    predicted = {f"d{i}": {"a": "x" if i % 3 else "y"} for i in range(20)}

    assert evaluate(gold, predicted, seed=1) == evaluate(gold, predicted, seed=1)


def test_a_run_is_compared_with_another() -> None:
    comparison = compare(some_run(10), some_run(30), samples=400)

    assert comparison.documents == 40
    assert comparison.micro.gain == pytest.approx(0.5)
    assert not comparison.micro.is_noise
    assert [d.name for d in comparison.fields] == ["a", "b"]
    assert len(comparison.better) == 40
    assert comparison.worse == ()
    assert ("d10", "a") in comparison.better


def test_a_small_difference_is_called_noise() -> None:
    comparison = compare(some_run(20), some_run(21), samples=400)

    assert comparison.micro.gain > 0
    assert comparison.micro.is_noise
    assert compare(some_run(20), some_run(20)).micro.interval == (0, 0)


def test_a_comparison_takes_the_documents_of_both() -> None:
    comparison = compare(some_run(10, 20), some_run(10, 30), samples=50)

    assert comparison.documents == 20
    assert comparison.micro.gain == 0


def test_nothing_to_score_is_no_error() -> None:
    report = evaluate([], {}, samples=10)

    assert (report.documents, report.fields, report.micro.normalised) == (0, (), Score())
    assert compare(report, report).documents == 0


# -- files ------------------------------------------------------------------------------------------------------


def test_labels_are_read_from_json_lines(tmp_path) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text(
        '\ufeff{"id": "a", "file": "docs/a.txt", "lang": "en", "fields": {"total": "1"}}\n\n', encoding="utf-8"
    )

    assert load_gold(path) == (Gold("a", {"total": "1"}, "docs/a.txt", "en"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "line 1 is not JSON"),
        ('{"id": "a", "fields": {}}\n{"id": "b"}', "line 2 has no `fields`"),
        ('{"fields": {}}', "line 1 has no `id`"),
        ('{"id": "a", "fields": {}}\n{"id": "a", "fields": {}}', "line 2 has the id a again"),
        ("[]", "has no `fields`"),
    ],
)
def test_wrong_labels_are_named_by_line(tmp_path, text, expected) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text(text)

    with pytest.raises(UserError, match=expected) as caught:
        load_gold(path)
    assert caught.value.hint


def test_missing_labels_are_the_user_s_mistake(tmp_path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_gold(tmp_path / "none.jsonl")


def test_the_types_of_a_schema_are_named_as_the_scores_are() -> None:
    item = Object((Field("name", Text()), Field("price", Text(type="money"))))
    seller = Object((Field("since", Text(type="date")),))
    schema = Object(
        (
            Field("total", Text(type="money")),
            Field("seller", seller),
            Field("items", List(item)),
            Field("tags", List(Text())),
        )
    )

    assert value_types(schema) == {
        "total": "money", "seller.since": "date", "items.name": "text", "items.price": "money", "tags": "text",
    }  # fmt: skip


def test_the_labels_of_all_public_sets_score_full_marks_against_themselves() -> None:
    root = os.environ.get("NIGHTDESK_TEST_DATA")
    if not root:
        pytest.skip("NIGHTDESK_TEST_DATA names no folder with the public test data")
    for folder in sorted(Path(root, "kie").iterdir()):
        if not (folder / "gold.jsonl").exists():
            continue
        gold = load_gold(folder / "gold.jsonl")
        fields = load_fields(folder / "fields.json")
        predicted = {labels.id: json.loads(json.dumps(labels.fields), object_hook=first_alternative) for labels in gold}

        report = evaluate(gold, predicted, {**fields, **{f"q{n}": "text" for n in range(20)}}, samples=10)

        assert report.misses == (), folder.name
        assert report.micro.normalised.f1 == 1
        assert report.micro.normalised.gold >= len(gold)


def first_alternative(value: dict) -> object:
    return value["any_of"][0] if "any_of" in value else value

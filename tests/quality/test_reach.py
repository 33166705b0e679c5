"""What counts as a value that the task could answer."""

from __future__ import annotations

import pytest

from pipeline.grammars.places import Places
from pipeline.schema import Extractive, Text
from tests.quality.reach import Squeezed, in_order, spans

SOURCE = "Corner Shop\n12 High Street,\nLondon\nDate: 3 May 2024, Total: 12.50 (unpaid)"


@pytest.mark.parametrize(
    ("type", "unit", "label", "is_found"),
    [
        ("text", "word", "High Street", True),
        ("text", "word", "igh Street", False),
        ("text", "word", "Paris", False),
        ("text", "word", {"any_of": ["Paris", "London"]}, True),
        ("text", "line", "Corner Shop", True),
        ("text", "lines", "12 High Street London", True),
        ("text", "lines", "High Street London", False),
        ("date", "word", "2024-05-03", True),
        ("date", "word", "2024-05-04", False),
        ("money", "word", 12.5, True),
        ("money", "word", 12, False),
    ],
)
def test_a_label_is_reached_where_the_field_can_point_at_it(type, unit, label, is_found) -> None:
    text = Squeezed(Places(SOURCE))
    node = Text(type=type, extractive=Extractive(type, unit))

    assert bool(spans(node, label, text.places.all, text, type)) == is_found


def test_values_of_a_list_in_order_never_share_words() -> None:
    assert in_order([[(0, 10)], [(5, 10)]], None) in ({0}, {1})
    assert in_order([[(0, 10)], [(5, 10), (20, 25)]], None) == {0, 1}
    assert in_order([[(20, 30)], [(0, 5)]], None) == {0, 1}
    assert len(in_order([[(0, 1)], [(2, 3)], [(4, 5)]], 2)) == 2
    assert in_order([[], [(2, 3)]], None) == {1}

"""The command that holds every setting of speed against the slow twin. Its answers come with a real model only."""

from __future__ import annotations

from pipeline.config import Shape
from tests.equality.shares import SWITCHES, row

WITHOUT_A_TURN = {"context", "allow_swap", "gpu_layers"}  # how much fits; and there is no GPU


def test_every_setting_of_shape_has_its_turn():
    assert {name for switch in SWITCHES.values() for name in switch.shape} == {*Shape.model_fields} - WITHOUT_A_TURN


def test_a_setting_that_changes_nothing_has_a_row_without_a_gap():
    found = dict.fromkeys(("plain a", "plain b", "compared a"))

    assert row("drafts", found, []) == "| drafts | 2 of 2 | 1 of 1 | - | yes |"

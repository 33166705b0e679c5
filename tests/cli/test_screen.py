from __future__ import annotations

import io

import pytest

from pipeline.cli import first_of, screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (0, "document", "0 documents"),
        (1, "document", "1 document"),
        (2310, "document", "2,310 documents"),
        (2, "piece of work", "2 pieces of work"),
        (2, "entry", "2 entries"),
        (2, "day", "2 days"),
    ],
)
def test_nouns_agree_with_their_numbers(number, noun, said):
    assert screen.counted(number, noun) == said


def test_nothing_a_terminal_obeys_gets_through():
    assert screen.safe("a\x1b[31mb\x9bc\u202ed\r") == r"a\x1b[31mb\x9bc\u202ed\r"


def test_styles_are_for_terminals_only(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    assert screen.styled("x", "bold", Terminal()) == "\x1b[1mx\x1b[0m"
    assert screen.styled("x", "bold", io.StringIO()) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert screen.styled("x", "bold", Terminal()) == "x"


def test_columns_line_up_by_width_not_by_characters():
    lines = screen.table(("name", "number"), [("領収書", 7), ("é", 1234)])

    assert lines == ["name    number", "領収書       7", "é        1,234"]


def test_durations_are_short():
    said = [screen.duration(s) for s in (0.04, 9.96, 12, 59.7, 185, 7800)]

    assert said == ["0.0 s", "10.0 s", "12 s", "1 min 0 s", "3 min 5 s", "2 h 10 min"]


def test_several_exit_codes_at_once_give_the_gravest():
    assert first_of([0, 3, 75]) == 75
    assert first_of([3, 130, 75]) == 130
    assert first_of([3, 5, 4, 1]) == 1
    assert first_of([0]) == 0

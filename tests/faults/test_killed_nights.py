"""A process that is killed at any statement loses nothing: run again, the database is that of an undisturbed night."""

from __future__ import annotations

import random
import shutil
from typing import Any

import pytest

FIRST, SECOND = "first.db", "second.db"
"""Databases of undisturbed nights: over new documents, and again after some of it has changed."""


def undisturbed(nights: Any) -> tuple[dict[str, list[str]], int]:
    """What a night without faults leaves, and how many statements it runs."""
    statements = nights.run(FIRST).statements
    nights.until_nothing_is_left(FIRST)
    nights.check(FIRST)
    return nights.dump(FIRST), statements


def kill_until_done(nights: Any, database: str, chance: random.Random, statements: int, **fault: Any) -> int:
    """Run the night again and again, killed at a random statement each time, until it comes to its end; the rounds."""
    for rounds in range(1, 200):
        ended = nights.run(database, fault="kill", at=chance.randint(1, statements), **fault)
        assert ended.killed or ended.code in (0, 3), ended.said
        nights.check(database)
        if not ended.killed:
            return rounds
    raise AssertionError("it never came to its end")


def rounds_of_first_nights(nights: Any, seed: int, wanted: int) -> int:
    expected, statements = undisturbed(nights)
    chance, rounds, number = random.Random(seed), 0, 0
    while rounds < wanted:
        number += 1
        database = f"killed-{number}.db"
        rounds += kill_until_done(nights, database, chance, statements)
        nights.until_nothing_is_left(database)
        assert nights.dump(database) == expected
    return rounds


def rounds_of_second_nights(nights: Any, seed: int, wanted: int) -> int:
    undisturbed(nights)
    nights.changes()
    shutil.copy(nights.path / FIRST, nights.path / SECOND)
    statements = nights.run(SECOND).statements
    nights.until_nothing_is_left(SECOND)
    expected = nights.dump(SECOND)
    chance, rounds, number = random.Random(seed), 0, 0
    while rounds < wanted:
        number += 1
        database = f"killed-{number}.db"
        shutil.copy(nights.path / FIRST, nights.path / database)
        rounds += kill_until_done(nights, database, chance, statements)
        nights.until_nothing_is_left(database)
        assert nights.dump(database) == expected
    return rounds


def test_a_night_killed_at_any_statement_ends_like_one_that_was_not(nights):
    rounds_of_first_nights(nights, seed=1, wanted=6)


def test_a_night_of_changes_killed_at_any_statement_ends_like_one_that_was_not(nights):
    rounds_of_second_nights(nights, seed=2, wanted=6)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(10, 20))
def test_many_nights_killed_at_any_statement(nights, seed):
    print(rounds_of_first_nights(nights, seed, wanted=10), rounds_of_second_nights(nights, seed, wanted=10), "rounds")


def test_a_night_killed_at_any_moment_with_its_readers_ends_like_one_that_was_not(nights):
    """Killed from outside, by the clock: while it reads in other processes, between statements, within one."""
    expected, _ = undisturbed(nights)
    chance = random.Random(3)
    for _ in range(3):
        nights.run("killed.db", real_readers=True, after=chance.uniform(0.5, 4.0))
        nights.check("killed.db")
    nights.run("killed.db", real_readers=True)
    nights.until_nothing_is_left("killed.db")

    assert nights.dump("killed.db") == expected

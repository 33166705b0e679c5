"""A process that is killed at any statement loses nothing: run again, the database is that of an undisturbed night."""

from __future__ import annotations

import random
import shutil
from typing import Any

import pytest


def kill_until_done(nights: Any, database: str, chance: random.Random, statements: int, **fault: Any) -> int:
    """Run the night again and again, killed at a random statement each time, until it comes to its end; the rounds."""
    for rounds in range(1, 200):
        ended = nights.run(database, fault="kill", at=chance.randint(1, statements), **fault)
        assert ended.killed or ended.code in (0, 3), ended.said
        nights.check(database)
        if not ended.killed:
            return rounds
    raise AssertionError("it never came to its end")


def rounds_of_first_nights(undisturbed: Any, seed: int, wanted: int) -> int:
    chance, rounds, number = random.Random(seed), 0, 0
    while rounds < wanted:
        number += 1
        database = f"killed-{seed}-{number}.db"
        rounds += kill_until_done(undisturbed, database, chance, undisturbed.statements)
        undisturbed.until_nothing_is_left(database)
        assert undisturbed.dump(database) == undisturbed.expected
    return rounds


def rounds_of_second_nights(nights: Any, seed: int, wanted: int) -> int:
    nights.until_nothing_is_left("first.db")
    nights.changes()
    shutil.copy(nights.path / "first.db", nights.path / "second.db")
    statements = nights.run("second.db").statements
    nights.until_nothing_is_left("second.db")
    expected = nights.dump("second.db")
    chance, rounds, number = random.Random(seed), 0, 0
    while rounds < wanted:
        number += 1
        database = f"killed-{number}.db"
        shutil.copy(nights.path / "first.db", nights.path / database)
        rounds += kill_until_done(nights, database, chance, statements)
        nights.until_nothing_is_left(database)
        assert nights.dump(database) == expected
    return rounds


def test_a_night_killed_at_any_statement_ends_like_one_that_was_not(undisturbed):
    rounds_of_first_nights(undisturbed, seed=1, wanted=6)


def test_a_night_of_changes_killed_at_any_statement_ends_like_one_that_was_not(nights):
    rounds_of_second_nights(nights, seed=2, wanted=6)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(10, 20))
def test_many_nights_killed_at_any_statement(undisturbed, nights, seed):
    print(
        rounds_of_first_nights(undisturbed, seed, wanted=10), rounds_of_second_nights(nights, seed, wanted=10), "rounds"
    )


def test_a_night_killed_at_any_moment_with_its_readers_ends_like_one_that_was_not(undisturbed):
    """Killed from outside, by the clock: while it reads in other processes, between statements, within one."""
    chance = random.Random(3)
    for _ in range(3):
        undisturbed.run("by-the-clock.db", real_readers=True, after=chance.uniform(0.5, 4.0))
        undisturbed.check("by-the-clock.db")
    undisturbed.until_nothing_is_left("by-the-clock.db")

    assert undisturbed.dump("by-the-clock.db") == undisturbed.expected

"""A database that cannot be used ends the run with exit code 5 and a next step; what was finished is kept."""

from __future__ import annotations

import sys

import pytest

LATE = 0.7  # of the statements of a night: it has answers by then
FAULTS = {
    "lock": "Close the program that has it open",
    "fill": "Free some space",
    "limit": "run the same command again",
    "vanish": "run the same command again",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_database_has_a_next_step_and_costs_nothing_finished(undisturbed, fault):
    nights, database = undisturbed, f"{fault}.db"

    ended = nights.run(database, fault=fault, at=int(nights.statements * LATE))

    assert ended.code == 5, ended.said
    assert FAULTS[fault] in ended.said
    assert database in ended.said
    assert "Traceback" not in ended.said
    if fault != "vanish":
        nights.check(database)
        assert nights.sql(database, "SELECT count(*) FROM _extractions")[0][0] > 0
    nights.until_nothing_is_left(database)
    assert nights.dump(database) == nights.expected


@pytest.mark.parametrize("fault", ["lock", "fill", "limit"])
@pytest.mark.parametrize("at", [14, 140, 320])
def test_it_does_not_matter_when_the_database_fails(undisturbed, fault, at):
    nights, database = undisturbed, f"{fault}-{at}.db"

    ended = nights.run(database, fault=fault, at=at)

    assert ended.code in (5, 3), ended.said  # 3: nothing had to be written any more that did not fit
    assert ended.code == 5 or fault != "lock"
    nights.check(database)


def test_ctrl_c_at_any_statement_ends_with_130_and_keeps_what_was_finished(undisturbed):
    nights = undisturbed
    for at in (40, 200, 420):
        ended = nights.run("ctrl-c.db", fault="interrupt", at=at)

        assert ended.code == 130, ended.said
        nights.check("ctrl-c.db")
    assert nights.sql("ctrl-c.db", "SELECT DISTINCT state FROM _runs") == [("interrupted",)]
    nights.until_nothing_is_left("ctrl-c.db")
    assert nights.dump("ctrl-c.db") == nights.expected


@pytest.mark.skipif(sys.platform != "linux", reason="gives up the rights of root, as Linux counts them")
def test_a_database_that_may_not_be_written_has_a_next_step(nights):
    nights.run("night.db")
    before = (nights.path / "night.db").read_bytes()
    (nights.path / "night.db").chmod(0o444)

    ended = nights.run("night.db", powerless=True)

    assert ended.code == 5, ended.said
    assert "Change the permissions" in ended.said
    assert (nights.path / "night.db").read_bytes() == before


def test_a_disk_that_is_really_full_has_a_next_step_and_costs_nothing_finished(nights, small_disk):
    for i in range(60):
        nights.write(f"more{i}.txt", f"Letter {i}. " + "It was a long day. " * 60)
    database = str(small_disk.path / "night.db")
    ended = nights.run(database)

    assert ended.code == 5, ended.said
    assert "There is no room left on the disk" in ended.said
    small_disk.grow()
    nights.check(database)
    nights.until_nothing_is_left(database)
    nights.until_nothing_is_left("first.db")
    assert nights.dump(database) == nights.dump("first.db")

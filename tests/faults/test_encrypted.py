"""An encrypted database through SIGKILL and on a bad disk: it ends as a plain one does, and no byte can be read."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pipeline.errors import StoreError
from pipeline.store import Store

sqlcipher = pytest.importorskip("sqlcipher3.dbapi2", reason="needs the extra `encrypted`")

KEY = "correct horse battery staple"
ENCRYPTED = ("--key-from", "key")
WORDS = (b"weather", b"It rained", b"SQLite format 3", b"sha256", KEY.encode())
"""Of the documents, of the head and the schema of a plain database, and the key."""


def decrypted(path: Path) -> Path:
    """A plain copy beside it, made by SQLCipher without our code."""
    copy = path.with_name(path.name + ".plain")
    db = sqlcipher.connect(path, isolation_level=None)
    db.execute(f"PRAGMA key = '{KEY}'")
    db.execute("ATTACH DATABASE ? AS plain KEY ''", (str(copy),))
    db.execute("SELECT sqlcipher_export('plain')").fetchall()
    db.close()
    return copy


def check(path: Path) -> None:
    for file in path.parent.glob(path.name + "*"):
        if not file.name.endswith(".lock"):  # it names the process
            content = file.read_bytes()
            assert not [word for word in WORDS if word in content], file
    try:
        with Store.open(path, write=False, key=SecretStr(KEY)) as store:
            assert store._all("PRAGMA integrity_check") == [("ok",)]
            assert store._all("PRAGMA foreign_key_check") == []
    except StoreError as error:
        assert "no database at" in error.message or "not written by this version" in error.message  # noqa: PT017


def ends_like_a_plain_one(nights: Any, database: Path) -> None:
    codes = [nights.run(str(database), args=ENCRYPTED).code for _ in range(3)]
    assert codes[-1] == 0
    check(database)
    plain = decrypted(database)
    assert nights.dump(str(plain)) == nights.expected
    plain.unlink()


@pytest.fixture
def keyed(undisturbed: Any) -> Any:
    (undisturbed.path / "key").write_text(KEY + "\n")
    return undisturbed


def rounds(nights: Any, seed: int) -> int:
    chance = random.Random(seed)
    database = nights.path / f"encrypted-{seed}.db"
    killed = 0
    while killed < 200:
        ended = nights.run(database.name, args=ENCRYPTED, fault="kill", at=chance.randint(1, nights.statements))
        assert ended.killed or ended.code in (0, 3), ended.said
        assert KEY not in ended.said
        check(database)
        if not ended.killed:
            break
        killed += 1
    ends_like_a_plain_one(nights, database)
    return killed


def test_an_encrypted_night_killed_at_any_statement_ends_like_a_plain_one(keyed):
    assert rounds(keyed, seed=1) > 0


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(10, 20))
def test_many_encrypted_nights_killed_at_any_statement(keyed, seed):
    print(rounds(keyed, seed), "rounds")


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        ("lock", "Close the program that has it open"),
        ("fill", "Free some space"),
        ("limit", "run the same command again"),
        ("vanish", "run the same command again"),
    ],
)
@pytest.mark.parametrize("late", [0.1, 0.7])
def test_a_fault_of_its_disk_has_a_next_step_and_costs_nothing_finished(keyed, fault, hint, late):
    nights = keyed
    database = nights.path / f"encrypted-{fault}-{late}.db"

    ended = nights.run(database.name, args=ENCRYPTED, fault=fault, at=int(nights.statements * late))

    assert ended.code == 5, ended.said
    assert hint in ended.said
    assert database.name in ended.said
    assert KEY not in ended.said
    assert "Traceback" not in ended.said
    if fault != "vanish":
        check(database)
    ends_like_a_plain_one(nights, database)


def test_an_encrypted_database_on_a_disk_that_is_really_full_loses_nothing(nights, small_disk):
    for i in range(60):
        nights.write(f"more{i}.txt", f"Letter {i}. " + "It was a long day. " * 60)
    nights.until_nothing_is_left("first.db")
    nights.expected = nights.dump("first.db")
    (nights.path / "key").write_text(KEY + "\n")
    database = small_disk.path / "night.db"
    ended = nights.run(str(database), args=ENCRYPTED)

    assert ended.code == 5, ended.said
    assert "There is no room left on the disk" in ended.said
    assert KEY not in ended.said
    check(database)
    small_disk.grow()
    ends_like_a_plain_one(nights, database)

"""An encrypted database through SIGKILL: it ends as a plain one does, and no killed process leaves a readable byte."""

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


def rounds(undisturbed: Any, seed: int) -> int:
    nights, chance = undisturbed, random.Random(seed)
    (nights.path / "key").write_text(KEY + "\n")
    database = nights.path / f"encrypted-{seed}.db"
    encrypted = ("--key-from", "key")
    killed = 0
    while killed < 200:
        ended = nights.run(database.name, args=encrypted, fault="kill", at=chance.randint(1, nights.statements))
        assert ended.killed or ended.code in (0, 3), ended.said
        assert KEY not in ended.said
        check(database)
        if not ended.killed:
            break
        killed += 1
    codes = [nights.run(database.name, args=encrypted).code for _ in range(3)]
    assert codes[-1] == 0
    check(database)
    plain = decrypted(database)
    assert nights.dump(plain.name) == nights.expected
    plain.unlink()
    return killed


def test_an_encrypted_night_killed_at_any_statement_ends_like_a_plain_one(undisturbed):
    assert rounds(undisturbed, seed=1) > 0


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(10, 20))
def test_many_encrypted_nights_killed_at_any_statement(undisturbed, seed):
    print(rounds(undisturbed, seed), "rounds")

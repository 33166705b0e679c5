"""An encrypted database: no byte can be read without the key, and with it all is as in a plain one."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys

import pytest
from pydantic import SecretStr

from pipeline.errors import StoreError, StoreLocked
from pipeline.store import RunInfo, Store
from pipeline.store.encrypt import encrypt

pytest.importorskip("sqlcipher3.dbapi2", reason="needs the extra `encrypted`")

KEY = SecretStr('it\'s a "key" -- with; everything é')
MARK = "ZYXWMARKER"
HEAD = b"SQLite format 3"


def contents(path) -> bytes:
    files = [file for file in path.parent.iterdir() if file.name.startswith(path.name)]
    return b"".join(file.read_bytes() for file in files if not file.name.endswith(".lock"))


def fill(store, words):
    night = words.Night(store).all({f"/in/{MARK}-{i}": f"{MARK} {i} " * 200 for i in range(20)})
    night.record(words.sha(f"{MARK} 0 " * 200), {"company": f"{MARK} again", "total": "2,00"})
    return night


def rows(store):
    return [store._all(f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("receipts", "_documents", "_history")]


@pytest.fixture
def encrypted(path):
    def opened(key=KEY, **how):
        return Store.open(path, key=key, **how)

    return opened


def test_no_byte_of_the_database_and_its_log_can_be_read(path, encrypted, words):
    with encrypted() as store:
        fill(store, words)
        assert path.with_name(path.name + "-wal").stat().st_size > 0
        while_open = contents(path)
    for content in (while_open, contents(path)):
        assert content
        for word in (MARK, "company", "CREATE TABLE", KEY.get_secret_value()):
            assert word.encode() not in content
        assert HEAD not in content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with encrypted(write=False) as store:
        assert store._one("SELECT count(*) FROM _documents") == (20,)


def test_sorting_and_vacuum_write_no_temporary_file(path, encrypted, words, tmp_path_factory, monkeypatch):
    """Written through the system's own trace, since SQLite removes its temporary files at once."""
    script = f"""
import sys
from pathlib import Path
from pydantic import SecretStr
from pipeline.store import Store
with Store.open(sys.argv[1], key=SecretStr({KEY.get_secret_value()!r})) as store:
    store._do("PRAGMA cache_size = 10")
    store._do("CREATE TEMP TABLE t AS SELECT * FROM _documents")
    store._all("SELECT a.text || b.text AS x FROM _documents a, _documents b, t ORDER BY x")
    store.purge([store.documents_before("9999")[0]])
"""
    with encrypted() as store:
        fill(store, words)
    try:
        traced = subprocess.run(
            ["strace", "-f", "-e", "trace=openat,open,creat", sys.executable, "-c", script, str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError:
        pytest.skip("needs strace")
    made = [line for line in traced.stderr.splitlines() if "O_CREAT" in line and "ENOENT" not in line]

    assert made
    assert not [line for line in made if path.name not in line and "/dev/" not in line]


def test_what_is_purged_is_gone_under_the_encryption_too(path, encrypted, words):
    with encrypted() as store:
        night = fill(store, words)
        store.purge(store.documents_before("9999"))
        assert night.table() == []
        (pages,) = store._one("PRAGMA freelist_count")
        assert pages == 0
        assert store._all("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("write", [True, False])
def test_the_wrong_key_is_a_clear_error_and_changes_nothing(path, encrypted, write):
    with encrypted() as store:
        store.begin_run(RunInfo("nightdesk run"))
    before = path.read_bytes()

    with pytest.raises(StoreError, match="The key does not open") as caught, encrypted(SecretStr("x"), write=write):
        pass
    assert caught.value.hint
    assert path.read_bytes() == before


@pytest.mark.parametrize("write", [True, False])
def test_an_encrypted_database_without_a_key_says_what_to_do(path, encrypted, write):
    with encrypted() as store:
        store.begin_run(RunInfo("nightdesk run"))
    before = path.read_bytes()

    with pytest.raises(StoreError, match="or it is encrypted") as caught, encrypted(None, write=write):
        pass
    assert "--key-from" in caught.value.hint
    assert path.read_bytes() == before


@pytest.mark.parametrize("write", [True, False])
def test_a_key_for_a_plain_database_is_refused(path, encrypted, write):
    with Store.open(path) as store:
        store.begin_run(RunInfo("nightdesk run"))

    with pytest.raises(StoreError, match="is not encrypted") as caught, encrypted(write=write):
        pass
    assert "nightdesk encrypt" in caught.value.hint


def test_without_the_package_the_error_names_it_and_nothing_is_made(path, encrypted, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlcipher3.dbapi2", None)

    with pytest.raises(StoreError) as caught, encrypted():
        pass
    assert "pip install 'nightdesk[encrypted]'" in caught.value.hint
    assert list(path.parent.iterdir()) == []


def test_a_mistake_of_ours_looks_the_same_with_either_library(encrypted):
    with encrypted() as store:
        with pytest.raises(sqlite3.OperationalError):
            store._all("SELECT nothing FROM nowhere")
        with pytest.raises(sqlite3.IntegrityError):
            store._do("INSERT INTO _inputs VALUES ('t', 999, 999)")


def test_the_key_is_in_no_error(path, encrypted):
    secret = SecretStr("XSECRETX' nonsense")
    path.write_bytes(b"\x01" * 8192)

    with pytest.raises(StoreError) as caught, encrypted(secret):
        pass
    error: BaseException | None = caught.value
    while error is not None:
        assert "XSECRETX" not in f"{error} {error!r} {error.args}"
        error = error.__cause__ or error.__context__


def test_a_plain_database_becomes_an_encrypted_one_with_all_its_rows(path, encrypted, words):
    with Store.open(path) as store:
        fill(store, words)
        before = rows(store)
    old = path.open("rb")  # its bytes, without its name
    for suffix in ("", "-wal", "-journal"):  # of an `encrypt` that was killed
        path.with_name(f"{path.name}.encrypting{suffix}").write_bytes(b"left over")

    encrypt(path, KEY)

    with old:
        assert set(old.read()) == {0}
    assert MARK.encode() not in contents(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with encrypted() as store:
        assert rows(store) == before
        assert store._all("PRAGMA foreign_key_check") == []
        words.Night(store).all({"/in/new": "a new one"})


def test_the_new_name_is_on_the_disk_before_the_old_bytes_are_overwritten(path, words, monkeypatch):
    with Store.open(path) as store:
        fill(store, words)
    fsync, folders = os.fsync, []

    def seen(handle):
        folders.append(stat.S_ISDIR(os.fstat(handle).st_mode))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", seen)
    encrypt(path, KEY)

    assert folders == [True, False]


def test_a_database_that_somebody_reads_is_not_encrypted(path, encrypted, words):
    with Store.open(path) as store:
        fill(store, words)
        before = rows(store)
    with Store.open(path, write=False) as reader:
        reader._all("SELECT 1 FROM _runs")
        with pytest.raises(StoreLocked, match=r"has .* open"):
            encrypt(path, KEY)
    with Store.open(path) as store:
        with pytest.raises(StoreLocked):
            encrypt(path, KEY)
        assert rows(store) == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_is_encrypted_or_no_database_is_not_encrypted_again(path, encrypted):
    with encrypted() as store:
        store.begin_run(RunInfo("nightdesk run"))
    before = path.read_bytes()

    with pytest.raises(StoreError, match="encrypted already"):
        encrypt(path, KEY)
    assert path.read_bytes() == before


def test_a_copy_that_fails_leaves_the_plain_database_as_it_was(path, encrypted, words, monkeypatch):
    with Store.open(path) as store:
        fill(store, words)
        before = rows(store)
    monkeypatch.setattr("pipeline.store.encrypt._counts", lambda db, schema: {schema: 1})

    with pytest.raises(StoreError, match="not equal to it"):
        encrypt(path, KEY)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with Store.open(path) as store:
        assert rows(store) == before

"""Opening the database: who may write, which file it may be, and what a crash or a full disk leaves behind."""

import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap

import pytest
from sqlite_utils import Database

from pipeline.errors import StoreError, StoreFull, StoreLocked, StoreNewer
from pipeline.store import RunInfo, Store
from pipeline.store.migrations import STEPS, migrations


def other_process(script, *arguments, **more):
    code = textwrap.dedent(script)
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, **more
    )


HOLD = """
    import sys, time
    from pipeline.store import Store
    with Store.open(sys.argv[1]):
        print("open", flush=True)
        time.sleep(60)
"""


def test_a_second_writer_is_refused_and_told_who_holds_the_database(path):
    holder = other_process(HOLD, path)
    try:
        assert holder.stdout.readline() == "open\n"

        with pytest.raises(StoreLocked) as caught, Store.open(path):
            pass
    finally:
        holder.kill()
        holder.communicate()
    assert f"process {holder.pid} on {socket.gethostname()}" in caught.value.message
    assert caught.value.hint


def test_a_second_writer_in_the_same_process_is_refused_too(path):
    with Store.open(path), pytest.raises(StoreLocked, match=str(os.getpid())), Store.open(path):
        pass


def test_a_link_to_the_database_is_not_a_second_one(path):
    link = path.with_name("link.db")
    with Store.open(path):
        link.symlink_to(path)
        with pytest.raises(StoreLocked), Store.open(link):
            pass


def test_a_killed_writer_holds_nothing(path, reopened):
    holder = other_process(HOLD, path)
    assert holder.stdout.readline() == "open\n"
    holder.kill()
    holder.communicate()

    with reopened():
        pass


def test_readers_do_not_wait_for_the_writer(path):
    with Store.open(path) as writer:
        run = writer.begin_run(RunInfo("nightdesk run"))
        with Store.open(path, write=False) as reader:
            assert reader._all("SELECT id, state FROM _runs") == [(run, "running")]


def test_what_was_committed_outlives_sigkill(path, reopened):
    script = """
        import itertools, sys
        from pipeline.store import FileRow, RunInfo, Store
        with Store.open(sys.argv[1]) as store:
            run = store.begin_run(RunInfo("nightdesk run"))
            for i in itertools.count():
                store.save_files(run, [FileRow(f"/in/{i}", None, str(i), 1, 1, f"{i:064}")])
                print(i, flush=True)
    """
    writer = other_process(script, path)
    for _ in range(50):
        last = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    rest, _ = writer.communicate()
    last = max([last, *(int(line) for line in rest.split() if line)])

    with reopened() as store:
        (count,) = store._one("SELECT count(*) FROM _files")
        assert count in (last + 1, last + 2)  # the one that was not yet reported may be in
        assert store.file("/in/0").sha256 == f"{0:064}"
        run = store.begin_run(RunInfo("nightdesk run"))
        assert store._all("SELECT id, state FROM _runs ORDER BY id") == [(1, "crashed"), (run, "running")]


def test_nothing_is_left_beside_a_closed_database(path):
    with Store.open(path):
        pass

    assert list(path.parent.iterdir()) == [path]


def test_the_files_are_for_their_owner_only(path):
    old = os.umask(0)
    try:
        with Store.open(path) as store:
            store.begin_run(RunInfo("nightdesk run"))
            modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    finally:
        os.umask(old)
    assert modes == dict.fromkeys(("night.db", "night.db-wal", "night.db-shm", "night.db.lock"), 384)


def test_a_database_of_a_newer_version_is_refused_and_not_touched(path):
    with Store.open(path) as store:
        store.db["_sqlite_migrations"].insert(
            {"migration_set": "nightdesk", "name": "m999_from_tomorrow", "applied_at": "later"}
        )
    before = path.read_bytes()

    for write in (True, False):
        with pytest.raises(StoreNewer, match="m999_from_tomorrow"), Store.open(path, write=write):
            pass
    assert path.read_bytes() == before


@pytest.mark.parametrize("step", range(1, len(STEPS)))
def test_a_database_of_each_older_version_is_brought_up_to_date_with_its_rows(path, reopened, step):
    db = Database(path, execute_plugins=False)
    migrations.apply(db, stop_before=STEPS[step].__name__)
    db.execute(
        """INSERT INTO _runs (command, settings, model, model_sha256, versions, host, cores, pid, started, state)
           VALUES ('old', '{}', 'm', 's', '{}', 'h', 1, 1, 'then', 'done')"""
    )
    db.close()

    with pytest.raises(StoreError, match="not written by this version"), Store.open(path, write=False):
        pass
    with reopened() as store:
        assert store._all("SELECT command FROM _runs") == [("old",)]
        assert {name for (name,) in store._all("SELECT name FROM _sqlite_migrations")} == {
            step.__name__ for step in STEPS
        }


def test_every_table_of_ours_is_strict_and_begins_with_an_underscore(store):
    rows = store._all("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")

    assert all(name.startswith("_") for name, _ in rows)
    assert all("STRICT" in sql for name, sql in rows if name != "_sqlite_migrations")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no database " * 100, "not a SQLite database"),
        (b"SQLite format 3\0" + b"\xff" * 8000, "not a SQLite database|damaged"),
    ],
)
@pytest.mark.parametrize("write", [True, False])
def test_a_file_that_is_no_database_is_refused_and_not_touched(path, content, words, write):
    path.write_bytes(content)

    with pytest.raises(StoreError, match=words) as caught, Store.open(path, write=write):
        pass
    assert caught.value.hint
    assert path.read_bytes() == content


def test_a_damaged_database_is_called_damaged(path, words):
    with Store.open(path) as store:
        words.Night(store).all({f"/in/{i}": f"text {i} " * 200 for i in range(30)})
    content = bytearray(path.read_bytes())
    content[4096 * 3 :] = b"\x5a" * (len(content) - 4096 * 3)
    path.write_bytes(content)

    with pytest.raises(StoreError, match="damaged") as caught, Store.open(path) as store:
        list(store.db.conn.iterdump())
    assert caught.value.hint


def test_a_reader_of_nothing_is_told_how_to_make_a_database(path):
    with pytest.raises(StoreError, match="no database at") as caught, Store.open(path, write=False):
        pass
    assert "nightdesk run" in caught.value.hint
    assert not path.exists()


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with (
        pytest.raises(StoreError, match=r"The folder of .*gone/night\.db does not exist") as caught,
        Store.open(tmp_path / "gone" / "night.db"),
    ):
        pass
    assert "mkdir" in caught.value.hint


def test_a_folder_in_the_place_of_the_file_is_an_error_with_a_next_step(tmp_path):
    with pytest.raises(StoreError) as caught, Store.open(tmp_path):
        pass
    assert caught.value.hint


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_read_only_file_is_an_error_with_a_next_step(path):
    """In a child that drops its rights: root may write everywhere."""
    with Store.open(path):
        pass
    path.chmod(0o444)
    path.parent.chmod(0o755)
    for folder in path.parents:
        if folder.owner() == path.owner() and folder.name.startswith("pytest"):
            folder.chmod(0o755)
    script = """
        import os, sys
        from pipeline.errors import StoreError
        from pipeline.store import Store
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        try:
            with Store.open(sys.argv[1]):
                print("opened")
        except StoreError as error:
            print(type(error).__name__, bool(error.hint))
    """
    child = other_process(script, path)

    assert child.communicate()[0] == "StoreError True\n"


def fill(store, run):
    from pipeline.store import FileRow

    for i in range(100_000):
        store.save_files(run, [FileRow(f"/in/{i}" + "x" * 400, None, "x" * 400, 1, 1, f"{i:064}")])


def test_a_database_that_may_not_grow_is_full_and_stays_whole(path, reopened):
    with Store.open(path) as store:
        run = store.begin_run(RunInfo("nightdesk run"))
        (pages,) = store._one("PRAGMA page_count")
        store._one(f"PRAGMA max_page_count = {pages + 20}")

        with pytest.raises(StoreFull) as caught:
            fill(store, run)
        (count,) = store._one("SELECT count(*) FROM _files")
    assert caught.value.hint
    assert count > 0
    with reopened() as store:
        assert store._one("SELECT count(*) FROM _files") == (count,)
        store.begin_run(RunInfo("nightdesk run"))


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on file size")
def test_a_disk_that_takes_no_more_is_an_error_and_keeps_what_was_finished(path, reopened):
    script = """
        import resource, signal, sys
        from pipeline.errors import StoreError
        from pipeline.store import FileRow, RunInfo, Store
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with Store.open(sys.argv[1]) as store:
            run = store.begin_run(RunInfo("nightdesk run"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
            done = 0
            try:
                while True:
                    store.save_files(run, [FileRow(f"/in/{done}", None, "x" * 400, 1, 1, f"{done:064}")])
                    done += 1
            except StoreError as error:
                print(done, bool(error.hint))
    """
    child = other_process(script, path)
    out, _ = child.communicate()
    done, hint = out.split()

    assert hint == "True"
    with reopened() as store:
        assert store._one("SELECT count(*) FROM _files") == (int(done),)
        assert int(done) > 20


def test_what_raises_inside_atomic_leaves_nothing(store):
    run = store.begin_run(RunInfo("nightdesk run"))

    def half_done():
        with store.atomic():
            store.begin_run(RunInfo("inner"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_done()
    assert store._all("SELECT id FROM _runs") == [(run,)]


def test_a_mistake_of_ours_is_not_dressed_up(store):
    with pytest.raises(sqlite3.OperationalError):
        store._all("SELECT nothing FROM nowhere")
    with pytest.raises(sqlite3.IntegrityError):
        store._do("INSERT INTO _inputs VALUES ('t', 999, 999)")


def test_another_program_that_writes_is_named_as_the_reason(path, monkeypatch):
    monkeypatch.setattr("pipeline.store.connection.BUSY_SECONDS", 0)
    with Store.open(path) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(StoreLocked, match="Another program"):
                store.begin_run(RunInfo("nightdesk run"))
        finally:
            other.close()


def test_names_that_sqlite_would_read_as_a_uri_are_only_names(tmp_path):
    path = tmp_path / "a b?mode=memory#%41 é.db"

    with Store.open(path) as store:
        store.begin_run(RunInfo("nightdesk run"))
    with Store.open(path, write=False) as store:
        assert store._one("SELECT count(*) FROM _runs") == (1,)


def test_a_folder_is_no_database_and_a_file_in_it_is_proposed(tmp_path):
    with pytest.raises(StoreError, match="is a folder, not a database") as raised, Store.open(tmp_path):
        pass

    assert str(tmp_path / "night.db") in raised.value.hint

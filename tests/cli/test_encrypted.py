"""An encrypted database by the commands: where its key may come from, and that every command works on it."""

from __future__ import annotations

import getpass
import warnings
from contextlib import closing

import pytest

sqlcipher = pytest.importorskip("sqlcipher3.dbapi2", reason="needs the extra `encrypted`")

KEY = "XQZKEYXQZ with 'quotes'"


@pytest.fixture
def safe(place):
    """A place with two letters and a key file."""
    place.documents(2)
    place.write("night.key", KEY + "\n")
    return place


def rows(place, query):
    with closing(sqlcipher.connect(place.path / "night.db")) as db:
        db.execute("PRAGMA key = '" + KEY.replace("'", "''") + "'")
        return db.execute(query).fetchall()


def readable(place):
    """What can be read outside the documents and the key file, that should not be."""
    for file in place.path.rglob("*"):
        if file.is_file() and file.name != "night.key":
            content = file.read_bytes()
            assert KEY.encode() not in content, file
            if file.name.startswith("night.db"):
                assert b"weather" not in content
                assert b"SQLite format 3" not in content


def test_every_command_works_on_it_and_the_key_is_kept_nowhere(safe):
    def call(*args):
        done = safe.call(*args, "--db", "night.db", "--key-from", "night.key")
        assert KEY not in done.out + done.err
        assert done.code == 0, done.err
        return done.out

    said = call("run", "tone", "docs", "--model", "scripted")
    assert "nightdesk export tone --db night.db --key-from night.key" in said
    assert "sqlite-utils" not in said
    readable(safe)
    assert "tone" in call("status")
    assert "No failures" in call("failures")
    assert "done" in call("explain", "docs/0001.txt")
    assert "tone" in call("export", "tone")
    assert "nothing to retry" in call("retry")
    safe.write("gold.jsonl", '{"id": "1", "file": "docs/0001.txt", "fields": {"tone": "good"}}\n')
    assert "tone" in call("eval", "tone", "--labels", "gold.jsonl", "--against", "night.db")
    assert call("purge", "docs/0000.txt").startswith("Deleted: 1 document")
    readable(safe)
    assert rows(safe, "SELECT count(*) FROM tone") == [(1,)]
    assert KEY not in str(rows(safe, "SELECT command, settings FROM _runs"))

    safe.write("other.key", "another")
    for wrong, words in ((), "or it is encrypted"), (("--key-from", "other.key"), "The key does not open"):
        for verb in (["status"], ["export", "tone"], ["run", "tone", "docs", "--model", "scripted"]):
            done = safe.call(*verb, "--db", "night.db", *wrong)
            assert (done.code, words in done.err) == (5, True), done.err


def test_a_plain_database_is_encrypted_by_the_command_and_a_job_file_names_the_key(safe):
    assert safe.run("--dry-run").code == 0
    asked = safe.call("encrypt", "--db", "night.db")
    assert (asked.code, "--key-from" in asked.err) == (2, True)

    done = safe.call("encrypt", "--db", "night.db", "--key-from", "night.key")

    assert (done.code, "is encrypted" in done.out) == (0, True), done.err
    readable(safe)
    job = 'database = "../night.db"\nmodel = "scripted"\nkey_from = "../night.key"\n'
    safe.write("jobs/night.toml", f'{job}[[tasks]]\ntask = "tone"\ninputs = ["../docs"]\n')
    done = safe.call("run", "jobs/night.toml", "--dry-run")
    assert done.code == 0, done.err
    assert rows(safe, "SELECT count(*) FROM _runs") == [(2,)]
    readable(safe)


def test_there_is_nothing_to_encrypt_where_there_is_no_database(safe):
    done = safe.call("encrypt", "--db", "none.db", "--key-from", "night.key")

    assert (done.code, "no database at" in done.err) == (5, True)
    assert not (safe.path / "none.db").exists()


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), (b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe\x00", "UTF-8")]
)
def test_a_key_file_that_holds_no_key_is_refused_before_anything_is_made(safe, content, words):
    if content is not None:
        (safe.path / "bad.key").write_bytes(content)

    done = safe.run("--key-from", "bad.key")

    assert (done.code, words in done.err) == (2, True), done.err
    assert not (safe.path / "night.db").exists()


@pytest.fixture
def keyring():
    """The library, which is given back as it was."""
    keyring = pytest.importorskip("keyring", reason="needs the extra `encrypted`")
    before = keyring.get_keyring()
    yield keyring
    keyring.set_keyring(before)


def test_the_key_may_lie_in_the_systems_keyring_under_the_databases_path(safe, keyring):
    from keyring.backend import KeyringBackend

    class Ring(KeyringBackend):
        priority = 1

        def get_password(self, service, username):
            return KEY if (service, username) == ("nightdesk", str(safe.path / "night.db")) else None

        def set_password(self, service, username, password):
            raise AssertionError("Nightdesk only reads it")

    keyring.set_keyring(Ring())

    assert safe.run("--dry-run", "--key-from", "keyring").code == 0
    assert rows(safe, "SELECT count(*) FROM _runs") == [(1,)]
    missing = safe.call("status", "--db", "other.db", "--key-from", "keyring")
    assert missing.code == 2
    assert f"keyring set nightdesk '{safe.path}/other.db'" in missing.err


def test_a_keyring_that_cannot_be_used_is_a_clear_error(safe, keyring):
    from keyring.backends.fail import Keyring

    keyring.set_keyring(Keyring())

    done = safe.run("--key-from", "keyring")

    assert (done.code, "keyring cannot be used" in done.err) == (2, True), done.err
    assert not (safe.path / "night.db").exists()


def test_a_person_is_asked_twice_for_a_new_key_and_once_for_a_known_one(safe, monkeypatch):
    answers: list[str] = []
    monkeypatch.setattr(getpass, "getpass", lambda _: answers.pop(0))

    answers[:] = [KEY, KEY + "x"]
    differ = safe.run("--dry-run", "--key-from", "prompt")
    assert (differ.code, "differ" in differ.err) == (2, True)
    assert not (safe.path / "night.db").exists()
    answers[:] = [KEY, KEY]
    assert safe.run("--dry-run", "--key-from", "prompt").code == 0
    answers[:] = [KEY]
    assert safe.call("status", "--db", "night.db", "--key-from", "prompt").code == 0
    answers[:] = [KEY, KEY]
    again = safe.call("encrypt", "--db", "night.db", "--key-from", "prompt")
    assert (again.code, answers, "encrypted already" in again.err) == (5, [], True)


def test_bytes_that_are_no_text_are_asked_for_again_and_shown_nowhere(safe, monkeypatch):
    monkeypatch.setattr(getpass, "getpass", lambda _: b"XQZ\xff".decode())

    done = safe.run("--key-from", "prompt")

    assert (done.code, "is not text" in done.err, "XQZ" in done.err) == (2, True, False)


def test_nobody_at_a_terminal_is_a_clear_error(safe, monkeypatch):
    def fallback(_):
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=1)

    monkeypatch.setattr(getpass, "getpass", fallback)

    done = safe.run("--key-from", "prompt")

    assert (done.code, "nobody at a terminal" in done.err) == (2, True)

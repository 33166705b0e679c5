"""7z archives: as folders, in memory, within the limits of every archive."""

import sys

import pytest

from pipeline import readers
from pipeline.errors import ReadError
from pipeline.readers import ReadOptions, archives


def refused(content, options=ReadOptions()):
    with pytest.raises(ReadError) as caught:
        readers.read(content, "a.7z", options)
    return caught.value


def test_members_are_attachments_and_nothing_is_written(make_seven, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = readers.read(make_seven({"x/a.txt": b"one", "b.csv": b"a;b", "__MACOSX/a.txt": b"no"}), "a.7z")

    assert [(one.name, one.content) for one in document.attachments] == [("a.txt", b"one"), ("b.csv", b"a;b")]
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_leads_out_of_the_archive_writes_nothing(make_seven, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    content = make_seven({"__/__/a.txt": b"one"})

    document = readers.read(content.replace("__/__".encode("utf-16-le"), "../..".encode("utf-16-le")), "a.7z")

    assert [one.name for one in document.attachments] == ["a.txt"]
    assert [path.name for path in tmp_path.rglob("*")] == ["in"]


def test_a_password_opens_it(make_seven):
    content = make_seven({"a.txt": b"secret words"}, password="right")

    assert refused(content).code == "encrypted"
    assert refused(content, ReadOptions(("wrong",))).code == "encrypted"
    assert readers.read(content, "a.7z", ReadOptions(("wrong", "right"))).attachments[0].content == b"secret words"


def test_what_unpacks_to_too_much_is_refused(make_seven, monkeypatch):
    monkeypatch.setattr(archives, "_SMALL", 1000)

    assert refused(make_seven({"a.txt": bytes(200_000)})).code == "limits"


def test_too_many_members_are_refused(make_seven, monkeypatch):
    monkeypatch.setattr(archives, "_MOST_MEMBERS", 3)

    assert refused(make_seven({f"{n}.txt": b"x" for n in range(4)})).code == "limits"


def test_without_the_library_the_cure_is_named(make_seven, monkeypatch):
    content = make_seven({"a.txt": b"x"})
    monkeypatch.setitem(sys.modules, "py7zr", None)

    error = refused(content)

    assert error.code == "missing_extra"
    assert "nightdesk[archives]" in error.hint

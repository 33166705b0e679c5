import os

import pytest

from pipeline.errors import JobError
from pipeline.readers import walk


def make(top, *names):
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("x")


def found(top, *inputs):
    return [str(path.relative_to(top)) for path in walk(inputs or [top])]


def test_folders_recurse_in_sorted_order(tmp_path):
    make(tmp_path, "b.txt", "a/z.pdf", "a/b/c.txt", "a/a.xyz", "c/d")

    assert found(tmp_path) == ["a/a.xyz", "a/b/c.txt", "a/z.pdf", "b.txt", "c/d"]


def test_hidden_files_and_folders_are_skipped(tmp_path):
    make(tmp_path, ".hidden.txt", ".git/config", "seen/.DS_Store", "seen/a.txt")

    assert found(tmp_path) == ["seen/a.txt"]


def test_a_hidden_input_that_is_named_is_taken(tmp_path):
    make(tmp_path, ".papers/a.txt", ".b.txt")

    assert found(tmp_path, tmp_path / ".papers", tmp_path / ".b.txt") == [".papers/a.txt", ".b.txt"]


def test_the_order_of_inputs_is_kept(tmp_path):
    make(tmp_path, "b.txt", "a.txt")

    assert found(tmp_path, tmp_path / "b.txt", tmp_path / "a.txt") == ["b.txt", "a.txt"]


def test_a_link_that_leads_back_is_entered_once(tmp_path):
    make(tmp_path, "a/b/c.txt")
    (tmp_path / "a/b/back").symlink_to(tmp_path)

    assert found(tmp_path) == ["a/b/c.txt"]


def test_what_is_no_file_is_left_out(tmp_path):
    make(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "pipe")

    assert found(tmp_path) == ["a.txt"]


def test_a_link_to_nothing_is_given_so_that_it_is_seen(tmp_path):
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "itself").symlink_to(tmp_path / "itself")

    assert found(tmp_path) == ["broken", "itself"]


def test_a_folder_that_may_not_be_opened_is_given_itself(tmp_path, monkeypatch):
    make(tmp_path, "a/b.txt", "c.txt")
    plain = type(tmp_path).iterdir

    def iterdir(path):
        if path.name == "a":
            raise PermissionError(13, "Permission denied")
        return plain(path)

    monkeypatch.setattr(type(tmp_path), "iterdir", iterdir)

    assert found(tmp_path) == ["a", "c.txt"]


def test_a_missing_input_is_named_before_anything_is_given(tmp_path):
    make(tmp_path, "a.txt")

    with pytest.raises(JobError, match="nowhere"):
        next(walk([tmp_path, tmp_path / "nowhere"]))


def test_what_is_still_being_delivered_to_a_maildir_is_left_alone(tmp_path):
    make(tmp_path, "Mail/cur/1", "Mail/new/2", "Mail/tmp/3", "other/tmp/4", "other/cur/5")

    assert found(tmp_path) == ["Mail/cur/1", "Mail/new/2", "other/cur/5", "other/tmp/4"]
    assert found(tmp_path, tmp_path / "Mail/tmp") == ["Mail/tmp/3"]


def test_files_to_leave_out_are_left_out_by_any_name_that_is_theirs(tmp_path):
    make(tmp_path, "a/night.db", "b/night.db", "a/x.txt")
    (tmp_path / "link").symlink_to(tmp_path / "a/night.db")

    left = walk([tmp_path, tmp_path / "a/night.db"], without=[tmp_path / "link"])

    assert [str(path.relative_to(tmp_path)) for path in left] == ["a/x.txt", "b/night.db"]

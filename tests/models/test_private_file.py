"""A small file of Nightdesk's own is its owner's alone, and whole at every moment."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from pipeline import private_file


def test_a_private_file_and_its_folder_are_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        private_file.write(tmp_path / "kept" / "note.json", "{}")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "kept" / "note.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("step", ["fdopen", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "note.json"
    private_file.write(file, "old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    owner: object = os if step == "fdopen" else Path
    monkeypatch.setattr(owner, step, full)
    with pytest.raises(OSError, match="No space left"):
        private_file.write(file, "new")
    monkeypatch.undo()

    assert file.read_text() == "old"
    assert [*tmp_path.iterdir()] == [file]


def test_who_has_the_old_file_open_goes_on_reading_the_old_text(tmp_path: Path) -> None:
    file = tmp_path / "note.json"
    private_file.write(file, "a" * 100_000)
    with file.open() as reader:
        begun = reader.read(10)
        private_file.write(file, "b" * 100_000)
        assert begun + reader.read() == "a" * 100_000
    assert file.read_text() == "b" * 100_000

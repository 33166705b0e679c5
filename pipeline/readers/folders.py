"""Inputs named by a person -> the files to read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from pipeline.errors import JobError


def walk(inputs: Sequence[Path], without: Collection[Path] = ()) -> Iterator[Path]:
    """All regular files, in the order of the inputs and sorted within a folder; each input is checked first.

    Folders recurse. Hidden files and folders are skipped below an input, not when they are named themselves.
    Links are followed; a folder that leads back into itself is entered once. What may not be looked at, and a link
    to nothing, is given as it is: reading it fails, and the failure is seen. Mails that are still being delivered (the
    folder `tmp` of a maildir) are left alone, and so are the files of `without`, under any path that leads to them by
    a name of theirs. Raises JobError for an input that is not there.
    """
    for given in inputs:
        if not given.exists():
            raise JobError(f"{given} does not exist", hint="Check the spelling, and the folder you started in.")
    left_out = {path.resolve() for path in without}
    names = {path.name for path in (*without, *left_out)}  # looked at first: resolving 100,000 paths takes time
    for given in inputs:
        for path in _folder(given) if given.is_dir() else [given] if given.is_file() else []:
            if path.name not in names or path.resolve() not in left_out:
                yield path


def _folder(top: Path) -> Iterator[Path]:
    """Depth first with a stack of its own, so that depth is bounded by the disk and not by Python."""
    entered: set[tuple[int, int]] = set()
    waiting = [top]
    while waiting:
        path = waiting.pop()
        try:
            if path.is_file():
                yield path
                continue
            if not path.is_dir():
                if path.is_symlink() and not path.exists():  # what it led to may be a whole folder, not mounted
                    yield path
                continue  # a socket, a pipe
            state = path.stat()
            inside = [below for below in path.iterdir() if not below.name.startswith(".")]
        except OSError:
            yield path
            continue
        if (state.st_dev, state.st_ino) not in entered:
            entered.add((state.st_dev, state.st_ino))
            if is_maildir(path):
                inside = [below for below in inside if below.name != "tmp"]
            waiting.extend(sorted(inside, reverse=True))


def is_maildir(folder: Path) -> bool:
    """Whether a folder has what every maildir has (https://cr.yp.to/proto/maildir.html). Looks at the disk."""
    try:
        return all((folder / name).is_dir() for name in ("cur", "new", "tmp"))
    except OSError:
        return False

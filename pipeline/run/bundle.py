"""Everything an air-gapped machine needs in one folder: wheels, the model, the tasks, and a list of their sha256.

The list is the format of `sha256sum`, so that machine can check it before anything is installed:

    OUT/INSTALL.txt   SHA256SUMS   wheels/*.whl   models/<name>.gguf   prompts/   schemas/

Builds and downloads nothing: the wheels are those that `pip wheel` made (WHEEL_COMMAND).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import UserError

WHEEL_COMMAND = (
    'CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON" '
    "pip wheel --no-cache-dir --no-binary llama-cpp-python --wheel-dir wheels ."
)
"""Makes the wheels, in the folder of Nightdesk's sources, for processors from 2013 on. Built without these flags
llama.cpp uses what this processor has, and ends with an illegal instruction on an older one. A wheel that pip has in
its cache may have been built so."""

LIST = "SHA256SUMS"
_BLOCK = 1 << 20
_TASK_FOLDERS = ("prompts", "schemas")

_INSTALL = """\
Nightdesk for a machine without a network
=========================================

The other machine needs Python {python} and a system like the one that the wheels were built on. Take this folder
there, and in it:

1. See that nothing was changed or lost on the way. The list itself has the sha256 that `nightdesk bundle` printed:

     sha256sum {list}
     sha256sum --check --quiet {list}

2. Install:

     python3 -m venv .venv
     .venv/bin/pip install --no-index wheels/*.whl

3. Look again with Nightdesk's own eyes, and rehearse a night on a sample:

     .venv/bin/nightdesk bundle . --verify
     .venv/bin/nightdesk doctor --model models/{model}

4. Run. The tasks are looked for in prompts/ of the folder you start in:

     .venv/bin/nightdesk run TASK FOLDER --db night.db --model models/{model}
"""


@dataclass(frozen=True, slots=True)
class Packed:
    """What a bundle holds. `list_sha256` is that of the list: compare it on the other machine."""

    files: int
    size: int  # bytes
    list_sha256: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """A file of a bundle that is not as the list says."""

    path: str
    what: str


def pack(out: Path, wheels: Path, model: Sequence[Path]) -> Packed:
    """Make the folder `out` from wheels, the files of a model and the tasks of the working directory.

    Raises UserError where `out` is not empty, or the wheels are not all that Nightdesk needs.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already.", hint="Name a folder that is not there or is empty.")
    found = _wheels(wheels)
    sums: dict[str, str] = {}
    size = 0
    wanted = [*((w, f"wheels/{w.name}") for w in found), *((part, f"models/{part.name}") for part in model)]
    for source, name in [*wanted, *_tasks()]:
        sums[name] = _copy(source, out / name)
        size += (out / name).stat().st_size
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = _INSTALL.format(python=python, list=LIST, model=model[0].name).encode()
    _write(out / "INSTALL.txt", text)
    sums["INSTALL.txt"] = hashlib.sha256(text).hexdigest()
    listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode()
    _write(out / LIST, listed)
    return Packed(len(sums), size, hashlib.sha256(listed).hexdigest())


def verify(bundle: Path) -> tuple[Packed, list[Wrong]]:
    """Compare a bundle with its list: what is missing, what has changed, and what the list does not name.

    A virtual environment and results that lie beside it are not looked at: only the folders that were packed.
    """
    file = bundle / LIST
    try:
        listed = file.read_bytes()
        lines = [line.split("  ", 1) for line in listed.decode().splitlines()]
        sums = {name: digest for digest, name in lines}
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is not the list of a bundle.", hint="Name the folder of a bundle.") from error
    wrong = []
    size = 0
    for name, digest in sums.items():
        try:
            actual = _sha256(bundle / name)
            size += (bundle / name).stat().st_size
        except OSError:
            wrong.append(Wrong(name, "is missing or cannot be read"))
        else:
            if actual != digest:
                wrong.append(Wrong(name, "has changed"))
    for folder in ("wheels", "models", *_TASK_FOLDERS):
        for path in sorted((bundle / folder).rglob("*")):
            name = path.relative_to(bundle).as_posix()
            if path.is_file() and name not in sums and "__pycache__" not in path.parts:
                wrong.append(Wrong(name, "is not in the list"))
    return Packed(len(sums), size, hashlib.sha256(listed).hexdigest()), wrong


def _wheels(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    there = {_normal(wheel.name.split("-", 1)[0]) for wheel in found}
    missing = sorted({"nightdesk", *_needed()} - there)
    if missing:
        raise UserError(
            f"{folder} has no wheel of {', '.join(missing)}.",
            hint=f"In the folder of Nightdesk's sources: {WHEEL_COMMAND}",
        )
    return found


def _needed() -> set[str]:
    """The distributions that Nightdesk asks for without extras."""
    asked = importlib.metadata.requires("nightdesk") or []
    names = (re.match(r"[\w.-]+", line) for line in asked if "extra ==" not in line)
    return {_normal(name[0]) for name in names if name}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _tasks() -> Iterator[tuple[Path, str]]:
    """The tasks of the working directory. Those that come with Nightdesk are in its wheel."""
    for folder in _TASK_FOLDERS:
        for path in sorted(Path(folder).rglob("*")):
            left_out = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
            if path.is_file() and not left_out:
                yield path, path.as_posix()


def _copy(source: Path, target: Path) -> str:
    """Copy a file; the sha256 of what was written."""
    digest = hashlib.sha256()
    _folder(target.parent)
    try:
        with source.open("rb") as read, _new(target) as write:
            while block := read.read(_BLOCK):
                digest.update(block)
                write.write(block)
    except OSError as error:
        raise UserError(
            f"{source} cannot be packed: {error.strerror}.", hint="Look at the disk and the file."
        ) from error
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: bytes) -> None:
    _folder(path.parent)
    with _new(path) as file:
        file.write(content)


def _folder(path: Path) -> None:
    for folder in (*reversed(path.parents), path):
        folder.mkdir(mode=0o700, exist_ok=True)


def _new(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

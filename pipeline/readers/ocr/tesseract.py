"""Tesseract, the program: where it is, which languages it has, and what it reads in a picture.

It is started for each page, with the picture in its input and the words in its output: nothing of a document touches
the disk. It inherits the network guard and the memory limit of the process that starts it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ReadError

SECONDS = 90.0  # that one picture may take
_DIVIDED, _BLOCK = "3", "6"  # page segmentation modes

_SCRIPTS = {
    "Arabic": ("ara", "fas", "pus", "snd", "uig", "urd", "kur_ara"),
    "Armenian": ("hye",),
    "Bengali": ("ben", "asm"),
    "Cyrillic": ("rus", "ukr", "bel", "bul", "kaz", "kir", "mkd", "mon", "srp", "tat", "tgk", "aze_cyrl", "uzb_cyrl"),
    "Devanagari": ("hin", "mar", "nep", "san"),
    "Ethiopic": ("amh", "tir"),
    "Georgian": ("kat", "kat_old"),
    "Greek": ("ell", "grc"),
    "Gujarati": ("guj",),
    "Gurmukhi": ("pan",),
    "Han": ("chi_sim", "chi_tra", "jpn"),
    "Hebrew": ("heb", "yid"),
    "Japanese": ("jpn",),
    "Kannada": ("kan",),
    "Khmer": ("khm",),
    "Korean": ("kor",),
    "Lao": ("lao",),
    "Malayalam": ("mal",),
    "Myanmar": ("mya",),
    "Oriya": ("ori",),
    "Sinhala": ("sin",),
    "Tamil": ("tam",),
    "Telugu": ("tel",),
    "Thai": ("tha",),
    "Tibetan": ("bod", "dzo"),
}
"""Languages by what Tesseract's detection calls their script. All others are Latin."""
_NOT_LATIN = frozenset(language for languages in _SCRIPTS.values() for language in languages)
_NO_LANGUAGE = frozenset(("osd", "equ", "snum"))


@dataclass(frozen=True, slots=True)
class Tesseract:
    """The program as it is on this machine."""

    program: str
    version: str
    languages: tuple[str, ...]  # sorted, without those that are none
    detects: bool  # turned pages and scripts (osd.traineddata)


@dataclass(frozen=True, slots=True)
class Orientation:
    """How far a picture must be turned clockwise to be upright (0, 90, 180, 270), and the script that it shows."""

    turn: int
    script: str


def find() -> Tesseract | None:
    """The program on this machine; None where it is not there, or does not start."""
    program = shutil.which("tesseract")
    if program is None:
        return None
    try:
        version = _run(program, ["--version"]).stdout.decode("utf-8", "replace")
        listed = _run(program, ["--list-langs"]).stdout.decode("utf-8", "replace").split("\n")[1:]
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.match(r"tesseract v?(\S+)", version)
    if number is None:
        return None
    found = {line.strip() for line in listed if line.strip() and "/" not in line}
    return Tesseract(program, number[1], tuple(sorted(found - _NO_LANGUAGE)), "osd" in found)


def installed() -> tuple[str, ...]:
    """The program and its languages as files, without starting it. Empty where it is not there; languages that lie
    neither where packages put them nor where TESSDATA_PREFIX says are not seen.
    """
    program = shutil.which("tesseract")
    if program is None:
        return ()
    share, named = Path(program).parent.parent / "share", os.environ.get("TESSDATA_PREFIX")
    folders = [Path(named)] if named else [*share.glob("tesseract-ocr/*/tessdata"), share / "tessdata"]
    return program, *sorted(str(file) for folder in folders for file in folder.glob("*.traineddata"))


def missing(name: str) -> ReadError:
    """The error for a file that needs the program where there is none."""
    return ReadError(
        f"{name} is a scan or a photo, and Tesseract, which reads these, is not installed",
        code="missing_extra",
        hint="Install it: apt install tesseract-ocr (and tesseract-ocr-por for Portuguese, and so on).",
    )


def missing_language(name: str, tesseract: Tesseract, wanted: Sequence[str]) -> ReadError:
    """The error for languages that were asked for by name and are not there."""
    absent = [language for language in wanted if language not in tesseract.languages]
    there = ", ".join(tesseract.languages) or "no language"
    package = f"tesseract-ocr-{absent[0].replace('_', '-').lower()}"
    return ReadError(
        f"{name} cannot be read in {', '.join(absent)}; Tesseract has {there}",
        code="missing_extra",
        hint=f"Install it: apt install {package}",
    )


def languages_of(script: str, tesseract: Tesseract) -> tuple[str, ...]:
    """The installed languages that are written so; all where there are none, or the script is not known."""
    if script in _SCRIPTS:
        found = [language for language in _SCRIPTS[script] if language in tesseract.languages]
    else:
        found = [language for language in tesseract.languages if language not in _NOT_LATIN] if script else []
    return tuple(found) or tesseract.languages


def orientation(tesseract: Tesseract, picture: bytes) -> Orientation:
    """Which way is up, and the script. Of a picture with little text neither is known: no turn, no script."""
    if not tesseract.detects:
        return Orientation(0, "")
    try:
        done = _run(tesseract.program, ["stdin", "stdout", "--psm", "0", "-l", "osd", "--dpi", "300"], picture)
    except subprocess.TimeoutExpired:
        return Orientation(0, "")
    said = done.stdout.decode("utf-8", "replace")
    turn, script = re.search(r"^Rotate: (0|90|180|270)$", said, re.M), re.search(r"^Script: (\w+)$", said, re.M)
    return Orientation(int(turn[1]) if turn else 0, script[1] if script else "")


def table(tesseract: Tesseract, picture: bytes, languages: Sequence[str], name: str, *, block: bool = False) -> str:
    """What it reads, as its table of words (TSV). `picture` is a file's bytes; `block` reads it as lines one below the
    other, without a look for columns. Raises ReadError: ocr_failed, limits.
    """
    mode = _BLOCK if block else _DIVIDED
    arguments = ["stdin", "stdout", "-l", "+".join(languages), "--oem", "1", "--psm", mode, "--dpi", "300"]
    try:
        done = _run(tesseract.program, [*arguments, "-c", "tessedit_create_tsv=1"], picture)
    except subprocess.TimeoutExpired:
        hint = "Scan it again with a lower resolution, or leave it out."
        raise ReadError(f"{name}: Tesseract took more than {SECONDS:g} s", code="limits", hint=hint) from None
    if done.returncode != 0:
        raise ReadError(
            f"{name} could not be read by Tesseract (status {done.returncode})",
            code="ocr_failed",
            hint="Look whether the picture opens in another program; scan it again if not.",
        )
    return done.stdout.decode("utf-8", "replace")


def _run(program: str, arguments: Sequence[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    # One thread: pages are read side by side, and more threads make none of them faster.
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1", "LC_ALL": "C"}
    return subprocess.run(
        [program, *arguments], input=given, capture_output=True, timeout=SECONDS, env=environment, check=False
    )

"""The settings that `nightdesk tune` found, kept for a model on this machine in the user's cache directory.

One small JSON file for each model file (by its sha256) and host. Settings of speed only: nothing in them is part of a
work key. They are used where the job leaves them open, while the cores and llama.cpp are the ones they were found on.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

import platformdirs
from pydantic import ValidationError

from pipeline import private_file
from pipeline.config import Shape
from pipeline.errors import UserError

NAMES = ("threads", "slots", "ubatch", "batch", "flash_attention", "replicas", "passive", "drafts")
"""What tune may set. Not the type of the cache: that changes answers."""
VERSION = 2  # of what a trial measures and a setting means: what another one found is not used


@dataclass(frozen=True, slots=True)
class Measured:
    """One setting that was tried. `tokens` are tokens a second; None: it could not be run."""

    name: str
    value: int | bool | str
    tokens: float | None


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was found, when and where."""

    version: int
    model: str  # its path, for people
    sha256: str
    cores: int
    llama_cpp: str
    date: str
    chosen: dict[str, int | bool | str]
    tokens: float  # a second, with what was chosen
    before: float  # with the defaults
    trials: tuple[Measured, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def words(self) -> str:
        """The settings in one line."""
        return ", ".join(f"{name} {value}" for name, value in self.chosen.items()) or "the defaults"


def file_of(sha256: str) -> Path:
    """Where the settings for this model on this machine lie, if there are any."""
    host = "".join(character if character.isalnum() else "-" for character in platform.node())
    return Path(platformdirs.user_cache_dir("nightdesk")) / "tuned" / f"{sha256[:16]}-{host}.json"


def load(sha256: str) -> Tuned | None:
    """What was found for this model here. A file that is absent or damaged is none: tune makes it anew."""
    try:
        data = json.loads(file_of(sha256).read_text("utf-8"))
        data["trials"] = tuple(Measured(**each) for each in data["trials"])
        data["notes"] = tuple(data["notes"])
        tuned = Tuned(**data)
        Shape.model_validate(tuned.chosen)
    except (OSError, ValueError, TypeError, KeyError, ValidationError):
        return None
    return tuned if (tuned.version, tuned.sha256) == (VERSION, sha256) and {*tuned.chosen} <= {*NAMES} else None


def save(tuned: Tuned) -> Path:
    """Keep it in place of what was there; 0600. Raises UserError."""
    file = file_of(tuned.sha256)
    try:
        private_file.write(file, json.dumps(asdict(tuned), indent=1))
    except OSError as error:
        raise UserError(
            f"{file} cannot be written: {error.strerror}.", hint="Check the folder's permissions."
        ) from error
    return file


def reset(sha256: str) -> bool:
    """Forget it; whether there was something."""
    file = file_of(sha256)
    there = file.exists()
    file.unlink(missing_ok=True)
    return there


def applied(shape: Shape, sha256: str, cores: int, llama_cpp: str, *, gpu: bool) -> tuple[Shape, str]:
    """The shape with what was found where the job leaves it open, and what to say about that; empty: nothing.

    `gpu`: whether layers go to a GPU, where nothing was measured.
    """
    tuned = load(sha256)
    if tuned is None:
        return shape, "" if gpu else "not tuned: `nightdesk tune` measures what is faster here"
    if (tuned.cores, tuned.llama_cpp) != (cores, llama_cpp):
        return shape, "tuned on other cores or with another llama.cpp, so not used: see `nightdesk tune`"
    if gpu:
        return shape, "tuned on the CPU, so not used beside a GPU"
    taken = {name: value for name, value in tuned.chosen.items() if name not in shape.model_fields_set}
    together = {"flash_attention", "slots"}  # the one was measured with the other
    apart = shape.kv_type != "f16" or shape.model_fields_set & together
    if tuned.chosen.get("flash_attention") == "prompts" and apart:
        taken = {name: value for name, value in taken.items() if name not in together}
    if not taken:
        return shape, ""
    words = ", ".join(f"{name} {value}" for name, value in taken.items())
    return shape.model_copy(update=taken), f"tuned on {tuned.date}: {words}"

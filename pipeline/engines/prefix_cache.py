"""The computed beginning of a task's prompts, kept on disk from run to run: the model need not read it again.

A file of its own for each beginning, by llama.cpp (llama_state_seq_save_file), with its sha256 beside it: the file
itself does not say which model it belongs to, and a damaged one harms the cache it is read into (ENGINE.md 1.6). Only
for models that attend to everything. It holds the task's examples, so it is 0600, and `nightdesk purge` removes it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import platformdirs

from pipeline import private_file
from pipeline.batching import Backend
from pipeline.data import fingerprint

KEEP = 8  # newest files; a file is as large as its part of the KV cache


class Keeping(Backend, Protocol):
    """A backend whose sequences can be written to a file and read back."""

    def save_sequence(self, file: Path, sequence: int, tokens: Sequence[int]) -> bool:
        """Write a sequence of these tokens; whether it worked."""
        ...

    def load_sequence(self, file: Path, sequence: int, tokens: Sequence[int]) -> bool:
        """Read into an empty sequence. False: it did not work, or was not of these tokens; it is empty again."""
        ...


def folder() -> Path:
    """Where the files lie."""
    return Path(platformdirs.user_cache_dir("nightdesk")) / "prefixes"


def clear() -> int:
    """Remove all of them; how many there were."""
    states = [*folder().glob("*.state")]
    for file in [*states, *folder().glob("*.sha256"), *folder().glob("new-*")]:
        file.unlink(missing_ok=True)
    return len(states)


@dataclass(frozen=True, slots=True)
class PrefixCache:
    """Implements `pipeline.batching.Kept`. `identity` names the model, llama.cpp and the layout of its cache.

    What cannot be read or written is decoded as ever: this saves time and is never needed.
    """

    backend: Keeping
    identity: str

    def load(self, sequence: int, tokens: Sequence[int]) -> bool:
        """Fill the empty sequence from the file of these tokens; False where there is none that is whole."""
        file = self._file(tokens)
        try:
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            whole = file.with_suffix(".sha256").read_text("ascii") == digest
        except (OSError, ValueError):
            return False
        if whole and self.backend.load_sequence(file, sequence, tokens):
            return True
        file.unlink(missing_ok=True)
        return False

    def save(self, sequence: int, tokens: Sequence[int]) -> None:
        """Keep the sequence that holds these tokens, and remove the oldest files above KEEP."""
        file = self._file(tokens)
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=file.parent, prefix="new-")  # 0600, and the mode stays
            os.close(handle)
            new = Path(name)
            if not self.backend.save_sequence(new, sequence, tokens):
                new.unlink()
                return
            with new.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            private_file.write(file.with_suffix(".sha256"), digest)
            new.replace(file)
            by_age = sorted(file.parent.glob("*.state"), key=lambda each: each.stat().st_mtime)
            for old in by_age[:-KEEP]:
                old.unlink(missing_ok=True)
                old.with_suffix(".sha256").unlink(missing_ok=True)
        except OSError:
            return

    def _file(self, tokens: Sequence[int]) -> Path:
        return folder() / f"{fingerprint('prefix', self.identity, list(tokens))}.state"

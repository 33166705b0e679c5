"""Files within files: where one was found, and how much one file of the disk may hold over all its levels.

Each reader bounds what it unpacks itself. Formats in turn (a mail in an archive in a mail ...) would multiply these
bounds, so what lies in one file is counted once more here, whatever format it came out of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.data import Attachment
from pipeline.errors import ReadError

MAX_DEPTH = 8  # mails in mails
MOST_FILES = 200_000  # twice the mails of the largest mailbox that is read
MOST_BYTES = 2 << 30


@dataclass(slots=True)
class Held:
    """What one file of the disk was found to hold so far, at any depth."""

    files: int = 0
    size: int = 0

    def add(self, attachments: Sequence[Attachment], name: str) -> None:
        """Count these. Raises ReadError limits where they are too many or too large together with what was before."""
        files, size = self.files + len(attachments), self.size + sum(len(one.content) for one in attachments)
        if files > MOST_FILES or size > MOST_BYTES:
            raise ReadError(
                f"{name} and what lies around it hold more than {MOST_FILES:,} files or {MOST_BYTES >> 20:,} MB.",
                code="limits",
                hint="Unpack it, and give the folder to Nightdesk.",
            )
        self.files, self.size = files, size


@dataclass(frozen=True, slots=True)
class Place:
    """Where a document was found. `depth` counts the files around it; all in one file of the disk share `held`."""

    path: str
    mtime_ns: int
    depth: int = 0
    held: Held = field(default_factory=Held)

    def inner(self, path: str) -> Place:
        """The place of an attachment. Raises ReadError too_deep."""
        if self.depth == MAX_DEPTH:
            raise ReadError(
                f"{path} lies in {MAX_DEPTH} files around each other, which are the most that are opened.",
                code="too_deep",
                hint="Take it out of them, and give it to Nightdesk.",
            )
        return Place(path, self.mtime_ns, self.depth + 1, self.held)

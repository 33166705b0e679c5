"""Small files that Nightdesk keeps for itself: readable by their owner only, and never seen half written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(file: Path, text: str) -> None:
    """Put the text in place of what was there: 0600, in a folder of 0700 where there was none. Raises OSError.

    It is written beside and renamed, so a reader and a second writer see the old file or a new one, whole.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix="new-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

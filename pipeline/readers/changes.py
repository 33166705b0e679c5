"""Tracked changes: which of the texts is read, and how an insertion and a deletion are marked where both are."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.data import Changes

_WORDS = re.compile(r"(\s*)(.*?)(\s*)", re.S)


@dataclass(frozen=True, slots=True)
class Change:
    """An insertion, or else a deletion, and who made it."""

    inserted: bool
    author: str = ""


def is_read(change: Change | None, wanted: Changes) -> bool:
    """Whether the text of this change is in the text that is wanted."""
    return change is None or wanted == "all" or change.inserted == (wanted == "final")


def marked(text: str, change: Change) -> str:
    """`[Inserted by Ana: text]`, `[Deleted: text]`. White space stays outside; nothing else is not marked."""
    before, words, after = _WORDS.fullmatch(text).groups()  # type: ignore[union-attr]  # it matches every text
    if not words:
        return text
    who = f" by {change.author}" if change.author else ""
    return f"{before}[{'Inserted' if change.inserted else 'Deleted'}{who}: {words}]{after}"


def shown(pieces: Iterable[tuple[Change | None, str]], wanted: Changes) -> str:
    """Pieces of a paragraph as one text; neighbours of one change get one mark."""
    texts = []
    for change, group in itertools.groupby((piece for piece in pieces if piece[1]), key=lambda piece: piece[0]):
        if is_read(change, wanted):
            text = "".join(text for _, text in group)
            texts.append(marked(text, change) if change is not None and wanted == "all" else text)
    return "".join(texts)

"""Where the footnotes, endnotes and comments of a .doc belong.

[MS-DOC] 2.8.4 PlcffndRef and 2.8.5 PlcffndTxt, and those like them; 2.9.1 ATRDPre10 (the author of a comment).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.readers.doc_properties import of_fib, strings

# The part of the text; where the FIB says where the places and the texts lie; bytes beside each place.
_KINDS = ((1, 0x00AA, 0x00B2, 2), (4, 0x00BA, 0x00C2, 30), (5, 0x020A, 0x0212, 2))
_COMMENTS = 4
_AUTHORS = 0x01BA
_AUTHOR = 20  # where a comment's 30 bytes hold the number of its author


@dataclass(frozen=True, slots=True)
class Note:
    """A note: where it is named in the main text, and its text from and to within its part of the document."""

    place: int
    part: int
    text: tuple[int, int]
    author: str = ""

    @property
    def is_comment(self) -> bool:
        """It has no number and may have an author."""
        return self.part == _COMMENTS


def notes(stream: bytes, table: bytes, lengths: Sequence[int]) -> list[Note]:
    """The notes in the order of their places. Those of a kind are left out where their tables contradict the text's
    `lengths`; their text is in their part of the document all the same."""
    found: list[Note] = []
    for kind in _KINDS:
        found += _of_kind(stream, table, lengths, *kind)
    return sorted(found, key=lambda note: note.place)


def _of_kind(
    stream: bytes, table: bytes, lengths: Sequence[int], part: int, places_at: int, texts_at: int, beside: int
) -> list[Note]:
    named, texts = of_fib(stream, table, places_at), of_fib(stream, table, texts_at)
    count = (len(named) - 4) // (4 + beside)
    if count < 1 or len(texts) < 4 * (count + 1):
        return []
    places = struct.unpack_from(f"<{count}I", named)
    bounds = struct.unpack_from(f"<{count + 1}I", texts)
    if max(places) >= lengths[0] or bounds[-1] > lengths[part] or any(low > high for low, high in pairwise(bounds)):
        return []
    authors = [""] * count
    if part == _COMMENTS:
        known = dict(enumerate(strings(of_fib(stream, table, _AUTHORS))))
        beginning = 4 * (count + 1) + _AUTHOR
        authors = [
            known.get(struct.unpack_from("<H", named, beginning + beside * number)[0], "") for number in range(count)
        ]
    return [Note(*one) for one in zip(places, [part] * count, pairwise(bounds), authors, strict=True)]

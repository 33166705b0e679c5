"""Texts without the accidents of layout, case and Unicode form, with the way back; and where words begin and end.

It goes further than the schema's `fold`, which it begins with. It knows nothing of values or their types.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from pipeline.schema import fold

Place = tuple[int, int]
"""Where a stretch of a text begins and ends."""

_SAME_MARKS = str.maketrans("‘’‚‛′´`“”„‟«»″‐‑‒–—−", "'''''''\"\"\"\"\"\"\"------")


@dataclass(frozen=True, slots=True)
class Folding:
    """A text without the accidents of layout, case and Unicode form. `text[i]` came from [starts[i], ends[i])."""

    text: str = field(repr=False)
    starts: tuple[int, ...] = field(repr=False)
    ends: tuple[int, ...] = field(repr=False)

    @classmethod
    def of(cls, text: str) -> Folding:
        """The schema's folding, and beyond it compatibility forms, case, quotes, and hyphens inside of words."""
        first = fold(text)
        out: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        for char, start, end in zip(first.text, first.starts, first.ends, strict=True):
            plain = char.lower() if char.isascii() else unicodedata.normalize("NFKC", char).casefold()
            for piece in plain.translate(_SAME_MARKS) if not char.isascii() or char == "`" else plain:
                if piece == " " and (not out or out[-1] == " "):
                    continue
                out.append(piece)
                starts.append(start)
                ends.append(end)
        # A hyphen inside a word may be the printer's or the writer's: neither counts.
        dropped: set[int] = set()
        for at in (at for at, char in enumerate(out) if char == "-"):
            after = at + 2 if out[at + 1 : at + 2] == [" "] else at + 1
            if at > 0 and after < len(out) and out[at - 1].isalpha() and out[after].isalpha():
                dropped.update(range(at, after))
        kept = [at for at in range(len(out)) if at not in dropped]
        return cls("".join(out[i] for i in kept), tuple(starts[i] for i in kept), tuple(ends[i] for i in kept))

    def squeezed(self) -> Folding:
        """Letters, marks and digits only."""
        kept = [i for i, char in enumerate(self.text) if char.isalnum() or unicodedata.category(char)[0] == "M"]
        return Folding(
            "".join(self.text[i] for i in kept),
            tuple(self.starts[i] for i in kept),
            tuple(self.ends[i] for i in kept),
        )

    def original(self, place: Place) -> Place:
        """Where a stretch of the folded text stands in the text that was folded."""
        return (self.starts[place[0]], self.ends[place[1] - 1])


def is_aligned(text: str, place: Place) -> bool:
    """Whether a place begins and ends where words or numbers do: "5" does not stand in "15" or "5.00"."""
    return _is_edge(text, place[0]) and _is_edge(text, place[1])


def _is_edge(text: str, at: int) -> bool:
    if at <= 0 or at >= len(text):
        return True
    before, after = text[at - 1], text[at]
    if unicodedata.category(after)[0] == "M":
        return False
    if after.isdigit() and before in ".," and at > 1 and text[at - 2].isdigit():
        return False
    if before.isdigit() and after in ".," and text[at + 1 : at + 2].isdigit():
        return False
    if not (before.isalnum() and after.isalnum()) or is_unspaced(before) or is_unspaced(after):
        return True
    return before.isdigit() != after.isdigit()


_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7AF),
             (0xF900, 0xFAFF), (0x20000, 0x3FFFF))  # fmt: skip


def is_unspaced(char: str) -> bool:
    """Scripts that write words without blanks between them, or with endings at once behind them."""
    return char > "\u0e00" and any(low <= ord(char) <= high for low, high in _UNSPACED)

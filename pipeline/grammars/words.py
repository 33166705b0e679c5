"""Where a value may begin or end: the word bounds of UAX 29, and each character in scripts without spaces.

Works on folded text: there is no space but " ". Knows nothing of grammars.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Literal

Kind = Literal["space", "letter", "digit", "unspaced", "mark", "flag", "other"]

# Scripts written without spaces: each character is a unit.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3021, 0x30FF),  # numerals, Kana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x20000, 0x323AF),
)
_JOINER = "\u200d"
_WITHIN_WORD = "'\u2019.\u00b7"
_WITHIN_NUMBER = ",.;'\u066b\u066c"


def units(text: str) -> list[str]:
    """`text` cut into the units a value is made of: `"".join(units(text)) == text`."""
    kinds = [_kind(char) for char in text]
    out: list[str] = []
    base: Kind = "space"  # of the character before, marks looked through
    linked = False  # the character before is a point or comma within a word or number
    for at, char in enumerate(text):
        kind = kinds[at]
        if kind == "mark":
            joins, link = base != "space" and at > 0, linked
        elif kind in ("letter", "digit"):
            joins, link = linked or base in ("letter", "digit"), False
        else:
            link = at + 1 < len(text) and (
                (base == kinds[at + 1] == "letter" and char in _WITHIN_WORD)
                or (base == kinds[at + 1] == "digit" and char in _WITHIN_NUMBER)
            )
            emoji = kind == "other" and at > 0 and text[at - 1] == _JOINER
            flag = kind == base == "flag" and len(out[-1]) == 1
            joins = link or emoji or flag
        if joins:
            out[-1] += char
        else:
            out.append(char)
        linked = link
        if kind != "mark":
            base = kind
    return out


@lru_cache(maxsize=4096)
def _kind(char: str) -> Kind:
    if char == " ":
        return "space"
    code = ord(char)
    category = unicodedata.category(char)
    if category[0] == "M" or char in "\u200c\u200d" or 0x1F3FB <= code <= 0x1F3FF:
        return "mark"
    if any(low <= code <= high for low, high in _UNSPACED):
        return "unspaced"
    if category[0] == "L" or category == "Pc":
        return "letter"
    if category == "Nd":
        return "digit"
    return "flag" if 0x1F1E6 <= code <= 0x1F1FF else "other"

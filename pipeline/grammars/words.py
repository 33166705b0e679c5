"""Where a value may begin or end: the word bounds of UAX 29, and each character in scripts without spaces.

Works on folded text: there is no space but " ". Python has no Word_Break property, so its classes are made of general
categories and of the characters that UAX 29 names. Knows nothing of grammars.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Literal

Kind = Literal["space", "letter", "digit", "unspaced", "mark", "connector", "flag", "symbol", "other"]

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
_LETTERS = "\u055a\u055b\u055c\u055e\u058a\u05f3"  # punctuation that counts as letters: Armenian, geresh
# MidLetter, but for colons: they part a label from what it names. MidNum, and the Arabic decimal mark.
_WITHIN_BOTH = "'.\u2018\u2019\u2024\ufe52\uff07\uff0e"
_WITHIN_WORD = _WITHIN_BOTH + "\u00b7\u0387\u055f\u05f4\u2027"
_WITHIN_NUMBER = _WITHIN_BOTH + ",;\u037e\u0589\u060c\u060d\u066b\u066c\u07f8\u2044\ufe10\ufe14\ufe50\ufe54\uff0c\uff1b"


def units(text: str) -> list[str]:
    """`text` cut into the units a value is made of: `"".join(units(text)) == text`."""
    kinds = [_kind(char) for char in text]
    out: list[str] = []
    base, before = "space", ""  # of the character before and itself, marks looked through
    linked = False  # the character before is a point or comma within a word or number
    for at, char in enumerate(text):
        kind = kinds[at]
        if kind == "mark":
            joins, link = base != "space" and at > 0, linked
        elif kind in ("letter", "digit", "connector"):
            joins, link = linked or base in ("letter", "digit", "connector"), False
        else:
            after = kinds[at + 1] if at + 1 < len(text) else "space"
            link = (base == after == "digit" and char in _WITHIN_NUMBER) or (
                base == after == "letter"
                and (char in _WITHIN_WORD or (char == '"' and _is_hebrew(before) and _is_hebrew(text[at + 1])))
            )
            geresh = char == "'" and _is_hebrew(before)
            emoji = kind == "symbol" and at > 0 and text[at - 1] == _JOINER
            flag = kind == base == "flag" and len(out[-1]) == 1
            joins = link or geresh or emoji or flag
        if joins:
            out[-1] += char
        else:
            out.append(char)
        linked = link
        if kind != "mark":
            base, before = kind, char
    return out


def _is_hebrew(letter: str) -> bool:
    return "\u05d0" <= letter <= "\u05f2" or "\ufb1d" <= letter <= "\ufb4f"


@lru_cache(maxsize=4096)
def _kind(char: str) -> Kind:
    if char == " ":
        return "space"
    code = ord(char)
    category = unicodedata.category(char)
    if category[0] == "M" or char in "\u200c\u200d" or 0x1F3FB <= code <= 0x1F3FF:
        return "mark"
    if category == "Nd":
        return "digit"
    if any(low <= code <= high for low, high in _UNSPACED):
        return "unspaced"
    if category[0] == "L" or category == "Nl" or char in _LETTERS:
        return "letter"
    if category == "Pc":
        return "connector"
    if 0x1F1E6 <= code <= 0x1F1FF:
        return "flag"
    return "symbol" if category[0] == "S" else "other"

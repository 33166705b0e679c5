"""Digits and punctuation of other scripts, written with the ones that patterns know, character for character."""

from __future__ import annotations

import unicodedata
from functools import cache

_PUNCTUATION = {
    "\uff0f": "/", "\uff0e": ".", "\uff0d": "-", "\uff0c": ",", "\uff1a": ":", "\uff08": "(", "\uff09": ")",
    "\uff0b": "+", "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2212": "-", "\u2044": "/",
    "\u060c": ",", "\ufe63": "-", "\uff20": "@",
}  # fmt: skip


@cache
def _table() -> dict[int, str]:
    digits = {
        code: str(unicodedata.decimal(chr(code)))
        for code in range(128, 0x20000)
        if unicodedata.category(chr(code)) == "Nd"
    }
    return {**digits, **{ord(char): plain for char, plain in _PUNCTUATION.items()}}


def with_plain_digits(text: str) -> str:
    """`text` with every decimal digit as 0-9 and wide punctuation as ASCII. The length stays the same."""
    return text if text.isascii() else text.translate(_table())

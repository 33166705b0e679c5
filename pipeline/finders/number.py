"""Plain numbers. The normal form is a decimal number with a point and no grouping: `-1234.5`."""

from __future__ import annotations

import re

from pipeline.finders import Settled, Span
from pipeline.finders._currencies import currencies
from pipeline.finders._digits import with_plain_digits
from pipeline.finders._numerals import numerals

_MINUS = "-\u2212"
_WORD_BEFORE = re.compile(r"[^\W\d_]+\.?\Z")
_LONGEST_WHOLE = 15  # digits; what is longer is an identifier


def find(text: str, settled: Settled) -> list[Span]:
    """Every number that is not part of a word, a date, a time or a version."""
    plain = with_plain_digits(text)
    spans = []
    for numeral in numerals(text, settled.decimal):
        start, end = numeral.start, numeral.end
        if len(numeral.digits) > _LONGEST_WHOLE + 5 or not _stands_alone(plain, start, end):
            continue
        before = plain[max(start - 2, 0) : start]
        if before[-1:] in _MINUS and before[-1:] and not (before[:1].isalnum() and len(before) == 2):
            start -= 1
        value = f"-{numeral.digits}" if start < numeral.start and numeral.digits.strip("0.") else numeral.digits
        spans.append(Span(start, end, value, ambiguous=numeral.ambiguous))
    return spans


def _stands_alone(plain: str, start: int, end: int) -> bool:
    before, after = plain[start - 1 : start], plain[end : end + 1]
    if before in ("/", ":") and start > 1 and before and plain[start - 2].isdigit():
        return False
    if after in ("/", ":") and after and plain[end + 1 : end + 2].isdigit():
        return False
    if before == "-" and start > 1 and plain[start - 2].isalnum():
        return False
    if before.isalpha() and before.isascii():
        word = _WORD_BEFORE.search(plain, max(start - 8, 0), start)
        return word is not None and (word.group() in currencies() or word.group() in "xX")
    if before == "_":
        return False
    return after != "_"

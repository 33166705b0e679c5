"""Currencies: signs, short forms, names and ISO codes. The normal form is the ISO code.

Signs (€), codes and names (EUR, euros) count wherever they stand as words; what may be something else (kr, Fr., 元)
only beside an amount or in brackets. The signs $ and ¥, and what several countries call theirs (kr), are marked as
ambiguous; where no code is meant, what is written is the normal form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from pipeline.finders import Settled, Span, money
from pipeline.finders._cldr import codes_in_use
from pipeline.finders._currencies import SIGNS, currencies

_SHARED = frozenset("$¥￥")
_LEAST = 3  # letters of a name
_COMPANIES = {"BHD"}  # Malaysian companies have the code of Bahrain's dinar in their names
_DIGIT = re.compile(r"\d")
_MARKS = " \u00a0\u202f\u2009\t:()-\u2212"  # between a currency and its amount


def find(text: str, settled: Settled) -> list[Span]:
    """Every currency, once where it stands."""
    places = {match.span() for match in _alone().finditer(text)}
    places |= {match.span(1) for match in _bracketed().finditer(text)}
    if text in currencies():
        places.add((0, len(text)))
    places |= {place for amount in money.find(text, settled) for place in _beside(text, amount)}
    widest = dict(sorted(places))  # of those that begin together
    return [_span(text, start, end) for start, end in widest.items()]


def _span(text: str, start: int, end: int) -> Span:
    written = text[start:end]
    code = currencies()[written]
    return Span(start, end, code or written.rstrip("."), ambiguous=code is None or written in _SHARED)


def _beside(text: str, span: Span) -> Iterator[tuple[int, int]]:
    """The currency at the beginning or the end of an amount."""
    digits = [match.start() for match in _DIGIT.finditer(text, span.start, span.end)]
    before, behind = text[span.start : digits[0]].strip(_MARKS), text[digits[-1] + 1 : span.end].strip(_MARKS)
    if before in currencies():
        start = text.index(before, span.start)
        yield start, start + len(before)
    for written in (behind, behind.rpartition(" ")[2]):  # "million euros"
        if written in currencies():
            start = text.rindex(written, digits[-1], span.end)
            yield start, start + len(written)


@cache
def _alone() -> re.Pattern[str]:
    """Signs, and names and codes as whole words."""
    signs = [one for one in SIGNS if not any(map(str.isalpha, one))]
    lettered = [one for one in SIGNS if one[0].isalpha() and one[-1] in "$£"]
    codes = (codes_in_use() & currencies().keys()) - _COMPANIES
    words = codes | {one for one in SIGNS if one.isalpha() and len(one) >= _LEAST}
    return re.compile(rf"(?<![^\W_])(?:{_any(lettered)})|{_any(signs)}|(?<![^\W_])(?:{_any(words)})(?![^\W_])")


@cache
def _bracketed() -> re.Pattern[str]:
    """Anything that is a currency, as in "Total (kr)"."""
    return re.compile(rf"[(\[（]\s?({_any(currencies())})\s?[)\]）]")


def _any(written: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, written), key=len, reverse=True))

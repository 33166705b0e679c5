"""Identifiers: numbers of invoices, orders, contracts, cases. The normal form is in capitals, without blanks.

An identifier has a digit. It is written in one piece with - / . _ inside, or with a few capitals before it
("FT 1/448"), or in groups of three or four digits. Dates, times, amounts with two decimals and percentages are none.
"""

from __future__ import annotations

import re

from pipeline.finders import Settled, Span, date
from pipeline.finders._digits import with_plain_digits

# Scripts that write no spaces between words stand beside an identifier, not in it.
_CHAR = r"[^\W_\u0e00-\u0eff\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f]"
_PIECE = re.compile(
    rf"(?<!{_CHAR})(?<!{_CHAR}[-/._])(?<!\d[,:])(?<![@/])"  # bounded, so that a line of dashes is read once
    rf"{_CHAR}{{1,40}}+(?:[-/._]{_CHAR}{{1,40}}+){{0,8}}+(?!{_CHAR}|[-/._]{_CHAR}|[@%]|[ \u00a0]%|[,:]\d)"
)
_LABEL = re.compile(r"(?:[^\W\d_]+-)*[^\W\d_]{2,}\.(?=.*\d)")  # "Nr.2025-17"
_BEFORE = re.compile(r"(?<![^\W_])[^\W\d_]{2,4} \Z")
_LABELS = {"NO", "NR", "NUM", "ID", "DE", "DU", "DA", "DEL", "VOM", "VON", "OF", "VAN"}
_GROUPS = re.compile(r"(?<![\w.,:/-])\d{1,4}(?:[ \u00a0]\d{3,4}){1,6}(?![\w%]|[.,:/-]\d)")
_DATE_LIKE = re.compile(r"\d{1,2}([./-])\d{1,2}\1(?:\d{4}|\d{2})|\d{4}([./-])\d{1,2}\2\d{1,2}")
_AMOUNT_LIKE = re.compile(r"\d+(?:\.\d{3})*\.\d{2}")
_LONGEST = 40  # characters


def find(text: str, settled: Settled) -> list[Span]:
    """Every word with a digit that is written like an identifier, alone and with the capitals before it."""
    plain = with_plain_digits(text)
    in_dates = {at for span in date.find(text, settled) for at in range(span.start, span.end)}
    found = {match.span() for match in _GROUPS.finditer(plain)}
    for match in _PIECE.finditer(plain):
        start, end = match.span()
        if label := _LABEL.match(plain, start, end):
            start = label.end()
        piece = plain[start:end]
        if len(piece) > _LONGEST or not any(char.isdigit() for char in piece):
            continue
        if start in in_dates or _DATE_LIKE.fullmatch(piece) or _AMOUNT_LIKE.fullmatch(piece):
            continue
        found.add((start, end))
        before = _BEFORE.search(plain, max(start - 6, 0), start)
        if before and before.group().isupper() and before.group().strip() not in _LABELS:
            found.add((before.start(), end))
    places = sorted(found, key=lambda place: (place[0], -place[1]))
    return [Span(start, end, "".join(plain[start:end].split()).upper()) for start, end in places]

"""Bank account numbers (IBAN), checked by country, length and mod 97. The normal form has no blanks."""

from __future__ import annotations

import re

from pipeline.finders import Settled, Span
from pipeline.finders._digits import with_plain_digits

# ISO 13616 registry: the whole length for each country.
_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip

_START = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})[ \u00a0-]?(?=\d{2})")  # an ideograph may stand before it
_BLANKS = " \u00a0\u202f\u2009-"


def find(text: str, settled: Settled) -> list[Span]:  # noqa: ARG001
    """Every valid number, written in one piece or in groups parted by single blanks or hyphens."""
    plain = with_plain_digits(text)
    spans = []
    for match in _START.finditer(plain):
        length = _LENGTHS.get(match.group(1).upper())
        if length is None:
            continue
        number, end = _read(plain, match.start(), length)
        if len(number) == length and _is_valid(number):
            spans.append(Span(match.start(), end, number))
    return spans


def _read(text: str, start: int, length: int) -> tuple[str, int]:
    """`length` letters and digits from `start` on, and where they end."""
    characters: list[str] = []
    position = start
    while position < len(text) and len(characters) < length:
        char = text[position]
        if char.isascii() and char.isalnum():
            characters.append(char.upper())
        elif char not in _BLANKS or text[position - 1] in _BLANKS:
            break
        position += 1
    if position < len(text) and text[position].isascii() and text[position].isalnum():
        return "", position
    return "".join(characters), position


def _is_valid(number: str) -> bool:
    return number[2:4].isdigit() and int("".join(str(int(char, 36)) for char in number[4:] + number[:4])) % 97 == 1

"""Telephone numbers. With a country code the normal form is E.164 (`+442079460000`); without, its digits alone.

phonenumbers, imported here only, decides what an international number is.
"""

from __future__ import annotations

import re

import phonenumbers

from pipeline.finders import Settled, Span
from pipeline.finders._digits import with_plain_digits

# Groups of digits parted by at most two marks; bounded, so that a page of digits is read once.
_CANDIDATE = re.compile(
    r"(?<!\w)(?<!\d[.,/:-])\+?[ ]?\(?\d{1,15}(?:[ \u00a0.()/-]{1,3}\d{1,10}){0,8}(?![\w/]|[.,:-]\d)"
)
_DATE_LIKE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})|\d{4}[./-]\d{1,2}[./-]\d{1,2}")
_INTERNET_LIKE = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_AMOUNT_LIKE = re.compile(r"\d+(?:[ .]\d{3})*\.\d{2}")
_FEWEST, _MOST = 7, 15


def find(text: str, settled: Settled) -> list[Span]:  # noqa: ARG001
    """Every run of 7 to 15 digits that is written like a telephone number and not like a date or an amount."""
    plain = with_plain_digits(text)
    spans = []
    for match in _CANDIDATE.finditer(plain):
        start, end = match.span()
        start += len(plain[start:end]) - len(plain[start:end].lstrip())
        written = plain[start:end]
        digits = re.sub(r"\D", "", written)
        if not _FEWEST <= len(digits) <= _MOST + 2 * digits.startswith("00"):
            continue
        if any(like.fullmatch(written) for like in (_DATE_LIKE, _AMOUNT_LIKE, _INTERNET_LIKE)):
            continue
        value = _normal_form(written, digits)
        if value is not None:
            spans.append(Span(start, end, value))
    return spans


def _normal_form(written: str, digits: str) -> str | None:
    international = written.lstrip("( ").startswith("+")
    if not international and not digits.startswith("00"):
        return digits
    number = "+" + (digits if international else digits[2:])
    # In +44 (0)20 the zero is dialled inside the country only.
    number = re.sub(r"^(\+\d{1,3}?)0", r"\1", number) if re.search(r"\(0\)", written) else number
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None if international else digits
    if not phonenumbers.is_possible_number(parsed):
        return None if international else digits
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)

"""Finders: where dates, amounts, numbers, addresses and the like stand in a text, and what they mean.

A member of this room is a module named like the value type it finds, with one function
`find(text, settled) -> list[Span]`. Finders take any text in linear time and know nothing of schemas or models.
Offsets are characters of the text that was given, whatever was folded to read it.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from typing import Literal, Protocol, cast

from pipeline.finders._slips import mend

__all__ = [
    "MENDED",
    "Finder",
    "Normalised",
    "Settled",
    "Span",
    "ValueType",
    "find",
    "finder_types",
    "mend",
    "normalise",
    "normalise_at",
    "settle",
    "settle_day_first",
    "settle_decimal",
]

_INVISIBLE = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")

ValueType = Literal["text", "date", "money", "number", "id", "currency", "email", "phone", "iban", "url"]

MENDED: tuple[ValueType, ...] = ("date", "money", "number")
"""Types whose values may hold letters that OCR read in place of digits, see `mend`."""


@dataclass(frozen=True, slots=True)
class Normalised:
    """What a value means: an ISO date, a decimal number, a checked address."""

    value: str = field(repr=False)
    currency: str | None = None  # ISO 4217, for money
    ambiguous: bool = False  # the words alone allow another reading

    def meaning(self, type: ValueType) -> tuple[object, ...]:
        """Equal for values that mean the same as values of this type: 12.5 is 12.50."""
        return (type, Decimal(self.value) if type in ("money", "number") else self.value, self.currency)


@dataclass(frozen=True, slots=True)
class Span:
    """A value of a type at `text[start:end]`, with its normal form."""

    start: int
    end: int
    value: str = field(repr=False)
    currency: str | None = None
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """What the rest of a document says about its own ways of writing. None: it does not say."""

    day_first: bool | None = None
    decimal: Literal[".", ","] | None = None


class Finder(Protocol):
    """What a member module offers."""

    def find(self, text: str, settled: Settled) -> list[Span]:
        """All spans of the type, by start and then longest first. They may overlap."""
        ...


@cache
def finder_types() -> frozenset[str]:
    """The types that have a finder. `text` has none: anything is text."""
    return frozenset(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


@cache
def _finder(type: str) -> Finder:
    return cast(Finder, importlib.import_module(f"{__name__}.{type}"))


def find(text: str, type: ValueType, *, settled: Settled | None = None) -> list[Span]:
    """All spans of `type` in `text`, by start and then longest first; none for the type `text`.

    Spans may overlap: "RM 60.30" is an amount and so is its "60.30". What is ambiguous in itself (03/04/2018, 1.234)
    is read as `settled` says, else as the rest of this text does.
    """
    if type not in finder_types():
        return []
    if settled is None:
        settled = Settled(
            settle_day_first(text) if type == "date" else None,
            settle_decimal(text) if type in ("money", "number") else None,
        )
    if not _INVISIBLE.search(text):
        return _finder(type).find(text, settled)
    # Direction marks stand inside of Arabic and Hebrew dates and amounts.
    seen = [at for at, char in enumerate(text) if not _INVISIBLE.match(char)]
    spans = _finder(type).find(_INVISIBLE.sub("", text), settled)
    return [replace(span, start=seen[span.start], end=seen[span.end - 1] + 1) for span in spans]


def settle(text: str, *, day_first: bool | None = None) -> Settled:
    """How a document writes dates and decimal marks, from those that can be read in one way only."""
    return Settled(settle_day_first(text) if day_first is None else day_first, settle_decimal(text))


def settle_day_first(text: str) -> bool | None:
    """Whether the day comes before the month in this document's dates; None where they do not say, or disagree."""
    from pipeline.finders import date

    return date.settle_day_first(_INVISIBLE.sub("", text))


def settle_decimal(text: str) -> Literal[".", ","] | None:
    """The decimal mark of this document's amounts; None where they do not say, or disagree."""
    from pipeline.finders import _numerals

    return _numerals.settle_decimal(_INVISIBLE.sub("", text))


def normalise(
    text: str, type: ValueType, *, day_first: bool | None = None, decimal: Literal[".", ","] | None = None
) -> Normalised | None:
    """The normal form of one verbatim value; None where it holds no value of the type, or several.

    Words around the value do no harm ("Monday, 5 March 2018"). `day_first` and `decimal` settle what is ambiguous.
    """
    spans = find(text, type, settled=Settled(day_first, decimal))
    if not spans:
        return None
    widest = max(spans, key=lambda span: span.end - span.start)
    if any(span.start < widest.start or span.end > widest.end for span in spans):
        return None
    return Normalised(widest.value, widest.currency, widest.ambiguous)


_CONTEXT = 40


def normalise_at(
    text: str, start: int, end: int, type: ValueType, *, settled: Settled | None = None
) -> Normalised | None:
    """The normal form of the value at `text[start:end]`, which may take its currency from the words beside it."""
    settled = settled or Settled()
    begin = max(start - _CONTEXT, 0)
    for span in find(text[begin : end + _CONTEXT], type, settled=settled):
        if (span.start + begin, span.end + begin) == (start, end):
            return Normalised(span.value, span.currency, span.ambiguous)
    return normalise(text[start:end], type, day_first=settled.day_first, decimal=settled.decimal)

"""What the finders take from Unicode's CLDR: month names and currency codes. The one door to babel."""

from __future__ import annotations

import unicodedata
from functools import cache

from babel import Locale
from babel.core import get_global
from babel.numbers import list_currencies

# In this order: where two languages give one word to two months (Polish and Croatian: listopada), the earlier language
# has it, and the date is marked.
_LOCALES = [
    "en",
    "de",
    "de_AT",
    "fr",
    "es",
    "pt",
    "it",
    "nl",
    "pl",
    "ru",
    "tr",
    "ar",
    "ar_SY",
    "ar_LB",
    "ar_DZ",
    "ar_MA",
    "hi",
    "sv",
    "da",
    "nb",
    "fi",
    "cs",
    "sk",
    "hu",
    "ro",
    "uk",
    "bg",
    "el",
    "he",
    "ca",
    "hr",
    "sl",
    "sr",
    "lt",
    "lv",
    "et",
    "id",
    "ms",
    "fa",
    "ur",
    "bn",
    "mr",
]

# Forms that people write and CLDR does not list.
_MORE = {
    "sept": 9, "mrz": 3, "jän": 1, "feber": 2, "set": 9, "ener": 1, "agto": 8, "sett": 9, "genn": 1, "fevr": 2,
    "fev": 2, "aout": 8, "mart": 3, "мая": 5, "сент": 9, "нояб": 11, "февр": 2, "agust": 8, "सितम्बर": 9, "अक्तूबर": 10,
    "नवम्बर": 11, "दिसम्बर": 12, "जून": 6, "styczen": 1, "wrzesien": 9, "grudzien": 12, "pazdziernik": 10,
    "wrzesnia": 9, "pazdziernika": 10,
    "اغسطس": 8, "ابريل": 4, "اكتوبر": 10, "أيار/مايو": 5,
}  # fmt: skip


def fold_name(name: str) -> str:
    """A month name without case, marks and abbreviation points: `Févr.` is `fevr`. Hindi keeps its vowel signs."""
    parted = unicodedata.normalize("NFD", name.replace("\u0640", "").casefold())
    kept = "".join(char for char in parted if not (unicodedata.combining(char) and char < "\u0500"))
    return " ".join(unicodedata.normalize("NFC", kept).replace(".", "").replace("\u200c", "").split())


@cache
def month_names() -> dict[str, tuple[int, ...]]:
    """Folded month names and abbreviations of many languages -> 1 to 12; the likeliest first where languages differ."""
    names: dict[str, dict[int, None]] = {}
    for code in _LOCALES:
        months = Locale.parse(code).months
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, name in months[context][width].items():
                    folded = fold_name(str(name))
                    if len(folded) > 1 and not any(char.isdigit() for char in folded):
                        names.setdefault(folded, {})[int(number)] = None
    for name, number in _MORE.items():
        names.setdefault(fold_name(name), {})[number] = None
    return {name: tuple(numbers) for name, numbers in names.items()}


@cache
def currency_codes() -> frozenset[str]:
    """ISO 4217 codes, those of former currencies too."""
    return frozenset(list_currencies())


@cache
def codes_in_use() -> frozenset[str]:
    """Those of currencies that some country pays with today."""
    uses = (use for country in get_global("territory_currencies").values() for use in country)
    return frozenset(code for code, _, until, tender in uses if tender and not until)

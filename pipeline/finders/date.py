"""Dates in many languages, scripts and orders. The normal form is ISO: `2018-03-05`, or `2018-03` without a day.

A date needs a year. Times and weekdays beside it are left out. What no calendar has (31/02) and no document means
(year 3018) is refused. 03/04/2018 is read as the document's other dates are, else day first, and marked.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from pipeline.finders import Settled, Span
from pipeline.finders._cldr import fold_name, month_names
from pipeline.finders._digits import with_plain_digits

_FIRST_YEAR, _LAST_YEAR = 1800, 2199
_FIRST_NAMED_YEAR = 1000  # "12 May 1705" is a date even so
_PIVOT = 69  # two digits from here on are 19xx, as in POSIX

_LETTER = r"[^\W\d_\u0900-\u097f]"
_NOT_IN_WORD = rf"(?<!{_LETTER})(?<![\u0900-\u0963])"
_WORD_ENDS = rf"(?!{_LETTER}|[\u0900-\u0963\u0300-\u036f])"
_GAP = r"\s{0,3}[-./,]?\s{0,2}"
_ORDINAL = r"(?:st|nd|rd|th|ste|er|re|eme|go|[eaoºª°.]|-?го|-?ое|-?е)?"
_OF = r"(?:(?:day\s+of|dia\s+de|del?|of|di|do|من)\s{1,2}|d['’]|ב)?"
_YEAR = r"(?P<y>\d{4}|['’]?\d{2})(?!\d|[:.,]\d|\s?:\d)"

_MAYBE_NO_YEAR = re.compile(rf"\s\d\d[ \u00a0]{_LETTER}")  # 5 May 10 am; 5 mars 18 à Paris

_DIGITS = re.compile(r"\d+")
_REACH = 60  # characters: longer than any month with what may stand between it and its day or year

_NUMERIC = re.compile(r"(?<!\d)(?P<a>\d{1,4})(?P<s>\s?[./-]\s?| )(?P<b>\d{1,2})(?P=s)(?P<c>\d{1,4})(?!\d)(?!(?P=s)\d)")
_COMPACT = re.compile(r"(?<![\w.,/-])(?P<y>(?:19|20)\d\d)(?P<m>0[1-9]|1[0-2])(?P<d>[0-3]\d)(?![\w]|[.,/-]\d)")
_ROMAN = re.compile(r"(?<![\w.])(?P<d>\d{1,2})(?P<s>[./ -]|\. )(?P<r>XI{0,2}|IX|IV|V?I{1,3}|V)(?P=s)(?P<y>\d{4})(?!\d)")
_VIETNAMESE = re.compile(
    r"(?<!\d)(?P<d>\d{1,2})\s{1,2}thang\s{1,2}(?P<m>\d{1,2})(?:\s{1,2}nam|,)\s{1,2}(?P<y>\d{4})(?!\d)"
)
_HAN = "〇零一二三四五六七八九十"
_EAST_ASIAN = re.compile(
    rf"(?:(?P<era>令和|平成|昭和|大正|明治|中華民國|民國|民国)\s?(?P<n>元|\d{{1,3}}|[{_HAN}]{{1,4}})|"
    rf"(?<![\d{_HAN}])(?P<y>\d{{4}}|\d{{2}}|[{_HAN}]{{4}}))\s?[年년]\s?"
    rf"(?P<m>\d{{1,2}}|[{_HAN}]{{1,2}})\s?[月월](?:\s?(?P<d>\d{{1,2}}|[{_HAN}]{{1,3}})\s?[日号號일])?"
)
# The year before an era's first.
_ERAS = {
    "令和": 2018,
    "平成": 1988,
    "昭和": 1925,
    "大正": 1911,
    "明治": 1867,
    "中華民國": 1911,
    "民國": 1911,
    "民国": 1911,
}
_ROMANS = {
    r: n for n, r in enumerate(["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"], start=1)
}


@dataclass(frozen=True, slots=True)
class _Reading:
    """A date that may be meant at [start, end); day 0 where only the month is said."""

    start: int
    end: int
    year: int
    month: int
    day: int
    month_first: tuple[int, int] | None = None  # the other reading: month, day
    dotted: bool = False
    doubtful: bool = False  # there is another reading that no order of day and month settles


def find(text: str, settled: Settled) -> list[Span]:
    """Every date, the longer one where two overlap."""
    return [_span(reading, settled.day_first) for reading in _readings(text)]


def settle_day_first(text: str) -> bool | None:
    """Whether this document writes the day before the month, by its dates that allow one reading only.

    A date that allows two is a vote as well where one of its readings is the same day as another date's.
    """
    readings = _readings(text)
    certain = {(r.year, r.month, r.day) for r in readings if r.month_first is None}
    votes = {True: 0, False: 0}
    for reading in readings:
        if reading.dotted or reading.doubtful:
            continue
        if reading.month_first is None:
            written_first = _numeric_order(text, reading)
            if written_first is not None:
                votes[written_first] += 1
            continue
        day_first = (reading.year, reading.month, reading.day) in certain
        month_first = (reading.year, *reading.month_first) in certain
        if day_first != month_first:
            votes[day_first] += 1
    if bool(votes[True]) == bool(votes[False]):
        return None
    return votes[True] > 0


def _numeric_order(text: str, reading: _Reading) -> bool | None:
    """For a date of numbers that can be read in one way: whether its day comes first. None for other dates."""
    parts = re.findall(r"\d+", with_plain_digits(text[reading.start : reading.end]))
    if len(parts) != 3 or len(parts[2]) == 1 or len(parts[0]) > 2 or reading.month == reading.day:
        return None
    if re.search(r"[^\W\d_]", text[reading.start : reading.end]):
        return None
    order = (int(parts[0]), int(parts[1]))
    return {(reading.day, reading.month): True, (reading.month, reading.day): False}.get(order)


def _span(reading: _Reading, day_first: bool | None) -> Span:
    month, day, ambiguous = reading.month, reading.day, reading.doubtful
    if reading.month_first is not None:
        if day_first is False:
            month, day = reading.month_first
        # Dots go with the day first all over the world; anything else is marked even when it is settled.
        ambiguous |= not reading.dotted or day_first is False
    value = f"{reading.year:04d}-{month:02d}" + (f"-{day:02d}" if day else "")
    return Span(reading.start, reading.end, value, ambiguous=ambiguous)


@lru_cache(maxsize=4)
def _readings(text: str) -> tuple[_Reading, ...]:
    """Kept for a moment, since a document is settled and searched one after the other."""
    plain = with_plain_digits(text)
    folded = plain.translate(_folding())
    found = [*_named(folded), *_numeric(plain), *_east_asian(plain), *_other(plain, folded)]
    kept: list[_Reading] = []
    for reading in sorted(found, key=lambda r: (r.start, -r.end)):
        if kept and reading.start < kept[-1].end:
            if reading.end - reading.start > kept[-1].end - kept[-1].start:
                kept[-1] = reading
            continue
        kept.append(reading)
    return tuple(kept)


# -- months by name ---------------------------------------------------------------------------------------------


@cache
def _folding() -> dict[int, str]:
    """Letters without case and accents, one for one, as `fold_name` folds month names."""
    table = {}
    for code in range(0x41, 0x2000):
        folded = fold_name(chr(code))
        if chr(code).isalpha() and len(folded) == 1:
            table[code] = "i" if folded == "ı" else folded
    return table


@cache
def _named_patterns() -> tuple[re.Pattern[str], ...]:
    by_letter: dict[str, list[str]] = {}
    for name in _folded_months():
        by_letter.setdefault(name[0], []).append(name[1:])
    branches = []
    for letter, rests in sorted(by_letter.items()):
        longest_first = sorted(rests, key=lambda rest: (-len(rest), rest))
        branches.append(re.escape(letter) + "(?:" + "|".join(map(_name_pattern, longest_first)) + ")")
    month = rf"(?P<m>(?:{'|'.join(branches)})){_WORD_ENDS}\.?"
    twice = month + rf"(?:/{_LETTER}{{2,12}})?"  # Arabic news writes both names: أيار/مايو
    of_year = r"(?:(?:del?|of|do|di|anno|nam)\s{1,2})?"
    return (
        re.compile(rf"(?<!\d)(?<!\d[.,])(?P<d>\d{{1,2}}){_ORDINAL}{_GAP}{_OF}{twice}{_GAP}{of_year}{_YEAR}"),
        # "May 5, 20 people" has no year.
        re.compile(
            rf"{_NOT_IN_WORD}{month}[\s-]{{0,2}}(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?:\s?[,.]\s?|\s{{1,2}}|-|/){_YEAR}"
            rf"(?!(?<=\D\d\d)\s{_LETTER})"
        ),
        re.compile(rf"(?<!\d)(?P<y>\d{{4}}){_GAP}(?:m\.\s{{1,2}})?{month}[\s.-]{{0,2}}(?P<d>\d{{1,2}})(?!\d)"),
        # Behind a day that does not exist (30 February 2018) the month is no date either.
        re.compile(rf"{_NOT_IN_WORD}(?<!\d)(?<!\d[\s./-])(?<!\d\.\s){month}{_GAP}{of_year}(?P<y>\d{{4}})(?!\d)"),
    )


def _name_pattern(name: str) -> str:
    """A rest of a name in which a Latin letter may carry a separate accent (text that was never composed)."""
    return "".join(
        r"\s{1,2}"
        if char == " "
        else re.escape(char) + ("[\u0300-\u036f]?" if char.isalpha() and char < "\u0250" else "")
        for char in name
    )


@cache
def _folded_months() -> dict[str, tuple[int, ...]]:
    return {name.replace("ı", "i"): numbers for name, numbers in month_names().items() if not name.startswith("de ")}


def _named(folded: str) -> Iterator[_Reading]:
    for start, end in _around_digits(folded):
        yield from _named_in(folded, start, end)


def _around_digits(text: str) -> Iterator[tuple[int, int]]:
    """The stretches that can hold a date: trying every word of a long text for a month would take most of the time."""
    start = end = 0
    for match in _DIGITS.finditer(text):
        if match.start() - _REACH > end:
            if end:
                yield start, end
            start = max(match.start() - _REACH, 0)
        end = match.end() + _REACH
    if end:
        yield start, min(end, len(text))


def _named_in(folded: str, low: int, high: int) -> Iterator[_Reading]:
    for pattern in _named_patterns():
        for match in pattern.finditer(folded, low, high):
            parts = match.groupdict()
            name = fold_name(parts["m"]).replace("ı", "i")
            year, day = _year(parts["y"]), int(parts.get("d") or 0)
            month, *others = _folded_months()[name]
            if _exists(year, month, day or 1, _FIRST_NAMED_YEAR) and (day or "d" not in parts):
                start = min(match.start(group) for group in parts)
                end = max(match.end(group) for group in parts)
                doubtful = bool(others) or bool(_MAYBE_NO_YEAR.match(folded, match.start("y") - 1))
                yield _Reading(start, end, year, month, day, doubtful=doubtful)


# -- numbers only -----------------------------------------------------------------------------------------------


def _numeric(plain: str) -> Iterator[_Reading]:
    position = 0
    while match := _NUMERIC.search(plain, position):
        reading = _read_numeric(plain, match)
        position = match.end() if reading else match.end("a")
        if reading:
            yield reading


def _read_numeric(plain: str, match: re.Match[str]) -> _Reading | None:
    a, b, c = match.group("a", "b", "c")
    mark = match.group("s").strip()
    before = plain[max(match.start() - 2, 0) : match.start()]
    if len(before) == 2 and before[0].isdigit() and (before[1] == mark or (not mark and before[1] == " ")):
        return None
    start, end = match.span()
    if len(a) == 4:
        if len(c) > 2 or not mark:
            return None
        for month, day in ((int(b), int(c)), (int(c), int(b))):
            if _exists(int(a), month, day):
                return _Reading(start, end, int(a), month, day)
        return None
    if len(a) > 2 or len(c) not in (2, 4) or (not mark and (len(c) != 4 or len(a) != 2 or len(b) != 2)):
        return None
    year = _year(c)
    day_first = (int(b), int(a)) if _exists(year, int(b), int(a)) else None
    month_first = (int(a), int(b)) if _exists(year, int(a), int(b)) else None
    if day_first and month_first and day_first != month_first:
        return _Reading(start, end, year, *day_first, month_first, mark == ".")
    if day_first or month_first:
        year_first = mark == "-" and len(c) == 2 and _exists(_year(a), int(b), int(c))  # 18-12-25
        return _Reading(start, end, year, *(day_first or month_first or (0, 0)), doubtful=year_first)
    if len(a) == len(c) == 2 and mark and _exists(_year(a), int(b), int(c)):  # 98-12-31
        return _Reading(start, end, _year(a), int(b), int(c))
    return None


# -- other ways -------------------------------------------------------------------------------------------------


def _east_asian(plain: str) -> Iterator[_Reading]:
    if "月" not in plain and "월" not in plain:
        return
    for match in _EAST_ASIAN.finditer(plain):
        era, number, written, m, d = match.group("era", "n", "y", "m", "d")
        if era:
            year = _ERAS[era] + (1 if number == "元" else _han(number))
        else:
            year = _year(written) if written.isdigit() and written.isascii() else _han_digits(written)
        month, day = _han(m), _han(d) if d else 0
        if _exists(year, month, day or 1, _FIRST_NAMED_YEAR):
            yield _Reading(match.start(), match.end(), year, month, day)


def _han_digits(written: str) -> int:
    """A year digit by digit: 二〇二四; 0 for what is none."""
    digits = [_han(char) for char in written]
    return int("".join(map(str, digits))) if all(digit < 10 for digit in digits) else 0


def _han(written: str) -> int:
    """A number up to 99: 7, 七, 十二, 二十, 三十一, 〇五."""
    if written.isdigit() and written.isascii():
        return int(written)
    tens, ten, ones = written.rpartition("十")
    value = 0
    for char in ones:
        value = value * 10 + ("零一二三四五六七八九".find(char) if char != "〇" else 0)
    if not ten:
        return value
    return value + 10 * (int(unicodedata.numeric(tens)) if len(tens) == 1 else 1)


def _other(plain: str, folded: str) -> Iterator[_Reading]:
    for match in _COMPACT.finditer(plain):
        year, month, day = (int(match.group(part)) for part in "ymd")
        if _exists(year, month, day):
            yield _Reading(*match.span(), year, month, day)
    for match in _ROMAN.finditer(plain):
        year, month, day = int(match.group("y")), _ROMANS[match.group("r")], int(match.group("d"))
        if _exists(year, month, day, _FIRST_NAMED_YEAR):
            yield _Reading(*match.span(), year, month, day)
    for match in _VIETNAMESE.finditer(folded) if "thang" in folded else ():
        year, month, day = (int(match.group(part)) for part in "ymd")
        if _exists(year, month, day, _FIRST_NAMED_YEAR):
            yield _Reading(*match.span(), year, month, day)


def _year(written: str) -> int:
    year = int(written.lstrip("'’"))
    if len(written.lstrip("'’")) > 2:
        return year
    return year + (1900 if year >= _PIVOT else 2000)


def _exists(year: int, month: int, day: int, first: int = _FIRST_YEAR) -> bool:
    if not first <= year <= _LAST_YEAR:
        return False
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return True

"""Written numbers: 1.234,56  1,234.56  1 234,56  1'234.56  1,23,456.00  and the same in other scripts' digits.

A numeral is read from its marks alone where they allow one reading. Where they allow two (1.234), the document's
other numerals settle it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.finders._digits import with_plain_digits

Mark = Literal[".", ","]

_BLANK = " \u00a0\u202f\u2009"
_APOSTROPHES = "'’\u066c"  # the last is the Arabic thousands mark
_ARABIC_DECIMAL = "\u066b"
_SPACES = rf"[{_BLANK}]"

# A run of digits and marks that may be one number; its parts are judged afterwards.
_RUN = re.compile(rf"\d+(?:[.,{_APOSTROPHES}{_ARABIC_DECIMAL}]\d+)*")
_GROUPED_BY_BLANKS = re.compile(
    rf"(?<![\d.,])\d{{1,3}}(?:{_SPACES}\d{{3}})+(?:[.,{_ARABIC_DECIMAL}]\d{{1,3}})?(?![\d.,]?\d)"
)
_LONGEST = 40  # characters; more digits than that are no quantity


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number at `text[start:end]`: plain decimal digits without sign, and how sure the reading is."""

    start: int
    end: int
    digits: str  # "1234.56"
    ambiguous: bool = False
    other: str = ""  # the other reading, where there is one
    grouped: bool = False
    decimals: int = 0


def numerals(text: str, decimal: Mark | None) -> Iterator[Numeral]:
    """Every numeral of `text` in order; one grouped by blanks is given whole and then in its parts."""
    plain = with_plain_digits(text)
    grouped = iter(_GROUPED_BY_BLANKS.finditer(plain))
    next_grouped = next(grouped, None)
    for run in _RUN.finditer(plain):
        while next_grouped is not None and next_grouped.start() <= run.start():
            if next_grouped.start() == run.start():
                yield from _read_blank_grouped(next_grouped)
            next_grouped = next(grouped, None)
        yield from _read_run(plain, run.start(), run.end(), decimal)


def settle_decimal(text: str) -> Mark | None:
    """The decimal mark of the numerals that allow one reading; None without any, or when a third disagrees."""
    points = commas = 0
    plain = with_plain_digits(text)
    for run in _RUN.finditer(plain):
        mark = _tells_decimal(run.group()) if run.end() - run.start() <= _LONGEST else None
        points += mark == "."
        commas += mark == ","
    if points > 2 * commas:
        return "."
    if commas > 2 * points:
        return ","
    return None


def _tells_decimal(run: str) -> Mark | None:
    """The decimal mark that this run proves, if it proves one."""
    for decimal, group in ((".", ","), (",", ".")):
        head, mark, tail = run.partition(decimal)
        if mark and tail.isdigit() and len(tail) <= 2 and (head.isdigit() or _is_grouped(head, group)):
            return decimal  # type: ignore[return-value]
    return None


def _read_blank_grouped(match: re.Match[str]) -> Iterator[Numeral]:
    text = match.group()
    if len(text) > _LONGEST or text[0] == "0":
        return
    head, tail = text, ""
    for mark in (".", ",", _ARABIC_DECIMAL):
        if mark in text:
            head, _, tail = text.partition(mark)
    digits = "".join(char for char in head if char.isdigit())
    # Two columns of a table look the same where a plain blank parts them.
    yield Numeral(match.start(), match.end(), _join(digits, tail), " " in head, grouped=True, decimals=len(tail))


def _read_run(plain: str, start: int, end: int, decimal: Mark | None) -> Iterator[Numeral]:
    run = plain[start:end]
    if len(run) > _LONGEST:
        return
    if run.isdigit():
        yield Numeral(start, end, run.lstrip("0") or "0")
        return
    read = _read(run, decimal)
    if read is not None:
        digits, other, grouped, decimals = read
        yield Numeral(start, end, digits, bool(other) and decimal is None, other, grouped, decimals)
    elif "," in run and "." not in run:  # a list: 5,10,20
        for part in re.finditer(r"\d+", run):
            yield Numeral(start + part.start(), start + part.end(), part.group().lstrip("0") or "0")


def _read(run: str, decimal: Mark | None) -> tuple[str, str, bool, int] | None:
    """Digits, the other reading, whether grouped, decimals. None for what is no number: 1.2.3, 10.0.0.1."""
    if _ARABIC_DECIMAL in run:
        head, _, tail = run.partition(_ARABIC_DECIMAL)
        whole = _ungroup(head, _APOSTROPHES + ",.")
        return (_join(whole, tail), "", not head.isdigit(), len(tail)) if whole and tail.isdigit() else None
    if any(mark in run for mark in _APOSTROPHES):
        head, mark, tail = run.partition("." if "." in run else ",")
        whole = _ungroup(head, _APOSTROPHES)
        return (_join(whole, tail), "", True, len(tail)) if whole and (tail.isdigit() or not mark) else None
    points, commas = run.count("."), run.count(",")
    if points and commas:
        mark, group = (".", ",") if run.rfind(".") > run.rfind(",") else (",", ".")
        if run.count(mark) > 1:
            return None
        head, _, tail = run.partition(mark)
        whole = _ungroup(head, group)
        return (_join(whole, tail), "", True, len(tail)) if whole else None
    mark = "." if points else ","
    if points + commas > 1:
        whole = _ungroup(run, mark)
        return (whole, "", True, 0) if whole else None
    head, _, tail = run.partition(mark)
    as_decimal, as_group = _join(head, tail), head + tail
    if len(tail) != 3 or len(head) > 3 or head[0] == "0":
        return as_decimal, "", False, len(tail)
    # 1.234 or 1,234: a thousand more often than not, unless the document writes its decimals with this mark.
    if decimal == mark:
        return as_decimal, as_group, False, 3
    return as_group, as_decimal, True, 0


def _ungroup(head: str, marks: str) -> str | None:
    for mark in marks:
        if _is_grouped(head, mark):
            return head.replace(mark, "")
    return head if head.isdigit() else None


def _is_grouped(head: str, mark: str) -> bool:
    """Groups of three, or the Indian way: twos before a last three."""
    first, *groups = head.split(mark)
    if not groups or not all(part.isdigit() for part in (first, *groups)) or first.startswith("0"):
        return False
    if len(groups[-1]) != 3 or not 1 <= len(first) <= 3:
        return False
    return all(len(group) == 3 for group in groups) or (
        len(first) <= 2 and all(len(group) == 2 for group in groups[:-1])
    )


def _join(whole: str, tail: str) -> str:
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{tail}" if tail else whole

"""Amounts of money. The normal form is a decimal number; the currency stands beside it as an ISO code.

An amount next to its currency gives two spans, with the currency and without it, because documents are asked for
either. Both know the currency. Other bare numbers count as amounts only in a text without any better ones, or where one
ends a line right behind a word for a sum: "Total 45".
"""

from __future__ import annotations

import re
from decimal import Decimal

from pipeline.finders import Settled, Span
from pipeline.finders._currencies import currencies, first_characters, last_characters, longest
from pipeline.finders._digits import with_plain_digits
from pipeline.finders._numerals import Numeral, numerals

_LONGEST_WHOLE = 9  # digits of a bare number that may be an amount
_GAP = 3  # blanks between an amount and its currency
_MINUS = "-\u2212"
_ROUND = re.compile(r"[.,](?:-{1,2}|[–—])(?![\d\w])")  # 5,-  5.--
_SIGNS = "".join(re.escape(written) for written in currencies() if len(written) == 1 and not written.isalpha())
_WORD_BEFORE = re.compile(r"[^\W\d]+\.?\Z")
# Before anything else this parts two amounts: $10.00-$15.00. An en dash always does.
_TRAILING_MINUS = re.compile(rf"[-\u2010\u2011\u2012\u2212](?![\w.{_SIGNS}])")
_AMOUNT_ENDS = re.compile(rf"\d[ \u00a0]?[{_SIGNS}]\Z")  # 10.00€
# The edges of a cell: of its line, a tab, a bar, two blanks, or one blank and the number of the next cell.
_CELL_BEGINS = re.compile(r"(?:(?:\A|[\n\r\f|\t]) ?|[ \u00a0]{2}|[\d)%][ \u00a0])\Z")
_CELL_ENDS = re.compile(r"[ \u00a0]?(?:\Z|[\n\r\f|\t])|[ \u00a0]{2}|[ \u00a0][\d($€£-]")
_BEHIND = frozenset("円元圓圆块원")  # never stand before their amount
_POWERS = {
    "thousand": 3, "tausend": 3, "tsd": 3, "tsd.": 3, "тыс": 3, "тыс.": 3, "万": 4, "萬": 4,
    "lakh": 5, "lakhs": 5, "lac": 5, "lacs": 5, "लाख": 5, "crore": 7, "crores": 7, "करोड़": 7, "億": 8, "亿": 8,
    "million": 6, "millions": 6, "mio": 6, "mio.": 6, "millionen": 6, "millón": 6,
    "millones": 6, "milhão": 6, "milhões": 6, "milione": 6, "milioni": 6, "miljoen": 6, "milion": 6, "miliony": 6,
    "milionów": 6, "mln": 6, "mln.": 6, "млн": 6, "млн.": 6, "milyon": 6, "مليون": 6,
    "billion": 9, "billions": 9, "mrd": 9, "mrd.": 9, "milliarde": 9, "milliarden": 9, "milliard": 9, "milliards": 9,
    "mil millones": 9, "mil milhões": 9, "bilhão": 9, "bilhões": 9,
    "miliardo": 9, "miliardi": 9, "miljard": 9, "mld": 9, "mld.": 9, "млрд": 9, "млрд.": 9, "milyar": 9, "مليار": 9,
    "trillion": 12, "trillions": 12, "billionen": 12,
}  # fmt: skip
_SCALES = {form: power for word, power in _POWERS.items() for form in (word, word.upper(), word.capitalize())}
_SCALES |= {"MİLYON": 6, "MİLYAR": 9}
_NO_LETTER = r"(?![^\W\u3000-\u9fff])"
_SCALE = re.compile(rf"\s?(?=[^\W\d_])({'|'.join(sorted(map(re.escape, _SCALES), key=len, reverse=True))}){_NO_LETTER}")
# These mean other things too (metres, minutes, a class of tax) and count only beside a currency.
_SHORT_POWERS = {"k": 3, "mil": 3, "m": 6, "mn": 6, "b": 9, "bn": 9}
_SHORT_SCALE = re.compile(
    rf"[ \u00a0\u202f]?(bn|BN|mn|MN|mil|MIL){_NO_LETTER}|([kKmMbB]){_NO_LETTER}|[ \u00a0\u202f]([kM])(?=[€$£])"
)
# What stands before a sum, in the languages that the finders know.
_SUM = re.compile(
    r"(?:(?<![^\W_])(?:total|amount(?: due)?|balance(?: due)?|sum|summe|betrag|gesamtbetrag|gesamtsumme|gesamt|montant"
    r"|somme|importe|monto|suma|valor|soma|montante|totale|importo|somma|totaal|bedrag|razem|kwota|итого|сумма|всего"
    r"|toplam|tutar|المجموع|الإجمالي|المبلغ|कुल|योग|राशि)|合[計计]|[總总][計计额額]|金[額额]|総額)"
    r"[ \u00a0\t]*[:：]?[ \u00a0\t]*\Z",
    re.IGNORECASE,
)
_SUM_REACH = 24  # characters: the longest word for a sum with what stands behind it
_LINE_ENDS = re.compile(r"[ \u00a0\t]*\.?[ \u00a0\t]*(?:\Z|[\n\r\f])")
_LETTER = re.compile(r"[^\W\d_\u3000-\u9fff\uac00-\ud7a3]")


def find(text: str, settled: Settled) -> list[Span]:
    """Every amount, with and without its currency."""
    plain = with_plain_digits(text)
    spans: list[Span] = []
    whole: list[Span] = []
    for numeral in numerals(text, settled.decimal):
        if _inside_something_else(plain, numeral) or plain[numeral.start : numeral.end].startswith("00"):
            continue
        amount = _Amount(text, plain, numeral)
        looks_like_money = amount.currency_found or numeral.grouped or numeral.decimals == 2 or amount.marked
        (spans if looks_like_money else whole).extend(amount.spans())
    whole = [span for span in whole if len(span.value) <= _LONGEST_WHOLE]
    spans += [span for span in whole if not spans or _is_sum(text, span)]
    return sorted(set(spans), key=lambda span: (span.start, -span.end))


def _is_sum(text: str, span: Span) -> bool:
    """Whether a word for a sum stands right before the span, and nothing else behind it on the line."""
    before = _SUM.search(text, max(span.start - _SUM_REACH, 0), span.start)
    return before is not None and _LINE_ENDS.match(text, span.end) is not None


class _Amount:
    """One numeral with what stands around it: sign, parentheses, currency, scale."""

    def __init__(self, text: str, plain: str, numeral: Numeral) -> None:
        self.start, self.end = numeral.start, numeral.end
        self.ambiguous = numeral.ambiguous
        self.negative = self.marked = False
        self.currency: str | None = None
        self._sign_before(plain)
        self.outer = (self.start, self.end)
        self.currency_found = self._currency_before(text, plain)
        power = self._scale(text, numeral.decimals)
        if not power and (rounding := _ROUND.match(plain, self.end)):
            self.end, self.marked = rounding.end(), True
        self.outer = (self.outer[0], self.end)
        self.currency_found = self.currency_found or self._currency_after(text)
        if _LETTER.match(text, self.end) and not _currency_behind(text, self.end):
            self.ambiguous = True  # what is written together with an amount may be part of it
        value = Decimal(numeral.digits).scaleb(power)
        self._sign_around(text, plain)
        self.value = f"{-value if self.negative and value else value:f}"

    def spans(self) -> list[Span]:
        inner = Span(self.start, self.end, self.value, self.currency, self.ambiguous)
        if (self.start, self.end) == self.outer:
            return [inner]
        return [Span(*self.outer, self.value, self.currency, self.ambiguous), inner]

    def _sign_before(self, plain: str) -> None:
        before = plain[max(self.start - 2, 0) : self.start]
        if not before or before[-1] not in _MINUS or (len(before) == 2 and (before[0].isalnum() or before[0] in ".,-")):
            return
        if not _AMOUNT_ENDS.search(plain, max(self.start - 4, 0), self.start - 1):  # 10.00€-12.00€
            self.start, self.negative = self.start - 1, True

    def _currency_before(self, text: str, plain: str) -> bool:
        stop = self.start
        while stop > 0 and self.start - stop < _GAP and text[stop - 1] in " \u00a0\u202f\u2009\t:(":
            stop -= 1
        if text[stop - 1 : stop] not in last_characters():
            return False
        for length in range(min(longest(), stop), 0, -1):
            written = text[stop - length : stop]
            if written in currencies() and written not in _BEHIND and not _continues(text, stop - length, written[0]):
                self.currency, start = currencies()[written], stop - length
                if not self.negative and start and plain[start - 1] in _MINUS and not plain[: start - 1][-1:].isalnum():
                    start, self.negative = start - 1, True  # -$5.00
                    self.start, self.outer = start, (start, self.end)
                else:
                    self.outer = (start, self.end)
                return True
        return False

    def _scale(self, text: str, decimals: int) -> int:
        """The power of ten that is written behind the amount, which then ends behind it; 0 without one."""
        if scale := _SCALE.match(text, self.end):
            self.end, self.marked = scale.end(), True
            return _SCALES[scale.group(1)]
        if not (scale := _SHORT_SCALE.match(text, self.end)):
            return 0
        short = str(scale[scale.lastindex or 0])
        if not self.currency_found and (short in "mb" or not _currency_behind(text, scale.end())):
            return 0
        # Letters behind $12.50 may be a class of tax, and $5 mil is a million in careless English.
        self.ambiguous |= (len(short) == 1 and decimals == 2) or (short == "mil" and self.currency == "USD")
        self.end, self.marked = scale.end(), True
        return _SHORT_POWERS[short.lower()]

    def _currency_after(self, text: str) -> bool:
        behind = _currency_behind(text, self.end)
        if behind:
            self.currency, self.outer = currencies()[behind[0]], (self.outer[0], behind[1])
        return behind is not None

    def _sign_around(self, text: str, plain: str) -> None:
        """Accountants' negatives: (5.00) and 5.00-. In a sentence parentheses are no minus: "five dollars ($5.00)"."""
        first, last = self.outer
        if plain[self.start - 1 : self.start] == "(" and plain[self.end : self.end + 1] == ")" and self.start > first:
            # $(5.00), but "of EUR (5.00)"
            if not plain[first : self.start - 1].rstrip()[-1:].isalpha() or self._is_cell(plain, first, self.end + 1):
                self.negative = True
                self.start, self.end = self.start - 1, self.end + 1
                self.outer = (first, max(last, self.end))
            else:
                self.outer = (self.start, self.end)
        elif plain[first - 1 : first] == "(" and plain[last : last + 1] == ")" and first:
            if self._is_cell(plain, first - 1, last + 1):
                self.negative = True
                if self.outer == (self.start, self.end):
                    self.start, self.end = first - 1, last + 1
                self.outer = (first - 1, last + 1)
        elif not self.negative and last == self.end and (minus := _TRAILING_MINUS.match(text, last)):
            self.negative = True
            self.end = minus.end()
            self.outer = (first, minus.end())

    def _is_cell(self, plain: str, start: int, end: int) -> bool:
        """Whether [start, end) stands like a cell of an account. At the edge of one on one side only, it may."""
        begins, ends = bool(_CELL_BEGINS.search(plain, max(start - 3, 0), start)), bool(_CELL_ENDS.match(plain, end))
        self.ambiguous |= begins != ends
        return begins and ends


def _currency_behind(text: str, end: int) -> tuple[str, int] | None:
    """The currency that follows an amount, as it is written, and where it ends."""
    start = end
    while start < len(text) and start - end < _GAP and text[start] in " \u00a0\u202f\u2009\t":
        start += 1
    if text[start : start + 1] not in first_characters():
        return None
    for length in range(min(longest(), len(text) - start), 0, -1):
        written = text[start : start + length]
        stop = start + length
        if written in currencies() and not (written[-1].isalpha() and _is_letter(text[stop : stop + 1], written)):
            # In "5.00 $ 7.00" the sign belongs to what follows unless a blank parts them.
            if not written[0].isalnum() and text[stop : stop + 1].isdigit():
                continue
            return written, stop
    return None


def _continues(text: str, start: int, first: str) -> bool:
    """Whether a letter before `start` makes the currency the end of a word: "PROGRAMM 5" is no RM."""
    return start > 0 and first.isalpha() and _is_letter(text[start - 1], first)


def _is_letter(char: str, beside: str) -> bool:
    """A letter of the same word: between CJK characters words are not parted."""
    return char.isalpha() and not ("\u3000" <= beside[-1:] <= "\u9fff" or "\u3000" <= char <= "\u9fff")


def _inside_something_else(plain: str, numeral: Numeral) -> bool:
    """Part of a date, a time, a phone number, a rate, a code or a word."""
    before, after = plain[max(numeral.start - 2, 0) : numeral.start], plain[numeral.end : numeral.end + 2]
    if before[-1:] in ("/", ":", ".", ",", "-") and before[:1].isdigit() and len(before) == 2:
        return True
    if after[:1] in ("/", ":", "-", ".", ",") and after[1:].isdigit():
        return True
    if after.lstrip()[:1] in ("%", "٪", "％"):
        return True
    if before[-1:].isalpha() or before[-1:] in (".", "_"):
        word = _WORD_BEFORE.search(plain, max(numeral.start - longest() - 1, 0), numeral.start)
        if word and word.group() not in currencies() and word.group().isascii():
            return True
    return after[:1] == "_"

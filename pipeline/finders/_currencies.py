"""How currencies are written: signs, short forms and ISO codes."""

from __future__ import annotations

from functools import cache

from pipeline.finders._cldr import currency_codes

# None: a currency, but several countries write theirs so.
SIGNS: dict[str, str | None] = {
    "€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "￥": "JPY", "₹": "INR", "₽": "RUB", "₺": "TRY", "₩": "KRW",
    "₫": "VND", "₪": "ILS", "฿": "THB", "₴": "UAH", "₦": "NGN", "₱": "PHP", "₡": "CRC", "₲": "PYG", "₸": "KZT",
    "₾": "GEL", "₼": "AZN", "₨": "INR", "₵": "GHS", "円": "JPY", "元": "CNY", "圓": "TWD", "圆": "CNY", "块": "CNY",
    "원": "KRW", "₿": None,
    "UK£": "GBP",
    "BR$": "BRL",
    "E£": "EGP",
    "US$": "USD", "R$": "BRL", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "NZ$": "NZD", "S$": "SGD",
    "HK$": "HKD", "NT$": "TWD", "MX$": "MXN", "Mex$": "MXN", "RM": "MYR", "Rs": "INR", "Rs.": "INR", "Re.": "INR",
    "Rp": "IDR", "Rp.": "IDR", "zł": "PLN", "zl": "PLN", "Kč": "CZK", "Kc": "CZK", "Ft": "HUF", "TL": "TRY",
    "руб": "RUB", "руб.": "RUB", "рублей": "RUB", "рубля": "RUB", "рубль": "RUB", "р.": "RUB", "грн": "UAH",
    "грн.": "UAH", "лв": "BGN", "лв.": "BGN", "lei": "RON", "Lei": "RON", "LEI": "RON", "kr": None, "kr.": None,
    "Kr": None, "Kr.": None, "Fr.": "CHF", "SFr.": "CHF", "sFr.": "CHF", "Fr": "CHF", "euro": "EUR", "Euro": "EUR",
    "EURO": "EUR", "euros": "EUR", "Euros": "EUR", "EUROS": "EUR", "евро": "EUR", "dollars": "USD", "Dollars": "USD",
    "US dollars": "USD", "dólares": "USD", "reais": "BRL", "yen": "JPY", "pesos": None, "Pesos": None,
    "pounds": "GBP", "人民币": "CNY", "美元": "USD", "欧元": "EUR", "日元": "JPY", "रुपये": "INR", "रु": "INR",
    "रु.": "INR", "रुपए": "INR", "یورو": "EUR", "ر.س": "SAR", "ر.س.": "SAR", "ريال": None, "د.إ": "AED",
    "د.إ.": "AED", "درهم": None, "ج.م": "EGP", "ج.م.": "EGP", "جنيه": None, "دينار": None, "د.ك": "KWD",
    "دولار": "USD", "يورو": "EUR", "SR": "SAR", "Dh": "AED", "Dhs": "AED", "AED": "AED",
}  # fmt: skip

# Codes that are also words in capital letters.
_WORDS = frozenset({"ALL", "TOP", "CUP", "SOS", "XXX", "XTS", "XSU", "ANG", "BAD", "BAN", "CLE", "ARM", "MAF"})


@cache
def currencies() -> dict[str, str | None]:
    """Every way of writing a currency that is read, with its ISO code."""
    codes = {code: code for code in currency_codes() if code not in _WORDS}
    return {**codes, **SIGNS}


@cache
def longest() -> int:
    """The longest of them, in characters."""
    return max(map(len, currencies()))


@cache
def first_characters() -> frozenset[str]:
    """What a currency may begin with: most numbers have none beside them, which one look tells."""
    return frozenset(written[0] for written in currencies())


@cache
def last_characters() -> frozenset[str]:
    """What a currency may end with."""
    return frozenset(written[-1] for written in currencies())

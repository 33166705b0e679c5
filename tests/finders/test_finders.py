"""Finders against tables written by hand, against CLDR's own writing of dates and amounts, and against hostile text."""

# ruff: noqa: E501 - tables
from __future__ import annotations

import datetime
from decimal import Decimal

import pytest
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.finders import (
    Normalised,
    Settled,
    find,
    finder_types,
    normalise,
    normalise_at,
    settle,
    settle_day_first,
    settle_decimal,
)

LANGUAGES = ["en_GB", "de", "fr", "es", "pt", "it", "nl", "pl", "ru", "tr", "ar_EG", "hi", "zh", "ja"]
TYPES = sorted(finder_types())


def quotes(text: str, type: str, **more) -> list[tuple[str, str]]:
    return [(text[span.start : span.end], span.value) for span in find(text, type, **more)]


def value(text: str, type: str, **more) -> str | None:
    normal = normalise(text, type, **more)
    return normal.value if normal else None


def test_every_type_has_its_finder() -> None:
    assert finder_types() == {"date", "money", "currency", "number", "id", "email", "phone", "iban", "url"}
    assert find("anything", "text") == []
    assert normalise("anything", "text") is None


# -- dates ------------------------------------------------------------------------------------------------------

days = st.dates(datetime.date(1950, 1, 1), datetime.date(2068, 12, 31))


@pytest.mark.parametrize(
    "locale", [*LANGUAGES, "en_US", "de_AT", "pt_BR", "ar_LB", "ar_MA", "sv", "cs", "hu", "uk", "el", "ro"]
)
@settings(max_examples=25, deadline=None)
@given(day=days, form=st.sampled_from(["long", "full", "medium"]))
def test_dates_are_read_as_each_language_writes_them(locale, day, form) -> None:
    text = f"x {format_date(day, form, locale=locale)} x"

    assert [span.value for span in find(text, "date", settled=Settled(day_first=True))] == [day.isoformat()]


@pytest.mark.parametrize("text", """
    19/10/2018 | 19-10-2018 | 19.10.2018 | 19.10.18 | 19 10 2018 | 2018-10-19 | 2018/10/19 | 20181019 | 19 / 10 / 2018
    19 October 2018 | October 19, 2018 | Oct. 19, 2018 | 19th of October 2018 | 19OCT2018 | 19-Oct-18 | Oct-19-2018
    19th day of October, 2018 | 19 Oct '18 | 2018-Oct-19 | 2018 October 19 | Oct 19 2018
    19. Oktober 2018 | 19. Okt. 2018 | 19 octobre 2018 | 19 oct. 2018 | 19 de octubre de 2018 | 19 de octubre del 2018
    19 de outubro de 2018 | 19/out/2018 | 19 ottobre 2018 | 19 oktober 2018 | 19 października 2018 | 19 paź 2018
    19 X 2018 | 19.X.2018 | 19 октября 2018 | 19 окт. 2018 | 19-го октября 2018 | 19 Ekim 2018 | 19 EKİM 2018
    ١٩ أكتوبر ٢٠١٨ | 19 تشرين الأول 2018 | 19 تشرين الأول/أكتوبر 2018 | ١٩/١٠/٢٠١٨ | 19 अक्टूबर 2018 | १९ अक्टूबर २०१८
    2018年10月19日 | ２０１８年１０月１９日 | 二〇一八年十月十九日 | 平成30年10月19日 | 平成三十年十月十九日 | 民國107年10月19日
    2018년 10월 19일 | ngày 19 tháng 10 năm 2018 | 19/10/2018 20:49:59 | 2018-10-19T20:49 | Friday, 19 October 2018
    2018. október 19. | 19 oct\u0301obre 2018 | 19 OCTOBRE 2018
    """.replace("\n", "|").split("|"))  # fmt: skip
def test_one_day_in_many_writings(text) -> None:
    if not text.strip():
        return
    assert value(text.strip(), "date") == "2018-10-19"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1er mars 2018", "2018-03-01"), ("1º de março de 2018", "2018-03-01"), ("1° gennaio 2022", "2022-01-01"),
        ("15 KASIM 2023", "2023-11-15"), ("5 Şubat 2021", "2021-02-05"), ("28 fe\u0301vrier 2014", "2014-02-28"),
        ("令和元年5月1日", "2019-05-01"), ("令和6年3月5日", "2024-03-05"), ("昭和64年1月7日", "1989-01-07"),
        ("24 सितंबर 2024", "2024-09-24"), ("29 février 2024", "2024-02-29"), ("March 2018", "2018-03"),
        ("marzo de 2018", "2018-03"), ("2018年3月", "2018-03"), ("31.12.99", "1999-12-31"), ("31.12.68", "2068-12-31"),
        ("12 May 1705", "1705-05-12"), ("98-12-31", "1998-12-31"), ("9 Jänner 2020", "2020-01-09"),
        ("5 mrt 2020", "2020-03-05"), ("7 stycznia 2019 r.", "2019-01-07"), ("Dec 9, 14", "2014-12-09"),
        ("5 במרץ 2018", "2018-03-05"), ("5 מרץ 2018", "2018-03-05"), ("2018 m. kovo 5 d.", "2018-03-05"), ("2018 m. gruodžio 12 d.", "2018-12-12"),
    ],
)  # fmt: skip
def test_special_dates(text, expected) -> None:
    assert value(text, "date") == expected


@pytest.mark.parametrize("text", [
    "31/02/2018", "30 February 2018", "29.02.2023", "1.2.3.4", "10.0.0.1", "12:30:45", "1/2/3", "99/99/2018", "13/13/2018",
    "19/10/3018", "19/10/1018", "0/1/2018", "2018", "Mar 5 18:30", "May 5, 20 people", "5 mayonnaise 2018", "call 03-1234-5678",
    "2018-03-05-001", "1-2-3-2018", "00000000", "20181345", "5 de Souza 2018", "v2018.10", "19 maison 2018", "March", "5 May",
])  # fmt: skip
def test_what_is_no_date_is_refused(text) -> None:
    assert find(text, "date") == []


@pytest.mark.parametrize("text", [
    "5 May 10 am", "on 5 May 12 people came", "5 mars 18 à Paris", "5. März 18 Uhr", "18-12-25", "12. listopada 2023", "3. srp 2020",
    "12 LISTOPADA 2023", "10 lis 2022",
])  # fmt: skip
def test_a_date_that_its_words_allow_to_read_otherwise_is_marked(text) -> None:
    assert [span.ambiguous for span in find(text, "date")] == [True]


@pytest.mark.parametrize("text", [
    "5 May '10 am", "5 May 2010 am", "15-Mar-18 at noon", "5 mars 18", "5 mars 18.", "5 mars 18\nParis", "12 Dec 25, Paris",
    "2018-12-25", "18.12.25", "18/12/25", "18-12-99", "18-12-32", "3. srpnja 2020", "3. srpna 2020", "1 października 2023",
])  # fmt: skip
def test_a_date_that_can_be_read_in_one_way_is_not_marked(text) -> None:
    assert [span.ambiguous for span in find(text, "date")] == [False]


def test_a_year_first_or_last_settles_no_other_date() -> None:
    assert settle_day_first("18-12-25") is None
    assert settle_day_first("18-12-25 and 03/25/2018") is False


def test_two_dates_are_no_one_value() -> None:
    assert normalise("from 1 May 2018 to 5 May 2018", "date") is None
    assert [v for _, v in quotes("1 May 2018 - 5 May 2018", "date")] == ["2018-05-01", "2018-05-05"]


def test_a_span_leaves_out_weekday_and_time() -> None:
    assert quotes("Fri 19/10/2018 20:49:59 #01", "date") == [("19/10/2018", "2018-10-19")]
    assert quotes("Freitag, den 19. Oktober 2018 um 8 Uhr", "date") == [("19. Oktober 2018", "2018-10-19")]


def test_an_ambiguous_date_is_marked_and_settled_by_the_task_or_the_document() -> None:
    assert normalise("03/04/2018", "date") == Normalised("2018-04-03", None, True)
    assert normalise("03/04/2018", "date", day_first=True) == Normalised("2018-04-03", None, True)
    assert normalise("03/04/2018", "date", day_first=False) == Normalised("2018-03-04", None, True)
    assert normalise("04/04/2018", "date") == Normalised("2018-04-04", None, False)
    assert normalise("03.04.2018", "date") == Normalised("2018-04-03", None, False)
    assert [v for _, v in quotes("03/04/2018 and 03/25/2018", "date")] == ["2018-03-04", "2018-03-25"]
    assert [v for _, v in quotes("03/04/2018 and 25/03/2018", "date")] == ["2018-04-03", "2018-03-25"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("due 25/03/2018, sent 01/02/2018", True),
        ("due 03/25/2018, sent 01/02/2018", False),
        ("01/02/2018", None),
        ("25/03/2018 and 03/25/2018", None),
        ("March 4, 2018 printed as 03/04/2018", False),
        ("4 March 2018 printed as 04/03/2018", True),
        ("2018-03-04 and 5 May 2018", None),
        ("", None),
    ],
)
def test_the_order_is_settled_by_the_document_s_other_dates(text, expected) -> None:
    assert settle_day_first(text) is expected
    assert settle(text).day_first is expected
    assert settle(text, day_first=False).day_first is False


def test_direction_marks_inside_a_date_are_part_of_the_span() -> None:
    text = "\u200fيوم 19\u200f/10\u200f/2018\u200f تم"

    (span,) = find(text, "date")

    assert (text[span.start : span.end], span.value) == ("19\u200f/10\u200f/2018", "2018-10-19")
    assert settle_day_first(text) is True


# -- numbers and amounts ----------------------------------------------------------------------------------------

amounts = st.decimals(Decimal("0.01"), Decimal("99999999"), places=2, allow_nan=False)


@pytest.mark.parametrize("locale", [*LANGUAGES, "en_US", "de_CH", "en_IN", "pt_BR", "fr_CH", "sv", "es_MX"])
@settings(max_examples=25, deadline=None)
@given(amount=amounts, code=st.sampled_from(["EUR", "GBP", "INR", "PLN", "BRL", "CHF", "TRY", "RUB"]))
def test_amounts_are_read_as_each_language_writes_them(locale, amount, code) -> None:
    written = format_currency(amount, code, locale=locale)

    spans = [span for span in find(f"x {written} x", "money") if Decimal(span.value) == amount]

    assert spans
    assert {span.currency for span in spans} == {code}


@pytest.mark.parametrize("locale", [*LANGUAGES, "de_CH", "en_IN"])
@settings(max_examples=25, deadline=None)
@given(amount=amounts)
def test_numbers_are_read_as_each_language_writes_them(locale, amount) -> None:
    written = format_decimal(amount, format=None, locale=locale)
    mark = "," if locale in ("de", "fr", "es", "pt", "it", "nl", "pl", "ru", "tr") else "."

    normal = normalise(written, "number", decimal=mark)

    assert normal is not None
    assert Decimal(normal.value) == amount


@pytest.mark.parametrize(
    ("text", "expected", "currency"),
    [
        ("RM  60.30", "60.30", "MYR"), ("€ 1.234,56", "1234.56", "EUR"), ("1.234,56 €", "1234.56", "EUR"),
        ("1,234.56", "1234.56", None), ("1 234,56 zł", "1234.56", "PLN"), ("1\u00a0234,56\u00a0€", "1234.56", "EUR"),
        ("CHF 1'234.50", "1234.50", "CHF"), ("1’234.50", "1234.50", None), ("₹1,23,456.00", "123456.00", "INR"),
        ("Rs. 500", "500", "INR"), ("US$ 12.00", "12.00", "USD"), ("$5", "5", "USD"), ("-$5.00", "-5.00", "USD"),
        ("$-5.00", "-5.00", "USD"), ("(5.00)", "-5.00", None), ("$(5.00)", "-5.00", "USD"), ("($5.00)", "-5.00", "USD"),
        ("5.59-", "-5.59", None), ("-5,59 EUR", "-5.59", "EUR"), ("\u22125,59 €", "-5.59", "EUR"), ("12,-", "12", None),
        ("CHF 5.--", "5", "CHF"), ("¥1,200", "1200", "JPY"), ("1200円", "1200", "JPY"), ("１，２００円", "1200", "JPY"),
        ("3万円", "30000", "JPY"), ("US$ 1.5 million", "1500000", "USD"), ("2,5 Mio. €", "2500000", "EUR"),
        ("5 млн руб.", "5000000", "RUB"), ("١٬٢٣٤٫٥٦ ر.س", "1234.56", "SAR"), ("१,२३,४५६.०० रुपये", "123456.00", "INR"),
        ("R$ 1.234,56", "1234.56", "BRL"), ("EUR12.50", "12.50", "EUR"), ("12.50EUR", "12.50", "EUR"), ("kr 120,00", "120.00", None),
        ("Total: 45", "45", None), ("0.99", "0.99", None), ("1.000.000,00", "1000000.00", None), ("12,34 TL", "12.34", "TRY"),
        ("100 元", "100", "CNY"), ("Total EUR: 7,00", "7.00", "EUR"), ("33.50 Kč", "33.50", "CZK"),
    ],
)  # fmt: skip
def test_amounts_and_their_currencies(text, expected, currency) -> None:
    normal = normalise(text, "money")

    assert normal is not None
    assert (normal.value, normal.currency) == (expected, currency)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("five hundred dollars ($500.00) on signing", [("$500.00", "500.00"), ("500.00", "500.00")]),
        ("a fee (EUR 250.00) is due", [("EUR 250.00", "250.00"), ("250.00", "250.00")]),
        ("a fee of EUR (250.00) is due", [("250.00", "250.00")]),
        ("five hundred (500.00) dollars", [("500.00", "500.00")]),
        ("net loss of $(0.25) a share", [("$(0.25)", "-0.25"), ("(0.25)", "-0.25")]),
        ("Loss\t($5.00)\nRest", [("($5.00)", "-5.00"), ("5.00", "-5.00")]),
        ("Loss | (5.00) | 7.00", [("(5.00)", "-5.00"), ("7.00", "7.00")]),
        ("Loss   (5.00)\r\nRest", [("(5.00)", "-5.00")]),
        ("2023 (5.00) (6.00)", [("(5.00)", "-5.00"), ("(6.00)", "-6.00")]),
    ],
)
def test_parentheses_are_a_minus_in_accounts_and_not_in_sentences(text, expected) -> None:
    assert [found for found in quotes(text, "money") if found[0] != "2023"] == expected


def test_parentheses_at_one_edge_of_a_line_allow_both_readings() -> None:
    assert [(span.value, span.ambiguous) for span in find("Loss (5.00)\nRest", "money")] == [("5.00", True)]
    assert not any(span.ambiguous for span in find("a fee (5.00) on signing", "money"))
    assert not any(span.ambiguous for span in find("a fee\t(5.00)", "money"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Price $10.00-$15.00", ["$10.00", "10.00", "$15.00", "15.00"]),
        ("£10.00–£15.00", ["£10.00", "10.00", "£15.00", "15.00"]),
        ("$1,500,000.00–$2,000,000.00", ["$1,500,000.00", "1,500,000.00", "$2,000,000.00", "2,000,000.00"]),
        ("10,50€-12,50€", ["10,50€", "10,50", "12,50€", "12,50"]),
        ("10,50 €-12,50 €", ["10,50 €", "10,50", "12,50 €", "12,50"]),
        ("10,50€–12,50", ["10,50€", "10,50", "12,50"]),
        ("£5.00–and more", ["£5.00", "5.00"]),
    ],
)
def test_what_parts_two_amounts_is_no_minus(text, expected) -> None:
    assert [written for written, _ in quotes(text, "money")] == expected
    assert not any(number.startswith("-") for _, number in quotes(text, "money"))


@pytest.mark.parametrize(
    ("text", "written", "expected", "currency"),
    [
        ("USD 5 Million", "USD 5 Million", "5000000", "USD"), ("$1.2 Billion", "$1.2 Billion", "1200000000", "USD"),
        ("$2.5bn", "$2.5bn", "2500000000", "USD"), ("€5M", "€5M", "5000000", "EUR"), ("$10k", "$10k", "10000", "USD"),
        ("£5m.", "£5m", "5000000", "GBP"), ("10k EUR", "10k EUR", "10000", "EUR"), ("5 M€", "5 M€", "5000000", "EUR"),
        ("$3 TRILLION", "$3 TRILLION", "3000000000000", "USD"), ("EUR 7mn", "EUR 7mn", "7000000", "EUR"),
        ("Rs. 5 crore", "Rs. 5 crore", "50000000", "INR"), ("₹2.5 lakh", "₹2.5 lakh", "250000", "INR"),
        ("Rs 3 Lakhs", "Rs 3 Lakhs", "300000", "INR"), ("Rs 3 lac", "Rs 3 lac", "300000", "INR"),
        ("Rs 2 Crores", "Rs 2 Crores", "20000000", "INR"), ("1 Million EUR", "1 Million EUR", "1000000", "EUR"),
        ("1 Milliarde €", "1 Milliarde €", "1000000000", "EUR"), ("R$ 5 mil", "R$ 5 mil", "5000", "BRL"),
        ("2 MIO EUR", "2 MIO EUR", "2000000", "EUR"), ("500 mil reais", "500 mil reais", "500000", "BRL"),
        ("-$5M", "-$5M", "-5000000", "USD"),
    ],
)  # fmt: skip
def test_amounts_in_thousands_and_millions(text, written, expected, currency) -> None:
    span = find(text, "money")[0]

    assert (text[span.start : span.end], span.value, span.currency) == (written, expected, currency)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$ 5 men", ("$ 5", "5", False)), ("$5 M8", ("$5", "5", False)), ("$5 k", ("$5", "5", False)),
        ("5 mil", ("5", "5", False)), ("5M", ("5", "5", True)), ("$5x", ("$5", "5", True)),
        ("€5Mrdx", ("€5", "5", True)), ("$5USD", ("$5", "5", False)), ("5.00EUR", ("5.00EUR", "5.00", False)),
        ("$5 mil", ("$5 mil", "5000", True)), ("€12.50B", ("€12.50B", "12500000000", True)),
    ],
)  # fmt: skip
def test_letters_behind_an_amount_that_are_no_scale(text, expected) -> None:
    span = find(text, "money")[0]

    assert (text[span.start : span.end], span.value, span.ambiguous) == expected


@pytest.mark.parametrize("text", ["19/10/2018", "12:30", "1.2.3", "10.0.0.1", "10.00%", "19,5 %", "A4", "abc", "BTW-NR 1234.5678.9", "01-23-45"])  # fmt: skip
def test_what_is_no_amount_is_refused(text) -> None:
    assert find(text, "money") == []


def test_an_amount_is_found_with_and_without_its_currency() -> None:
    assert quotes("TOTAL RM 60.30 CASH", "money") == [("RM 60.30", "60.30"), ("60.30", "60.30")]
    assert {span.currency for span in find("TOTAL RM 60.30", "money")} == {"MYR"}


def test_bare_numbers_are_amounts_only_where_there_are_no_better_ones() -> None:
    assert quotes("Table 4, total 45", "money") == [("4", "4"), ("45", "45")]
    assert quotes("Table 4, total 45.00", "money") == [("45.00", "45.00")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("小計 ¥300\n合計 1200", ["¥300", "300", "1200"]),
        ("Deposit 5.00, Total 45", ["5.00", "45"]),
        ("Rate 5.00\nTotal: 45 \nTable 4", ["5.00", "45"]),
        ("Скидка 5,00\nИТОГО 450", ["5,00", "450"]),
        ("خصم 5.00\nالمجموع: ٤٥", ["5.00", "٤٥"]),
        ("Rate 5.00\nTotal items 3", ["5.00"]),
        ("Rate 5.00\nTotal 3 items", ["5.00"]),
        ("Rate 5.00\nSubtotals 2024", ["5.00"]),
        ("Tea 80\nTotal 85", ["80", "85"]),
    ],
)
def test_a_bare_number_behind_a_word_for_a_sum_at_the_end_of_its_line_is_an_amount_too(text, expected) -> None:
    assert [quote for quote, _ in quotes(text, "money")] == expected


def test_a_word_that_ends_like_a_currency_is_none() -> None:
    assert normalise("ALARM 5.00", "money") == Normalised("5.00")
    assert normalise("ALARM5.00", "money") is None
    assert normalise("ALL 5.00", "money") == Normalised("5.00")


def test_columns_parted_by_a_blank_are_found_together_and_apart() -> None:
    assert quotes("2 500.00", "money") == [("2 500.00", "2500.00"), ("500.00", "500.00")]
    assert quotes("10.00 20.00", "money") == [("10.00", "10.00"), ("20.00", "20.00")]


def test_a_currency_stands_beside_the_amount_that_lacks_it() -> None:
    text = "TOTAL RM 60.30"

    assert normalise("60.30", "money") == Normalised("60.30")
    assert normalise_at(text, 9, 14, "money") == Normalised("60.30", "MYR")
    assert normalise_at(text, 6, 14, "money") == Normalised("60.30", "MYR")
    assert normalise_at("no amount", 0, 2, "money") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.234,56 und 3,20", ","),
        ("1,234.56 and 3.20", "."),
        ("1.234", None),
        ("3,20 3.20", None),
        ("12.5 10.25 7.5 3,75", "."),
        ("", None),
    ],
)
def test_the_decimal_mark_is_settled_by_the_document(text, expected) -> None:
    assert settle_decimal(text) == expected


def test_one_thousand_or_one_point_is_settled_and_marked() -> None:
    assert normalise("1.234", "number") == Normalised("1234", None, True)
    assert normalise("1.234", "number", decimal=".") == Normalised("1.234", None, False)
    assert normalise("1.234", "number", decimal=",") == Normalised("1234", None, False)
    assert [v for _, v in quotes("1.234 kg at 2.50", "number")] == ["1.234", "2.50"]
    assert [v for _, v in quotes("1.234 Stück zu 2,50", "number")] == ["1234", "2.50"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("QTY 2", ["2"]), ("-5 or 10.5%", ["-5", "10.5"]), ("A4 MO26588 ISO-9001", []), ("19/10/2018 at 3:40", []),
        ("2x 12kg x3", ["2", "12", "3"]), ("1.2.3", []), ("5,10,20", ["5", "10", "20"]), ("٣٥ و ٤", ["35", "4"]), ("第3章", ["3"]),
        ("page 7.", ["7"]), ("(8)", ["8"]), ("12 345 678", ["12345678", "12", "345", "678"]), ("9" * 60, []), ("007", ["7"]),
    ],
)  # fmt: skip
def test_numbers_are_found(text, expected) -> None:
    assert [v for _, v in quotes(text, "number")] == expected


# -- addresses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to Ana.Sousa+x@Example.COM.", [("Ana.Sousa+x@Example.COM", "Ana.Sousa+x@example.com")]),
        ("<a@b.de>; o'neil@mail.example.co.uk", [("a@b.de", "a@b.de"), ("o'neil@mail.example.co.uk",) * 2]),
        ("info@müller.de 用户@例子.公司", [("info@müller.de",) * 2, ("用户@例子.公司",) * 2]),
        ("@handle a@b a@@b.de a@b..de .@b.de a@-b.de a@b.1", []),
    ],
)
def test_mail_addresses(text, expected) -> None:
    assert quotes(text, "email") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TEL:07-3507405  FAX:07-3558160", ["073507405", "073558160"]),
        ("+44 (0)20 7946 0958", ["+442079460958"]),
        ("+1 (415) 555-2671.", ["+14155552671"]),
        ("0049 30 123456", ["+4930123456"]),
        ("(870)-931-0505", ["8709310505"]),
        ("Tél. 01 42 68 53 00", ["0142685300"]),
        ("٠٥٠ ١٢٣ ٤٥٦٧", ["0501234567"]),
        ("03-1234-5678", ["0312345678"]),
        ("19/10/2018", []),
        ("192.168.100.200", []),
        ("1 234 567.89", []),
        ("12345", []),
        ("+999 12", []),
        ("ORDER1234567890", []),
    ],
)
def test_telephone_numbers(text, expected) -> None:
    assert [v for _, v in quotes(text, "phone")] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IBAN: DE89 3704 0044 0532 0130 00, BIC", ["DE89370400440532013000"]),
        ("GB29NWBK60161331926819", ["GB29NWBK60161331926819"]),
        ("gb29 nwbk 6016 1331 9268 19", ["GB29NWBK60161331926819"]),
        ("FR14 2004 1010 0505 0001 3M02 606 BIC", ["FR1420041010050500013M02606"]),
        ("NO93 8601 1117 947", ["NO9386011117947"]),
        ("PT50 0002 0123 1234 5678 9015 4", ["PT50000201231234567890154"]),
        ("DE88 3704 0044 0532 0130 00", []),
        ("DE89 3704 0044 0532 0130 0", []),
        ("DE89 3704 0044 0532 0130 000", []),
        ("XX89 3704 0044 0532 0130 00", []),
        ("US1234567890", []),
    ],
)
def test_bank_accounts(text, expected) -> None:
    assert [v for _, v in quotes(text, "iban")] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://Ex.com/A_(b), or", [("https://Ex.com/A_(b)", "https://ex.com/A_(b)")]),
        ("(http://x.org/y).", [("http://x.org/y",) * 2]),
        ("WWW.Foo.DE/Bar?x=1#t;", [("WWW.Foo.DE/Bar?x=1#t", "www.foo.de/Bar?x=1#t")]),
        ("visit foo-bar.com.", [("foo-bar.com",) * 2]),
        ("例えばhttps://例え.jp/道。", [("https://例え.jp/道",) * 2]),
        ("a@b.com e.g. end.Then 3.14 file.txt", []),
        ("https:// www. http://", []),
    ],
)
def test_web_addresses(text, expected) -> None:
    assert quotes(text, "url") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Invoice No. TT-24-1187, 3 May", ["TT-24-1187", "3"]),
        ("Rechnungs-Nr.2025/0671", ["2025/0671"]),
        ("Nr.2025-17 vom 03.05.2025", ["2025-17"]),
        ("FATURA FT 1/448", ["FT 1/448", "1/448"]),
        ("NO 448 / NR 12", ["448", "12"]),
        ("発票番号INV-2025-036。", ["INV-2025-036"]),
        ("счёт № 214 от 2025-11-15", ["214"]),
        ("Счёт СФ-٢١٤ ТН 1", ["СФ-٢١٤", "ТН 1", "1"]),
        ("#BLR_WFLD20151000982590 (INV/2023/03/0008)", ["BLR_WFLD20151000982590", "INV/2023/03/0008"]),
        ("Kundennr. 12 345 678", ["12 345 678", "12", "345", "678"]),
        ("19 % of 12,50 is 1.240,00 or 1.240.00 at 12:30", []),
        ("a1@b2.com https://x.org/y1", []),
        ("INV\u20112025\u2011036", ["INV\u20112025\u2011036"]),
        ("no digits-here/there", []),
        ("-" * 50 + "1-" * 50, []),
        ("x" * 41 + "1", []),
    ],
)
def test_identifiers(text, expected) -> None:
    assert [v for v, _ in quotes(text, "id")] == expected


def test_the_normal_form_of_an_identifier_has_capitals_and_no_blanks() -> None:
    assert value("ft 1/448", "id") == "1/448"
    assert value("FT 1/448", "id") == "FT1/448"
    assert value("rg-٢١٤", "id") == "RG-214"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TOTAL GBP 5.00 or 5.00 €, -£5.00, EUR5.00", ["GBP", "€: EUR", "£: GBP", "EUR"]),
        ("Prices in CHF (US$ on demand). Price [zł] Preis(€)", ["CHF", "US$: USD", "zł: PLN", "€: EUR"]),
        ("BHD 5.000", ["BHD"]),
        ("E£ 5 and UK£5 or £5", ["E£: EGP", "UK£: GBP", "£: GBP"]),
        ("R$ 12,00 and HK$ 3", ["R$: BRL", "HK$: HKD"]),
        ("12 kr.; 7 Kr", ["kr.: kr", "Kr"]),
        ("1.200円 金额（元）", ["円: JPY", "元: CNY"]),
        ("5,00 руб. 12 рублей", ["руб.: RUB", "рублей: RUB"]),
        ("5 million euros, 3 Mio. Euro", ["euros: EUR", "Euro: EUR"]),
        ("DEVISE : EURO (EUR)", ["EURO: EUR", "EUR"]),
        ("٥٠٫٠٠ ر.س", ["ر.س: SAR"]),
        ("$ (5.00) ¥3,000", ["$: USD", "¥: JPY"]),
        ("SDN BHD kr Fr. RM 元 ESA DEM TOP EURs SEUR, PROGRAMM 5", []),
    ],
)
def test_currencies(text, expected) -> None:
    found = [quote if quote == value else f"{quote}: {value}" for quote, value in quotes(text, "currency")]
    assert found == expected


def test_a_currency_that_several_countries_write_alike_is_marked() -> None:
    assert [span.ambiguous for span in find("$5 ¥5 5 kr", "currency")] == [True] * 3
    assert [span.ambiguous for span in find("US$5 5 JPY 5 SEK £5", "currency")] == [False] * 4


@pytest.mark.parametrize("locale", [*LANGUAGES, "de_CH", "pt_BR", "sv", "cs", "hu", "uk", "he", "ko", "vi", "id", "ms"])
@settings(max_examples=25, deadline=None)
@given(
    amount=st.decimals(-99_999, 99_999, places=2),
    code=st.sampled_from(["EUR", "GBP", "BRL", "CHF", "PLN", "RUB", "TRY", "INR"]),
)
def test_the_currency_of_an_amount_is_read_as_each_language_writes_it(locale, amount, code) -> None:
    text = f"x {format_currency(amount, code, locale=locale)} x"
    assert code in [span.value for span in find(text, "currency")]


# -- laws -------------------------------------------------------------------------------------------------------

FRAGMENTS = ["19/10/2018", "5 March 2018", "March", "RM 60.30", "-5.59", "1.234,56", "€", "1 234", "a@b.de", "+49 30 123456",
             "DE89 3704 0044 0532 0130 00", "https://x.org/y", " ", "\n", ".", "٣", "\u200f", "年3月5日", "2018", "(", ")", "%", "kr", "x", "İ",
             "e\u0301", "₹", "令和", "१२", "万", "INV-", "FT 1/448", "-", "/", ":", "'", "00"]  # fmt: skip
texts = st.one_of(st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join), st.text(max_size=60))


@settings(max_examples=300, deadline=None)
@given(
    text=texts,
    type=st.sampled_from(TYPES),
    first=st.sampled_from([None, True, False]),
    mark=st.sampled_from([None, ".", ","]),
)
def test_spans_lie_in_the_text_in_order_and_have_a_value(text, type, first, mark) -> None:
    settled = Settled(first, mark)
    spans = find(text, type, settled=settled)

    assert spans == sorted(spans, key=lambda span: (span.start, -span.end))
    assert len({(span.start, span.end) for span in spans}) == len(spans)
    for span in spans:
        assert 0 <= span.start < span.end <= len(text)
        assert text[span.start : span.end].strip() == text[span.start : span.end]
        assert span.value
        if type in ("money", "number"):
            Decimal(span.value)
        if type == "date":
            datetime.date.fromisoformat(span.value if len(span.value) == 10 else f"{span.value}-01")
    assert spans == find(text, type, settled=settled)


@settings(max_examples=300, deadline=None)
@given(text=texts, type=st.sampled_from([type for type in TYPES if type not in ("money", "number")]))
def test_a_span_by_itself_means_what_it_means_in_its_text(text, type) -> None:
    """Amounts are left out: their currency and sign may stand beside them."""
    for span in find(text, type, settled=Settled(True, ".")):
        normal = normalise(text[span.start : span.end], type, day_first=True, decimal=".")

        assert normal is not None
        assert normal.value == span.value


UNITS = ["1", "1,", "1.", "1 ", "1/", "1-", "12 ", "123 ", "1'", "+1 ", "(", "a", "a.", "a@", "a@b.", "@", "www.", "http://", "http://a",
         "DE89 ", "DE", "January ", "5 January ", "1 January 2", "年", "10月", "0", "-", "€", "5 €", "RM", "٣", " ", "\n", "20181019", "(0)",
         "march", "1 de ", "a-", "Mio "]  # fmt: skip


@pytest.mark.timeout(240)
@pytest.mark.parametrize("type", TYPES)
def test_hostile_text_takes_linear_time(type) -> None:
    """A hundred thousand characters of one kind: quadratic work would take hours."""
    for character in "1a@(.-€ +":
        find(character * 100_000, type, settled=Settled())
    for unit in UNITS:
        find(unit * (6_000 // len(unit)) + "!", type)

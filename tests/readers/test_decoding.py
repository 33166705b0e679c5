import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.readers import decoding

LINES = [
    ("cp1252", "Café 12,50 €"),
    ("cp1252", "Müller GmbH, Straße 5, 10115 Berlin"),
    ("cp1252", "Société Générale – reçu n° 12, TVA 20 %, payé en espèces à Évreux"),
    ("cp1252", "“Hello” said José"),
    ("cp1252", "Año 2024: señor Núñez pagó 30 €"),
    ("cp1252", "£12.50 paid"),
    ("cp1252", "Total: €12"),
    ("cp1252", "Grüße"),
    ("cp1252", "naïve"),
    ("cp1252", "Nº 12"),
    ("cp1252", "10 °C"),
    ("cp1252", "MÜLLER & SÖHNE GMBH"),
    ("cp1252", "ÅNGSTRÖM København"),
    ("cp1252", "L’été – « déjà vu » à 12 €"),
    ("latin-1", "São Paulo, 3 de março de 2024. Valor total: R$ 120,00. Não há devolução."),
    ("iso8859-15", "Total 12 €"),
    ("shift_jis", "領収書 合計 1,200円 東京都"),
    ("shift_jis", "こんにちは世界"),
    ("shift_jis", "東京"),
    ("cp932", "請求書番号：１２３ 株式会社山田商店 御中"),
    ("cp932", "合計ｶﾀｶﾅﾃｽﾄ"),
    ("euc_jp", "これは領収書です。"),
    ("koi8-r", "Привет, мир"),
    ("koi8-r", "Счёт от 3 марта 2024 года. Итого: 1200 рублей"),
    ("koi8-r", "ИТОГО К ОПЛАТЕ"),
    ("cp1251", "Привет"),
    ("cp1251", "Счёт № 12 от 3 марта 2024 года. Итого: 1200 рублей"),
    ("cp1251", "ИТОГО К ОПЛАТЕ"),
    ("cp866", "Итого к оплате: 1200 рублей"),
    ("gb18030", "发票号码 12345 金额 100元 北京市海淀区"),
    ("gb18030", "你好世界"),
    ("big5", "發票號碼 12345 金額 100元 臺北市"),
    ("euc_kr", "영수증 합계 12,000원 서울특별시"),
    ("cp1250", "Zażółć gęślą jaźń, faktura nr 12"),
    ("cp1250", "Příliš žluťoučký kůň úpěl"),
    ("iso8859-2", "Zażółć gęślą jaźń, faktura nr 12"),
    ("iso8859-7", "Απόδειξη πληρωμής 12 ευρώ"),
    ("cp1253", "Απόδειξη πληρωμής 12 ευρώ"),
    ("cp1254", "Türkiye İstanbul şubesi ödeme ığdır"),
    ("cp1256", "إيصال بمبلغ 120 ريال"),
    ("cp1257", "Ačiū, šešiasdešimt ąžuolų"),
    ("cp874", "ใบเสร็จรับเงิน 120 บาท"),
    ("cp500", "This is an English EBCDIC text with enough words to see it."),
    ("mac_roman", "Café “déjà vu” naïve"),
    ("mac_roman", "Müller Straße"),
    ("cp850", "Café Müller São Paulo"),
    ("iso2022_jp", "領収書 合計 1,200円"),
]


@pytest.mark.parametrize(("encoding", "text"), LINES)
def test_a_line_in_an_old_encoding_is_read_right(encoding, text):
    assert decoding.decode(text.encode(encoding)) == text.encode(encoding).decode(encoding)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\x1b")))
def test_utf8_is_read_as_it_is(text):
    assert decoding.decode(codecs.BOM_UTF8 + text.encode()) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_decides(encoding, text):
    if encoding == "utf-16-le" and text[0] == "\x00":
        return  # the same bytes as UTF-32's mark

    assert decoding.decode(("\ufeff" + text).encode(encoding)) == text.removeprefix("\ufeff")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_seen(encoding):
    text = "Rechnung Nr. 12\r\nSumme: 30 €\r\n"

    assert decoding.is_text(text.encode(encoding))
    assert decoding.decode(text.encode(encoding)) == text


def test_a_few_broken_characters_do_not_cost_utf8():
    content = "Größe, Maß, Fuß, Süßes, später, früher, Öl, Äpfel".encode() + b"\xff und Caf\xc3"

    assert decoding.decode(content).startswith("Größe, Maß")


def test_nul_bytes_go():
    assert decoding.decode(b"a\x00b") == "ab"


def test_what_a_file_says_of_itself_is_believed_where_it_fits():
    assert decoding.decode(b"\xe4\xee\xec", "cp1251") == "дом"
    assert decoding.decode("дом".encode(), "cp1251") == "дом"
    assert decoding.decode(b"caf\xe9", "no-such-encoding") == "café"
    assert decoding.decode(b"\x80", "latin-1") == "€"


@given(st.binary())
def test_nothing_fails(content):
    assert isinstance(decoding.decode(content), str)

"""Extractive values: nothing but the document's words, every run of them, typed spans where a finder knows them."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pointed import ENGINE, NASTY, accepts, answer, field, schema_of

from pipeline.data import ConstraintSpec
from pipeline.grammars.llguidance import Engine
from pipeline.grammars.places import Places
from pipeline.grammars.words import units
from pipeline.prompting import load_task
from pipeline.schema import Extractive, TaskSchema, close, fold


def schema(**notes: object) -> TaskSchema:
    return schema_of(field(**notes), nullable=True)


def test_a_document_without_words_has_no_value():
    assert accepts(schema(), " \n", answer(None))
    assert not accepts(schema(), " \n", answer(""))
    assert accepts(schema_of(field()), " \n", answer(""))  # where null may not stand


@given(NASTY)
@settings(max_examples=60, deadline=None)
def test_units_are_the_text(source):
    text = fold(source).text
    assert "".join(units(text)) == text


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("don't pay 1.234,56 EUR.", ["don't", " ", "pay", " ", "1.234,56", " ", "EUR", "."]),
        ("東京都 12", ["東", "京", "都", " ", "12"]),
        ("สวัส", ["ส", "วั", "ส"]),
        ("👩\u200d👧🇵🇹🇧🇷", ["👩\u200d👧", "🇵🇹", "🇧🇷"]),
        ("नमस्ते", ["नमस्ते"]),
        ("a.b@c.de", ["a.b", "@", "c.de"]),
        ("x_1", ["x_1"]),
        ("12/03", ["12", "/", "03"]),
        ('חברה בע"מ', ["חברה", " ", 'בע"מ']),
        ("צה״ל ג' ג׳ירפה", ["צה״ל", " ", "ג'", " ", "ג׳ירפה"]),
        ('"שלום"', ['"', "שלום", '"']),
        ('a"b', ["a", '"', "b"]),
        ("CHF 1’234.50", ["CHF", " ", "1’234.50"]),
        ("١٬٢٣٤٫٥٠", ["١٬٢٣٤٫٥٠"]),
        ("a_b a_.b", ["a_b", " ", "a_", ".", "b"]),
        ("ⅩⅢ ๑๒", ["ⅩⅢ", " ", "๑๒"]),
        ("ه\u200d.", ["ه\u200d", "."]),
        ("Tel:Anna", ["Tel", ":", "Anna"]),
    ],
)
def test_words_end_where_unicode_says(text, cut):
    assert units(text) == cut


SHOP = 'Harbour "Lights"\n9 Quay Parade\nWhitby YO21\n\nTotal 20.00 EUR  12/07/2024\nPaid 25.00 EUR 13/07/2024'


def test_a_value_cannot_begin_or_end_inside_a_word_or_an_escape():
    assert accepts(schema(), SHOP, answer('"Lights" 9'))
    assert not accepts(schema(), SHOP, answer("arbour"))
    assert not accepts(schema(), SHOP, answer("Harb"))
    assert not accepts(schema(), SHOP, answer("Harbour "))
    assert not accepts(schema(), SHOP, answer("Lights Harbour"))


TILL = "TEA 2.00\nSUB-TOTAL 7.00\nGesamt\n8.40\nCASH 10.00\n合計金額 8.40"


@pytest.mark.parametrize(
    ("near", "values"),
    [
        (["total"], ["7.00"]),
        (["gesamt"], ["8.40"]),
        (["CASH", "Sub-Total"], ["10.00"]),
        (["change", "Sub-Total", "CASH"], ["7.00"]),
        (["合計"], ["8.40"]),
        (["total", "change"], ["7.00"]),
        (["change"], ["2.00", "7.00", "8.40", "10.00"]),
        ([], ["2.00", "7.00", "8.40", "10.00"]),
    ],
)
def test_a_typed_value_stands_beside_the_first_of_its_words_that_has_one_and_anywhere_where_none_has(near, values):
    pointed = schema(type="money", **({"near": near} if near else {}))

    found = [value for value in ("2.00", "7.00", "8.40", "10.00") if accepts(pointed, TILL, answer(value))]
    assert found == values
    assert accepts(pointed, TILL, answer(None)) == (len(values) == 4)  # null where nothing stands beside the words
    assert not accepts(pointed, TILL, answer("TEA"))


@pytest.mark.parametrize("printed", ["S U M M E   EUR  8.40", "s u m m e 8.40", "Summe:\n8.40", "\tS\tU\tM\tM\tE 8.40"])
def test_a_word_that_is_printed_with_its_letters_apart_is_found(printed):
    pointed = schema(type="money", near=["summe"])

    assert accepts(pointed, f"Tee 2.00\n{printed}\nBar 10.00", answer("8.40"))
    assert not accepts(pointed, f"Tee 2.00\n{printed}\nBar 10.00", answer("10.00"))


def test_of_several_pairs_on_a_line_a_value_stands_in_the_cell_of_its_word():
    due = schema(type="date", near=["due"])

    pairs = "Invoice 7   Date: 02/05/2025   Due date: 01/06/2025\nPaid 03/06/2025"
    assert accepts(due, pairs, answer("01/06/2025"))
    assert not accepts(due, pairs, answer("02/05/2025"))
    assert accepts(due, "Due   01/06/2025   printed 02/05/2025", answer("02/05/2025"))


def test_the_first_row_of_a_table_is_not_what_its_header_says_of_the_document():
    total = schema(type="money", near=["total"])
    text = "Item  Price  Total\nTea  2.00  4.00\nJam  3.00  6.00\nRum  9.00  9.00\nTotal  19.00"

    assert [v for v in ("4.00", "19.00") if accepts(total, text, answer(v))] == ["19.00"]
    assert accepts(total, "Total\n4.00 EUR net\nCash 5.00", answer("4.00"))


LETTER = (
    "Acme Ltd\nCustomer: Bo Lund\nCUSTOMER NO 7   Ref 9\nDelivery\nEva Holm\n1 Elm Road\nSold to   Mia Berg   Page 1\n"
    "Ivo Kern"
)
NAMES = [
    "Acme Ltd",
    "Bo Lund",
    "CUSTOMER NO 7",
    "Delivery",
    "Eva Holm",
    "Eva Holm 1 Elm Road",
    "Mia Berg",
    "Page 1",
    "Ivo Kern",
]


@pytest.mark.parametrize(
    ("near", "values"),
    [
        (["customer:"], ["Bo Lund"]),
        (["customer"], ["Bo Lund"]),  # CUSTOMER NO 7 names a number
        (["delivery"], ["Eva Holm", "Eva Holm 1 Elm Road"]),
        (["shipped to", "sold to"], ["Mia Berg", "Page 1", "Ivo Kern"]),
        (["Page", "delivery"], ["Eva Holm", "Eva Holm 1 Elm Road"]),
        (["buyer"], NAMES),
    ],
)
def test_lines_begin_behind_the_first_of_the_words_that_the_field_is_near_or_on_the_next_line(near, values):
    pointed = schema(unit="line", near=near)

    assert [value for value in NAMES if accepts(pointed, LETTER, answer(value))] == values
    assert accepts(pointed, LETTER, answer(None)) == (values == NAMES)  # null where nothing stands beside the words


def test_a_word_in_a_sentence_heads_no_value():
    bought = schema(unit="line", near=["invoice to"])
    text = "Invoice to pay by wire transfer to this bank account: Kim Bank\nEva Holm\nInvoice to the buyer: Bo Lund"

    assert [name for name in ("Kim Bank", "Eva Holm", "Bo Lund") if accepts(bought, text, answer(name))] == ["Bo Lund"]
    assert not accepts(bought, "Kim Bank\nInvoice to (name and address of the buyer):\nEva Holm", answer("Kim Bank"))


def test_an_identifier_stands_right_behind_what_names_it_where_one_does():
    said = ("I-17", "A-9", "X-55")
    number = schema(type="id", near=["invoice"])

    text = "Invoice: I-17\nOf order A-9\nPay this invoice to account X-55"
    assert [one for one in said if accepts(number, text, answer(one))] == ["I-17"]
    text = "Invoice of I-17\nOf order A-9\nPay this invoice to account X-55"
    assert [one for one in said if accepts(number, text, answer(one))] == ["I-17", "X-55"]
    numbered = schema(type="id", near=["invoice n", "invoice"])
    for text in (
        "INVOICE NUMBER\nINV-77\nPlease pay this invoice 30 days after receipt",
        "Invoice number   Date\nINV-77   x\nInvoice 1 of 2",
        "Invoice number (please quote): INV-77\nInvoice 1 of 2",
    ):
        assert accepts(numbered, text, answer("INV-77"))
    named = schema(type="id", near=["order", "invoice"])
    assert accepts(named, "Invoice: I-17\nIn order of Z-9", answer("I-17"))
    assert not accepts(named, "Invoice: I-17\nIn order of Z-9", answer("Z-9"))
    assert accepts(schema(type="id", near=["invoice n"]), "paid B-2\nINVOICE N° # I-17  B-2", answer("I-17"))
    assert not accepts(schema(type="id", near=["invoice n"]), "paid B-2\nINVOICE N° # I-17  B-2", answer("B-2"))


STATES = "NEW YORK, York Road 7\nnear Newark, in new  york or in Ohio. NJ"


@pytest.mark.parametrize(
    ("one_of", "values"),
    [
        (["New York", "Ohio"], ["NEW YORK", "new york", "Ohio"]),
        (["york"], ["YORK", "York", "york"]),
        (["NJ", "N"], ["NJ"]),
        (["Ohio."], ["Ohio."]),
        (["Utah"], []),
    ],
)
def test_a_value_may_be_held_to_the_words_of_a_list_as_they_stand(one_of, values):
    task = schema(one_of=one_of)
    said = ["NEW YORK", "new york", "YORK", "York", "york", "New York", "Ohio", "Ohio.", "NJ", "N", "Newark", "Utah"]

    assert [one for one in said if accepts(task, STATES, answer(one))] == values
    assert accepts(task, STATES, answer(None))


def test_many_names_and_long_lines_are_looked_up_soon():
    names = [f"株式会社{chr(0x4E00 + number // 100)}{chr(0x4E00 + number % 100)}" for number in range(10_000)]
    started = time.monotonic()

    assert Places("株式会社東京 " * 2000).spans_of(Extractive(one_of=tuple(names))) == []
    assert Places("a" + " " * 40_000 + "b").line_parts[0].begins == [0, 2]
    assert time.monotonic() - started < 10


def test_a_list_has_the_listed_words_that_stand_in_the_text_and_no_others():
    listed = schema_of({"type": "array", "items": field(one_of=["Acme", "Bolt"]), "x-nightdesk": {"in_order": True}})

    assert accepts(listed, "Bolt pays Acme and Carl", answer(["Bolt", "Acme"]))
    assert not accepts(listed, "Bolt pays Acme and Carl", answer(["Bolt", "Acme", "Carl"]))
    assert not accepts(listed, "Bolt pays Acme and Carl", answer(["Acme", "Bolt"]))
    assert accepts(listed, "nobody pays", answer([]))
    assert not accepts(listed, "nobody pays", answer(["nobody"]))


def test_listed_words_may_stand_beside_others():
    buyer = schema(one_of=["Acme", "Bolt"], near=["buyer"])

    assert accepts(buyer, "Seller: Acme\nBuyer: Bolt", answer("Bolt"))
    assert not accepts(buyer, "Seller: Acme\nBuyer: Bolt", answer("Acme"))
    assert not accepts(buyer, "Seller: Acme\nBuyer: Bolt", answer(None))


def test_a_span_that_is_too_long_stands_beside_nothing():
    short = schema_of(field(type="money", near=["sum"], max_length=4), nullable=True)

    assert accepts(short, "Sum 1,000,000.00\nMilk\nTea 2.00", answer("2.00"))
    assert accepts(short, "Sum 1,000,000.00\nMilk\nTea 2.00", answer(None))


def test_items_of_a_list_are_near_their_words_in_their_own_rows():
    item = {"type": "object", "properties": {"v": field(type="money", near=["net", "gross"])}, "required": ["v"]}
    listed = schema_of({"type": "array", "items": item, "x-nightdesk": {"in_order": True, "within": "line"}})

    assert accepts(listed, "Tea net 2.00 gross 2.40\nMilk 1.00\nRum net 8.00", answer([{"v": "2.00"}, {"v": "8.00"}]))
    assert accepts(
        listed, "Tea net 2.00\nMilk gross 1.00\nRum 8.00", answer([{"v": "2.00"}, {"v": "1.00"}, {"v": "8.00"}])
    )


def test_a_value_is_no_longer_than_the_schema_says():
    task = TaskSchema.from_json(
        {"type": "object", "properties": {"v": {"type": "string", "maxLength": 7, "x-nightdesk": {"extractive": True}}}}
    )
    assert accepts(task, SHOP, answer("Harbour"))
    assert accepts(task, SHOP, answer("9 Quay"))
    assert not accepts(task, SHOP, answer("9 Quay Parade"))


def test_a_line_value_is_a_run_of_whole_lines():
    task = schema(unit="line")
    assert accepts(task, SHOP, answer("9 Quay Parade"))
    assert accepts(task, SHOP, answer('Harbour "Lights" 9 Quay Parade'))
    assert accepts(task, SHOP, answer("9 Quay Parade Whitby YO21"))
    assert not accepts(task, SHOP, answer("9 Quay"))
    assert not accepts(task, SHOP, answer("Quay Parade Whitby YO21"))


def test_lines_with_dates_or_amounts_are_no_names_where_there_are_others():
    task = schema(unit="lines")

    assert not accepts(task, SHOP, answer("Whitby YO21 Total 20.00 EUR 12/07/2024"))
    assert not accepts(task, SHOP, answer("Paid 25.00 EUR 13/07/2024"))
    assert accepts(task, "Paid 25.00 EUR\non 13/07/2024", answer("Paid 25.00 EUR on 13/07/2024"))
    assert accepts(task, "Hall 12, Lot 300\nPaid 25.00", answer("Hall 12, Lot 300"))
    dated = schema(unit="line", near=["period"])
    assert accepts(dated, "Period: from 01/02/2025\nAcme Ltd", answer("from 01/02/2025"))


def test_a_line_value_may_leave_out_a_label_a_number_in_brackets_and_what_stands_apart():
    task = schema(unit="line")
    text = (
        "Supplier: ACME (M) BHD (12-X)\nACME (M) BHD (12-X)\n"
        "KUALA LUMPUR, TEL: 03-40  FAX: 7\n(TESCO)\nat 13:30 h\nDate:  "
    )

    assert accepts(task, "From: Ann Lee <ann@x.example>", answer("Ann Lee"))
    assert accepts(task, text, answer("ACME (M) BHD"))
    assert accepts(task, text, answer("Supplier: ACME (M) BHD (12-X)"))
    assert accepts(task, text, answer("ACME (M) BHD (12-X) KUALA LUMPUR,"))
    assert accepts(task, text, answer("ACME (M) BHD (12-X)"))
    assert not accepts(task, text, answer("03-40"))
    assert accepts(task, text, answer("(TESCO)"))
    assert not accepts(task, text, answer("ACME"))
    assert not accepts(task, text, answer("LUMPUR,"))
    assert not accepts(task, text, answer("30 h"))


@pytest.mark.parametrize(
    "line",
    [
        "Acme Ltd, 9 Elm Road, Whitby",
        "Acme Ltd - 9 Elm Road - Whitby",
        "Acme Ltd · 9 Elm Road · Whitby",
        "Sold to: Acme Ltd, 9 Elm Road",
        "Acme Ltd、9 Elm Road",
    ],
)
def test_of_a_line_that_lists_a_value_may_be_the_first_part(line):
    assert accepts(schema(unit="line"), f"Bill 7\n{line}\nTel 5", answer("Acme Ltd"))
    assert not accepts(schema(unit="line"), f"Bill 7\n{line}\nTel 5", answer("Bill 7 Acme Ltd"))
    assert not accepts(schema(unit="line"), f"Bill 7\n{line}\nTel 5", answer("Acme"))
    assert not accepts(schema(unit="lines"), f"Bill 7\n{line}\nTel 5", answer("Acme Ltd"))


def test_a_name_with_a_comma_is_one():
    assert accepts(schema(unit="line"), "Bill\nEstrela, Lda  NIF 500\nTel 5", answer("Estrela, Lda"))
    assert not accepts(schema(unit="line"), "Bill\nEstrela, Lda  NIF 500\nTel 5", answer("Estrela"))


def test_a_japanese_name_may_stand_without_its_honorific():
    for line in ("株式会社あおば食品\u3000御中", "株式会社あおば食品御中"):
        assert accepts(schema(unit="line"), f"請求書\n{line}\n合計", answer("株式会社あおば食品"))
    assert accepts(schema(unit="line"), "高橋\u3000太郎様", answer("高橋 太郎"))
    assert not accepts(schema(unit="line"), "高橋\u3000太郎様", answer("高橋"))


@pytest.mark.parametrize("unit", ["line", "lines"])
def test_names_and_addresses_hold_no_telephone_number_no_address_of_mail_and_no_account(unit):
    text = "Bill 7\n{}\nEva Holm\n9 Elm Road"

    for line in ("030 123 45 678", "Call 030 123 45 678", "write to eva@x.example", "DE89 3704 0044 0532 0130 00"):
        assert not accepts(schema(unit=unit), text.format(line), answer(line))
        assert accepts(schema(unit=unit), line, answer(line))
        assert accepts(schema(unit=unit), text.format(line), answer("Eva Holm 9 Elm Road"))
    for line in ("Av. Paulista 1000 01310-100 São Paulo", "PO Box 4567 12345-6789", "تهران کد پستی 1193653471"):
        assert accepts(schema(unit=unit), text.format(line), answer(line))
    assert accepts(schema(unit=unit), text.format("Acme Ltd Tel 030 1234 5678"), answer("Acme Ltd"))


def test_a_typed_value_is_a_span_of_its_type_and_the_spans_are_candidates():
    task = schema(type="date")
    assert accepts(task, SHOP, answer("12/07/2024"))
    assert not accepts(task, SHOP, answer("Harbour"))
    cursor = ENGINE.compile(ConstraintSpec(task.json_schema, SHOP)).start()
    assert not cursor.candidates().alternatives  # `{"v": ` is forced and comes first
    for token in cursor.forced():
        cursor.commit(token)
    found = cursor.candidates()
    assert [bytes(one) for one in found.alternatives] == [b'"12/07/2024"', b'"13/07/2024"']
    assert bytes(found.otherwise) == b"null"
    for token in found.alternatives[1]:
        cursor.commit(token)
        assert not cursor.candidates().alternatives
    for token in cursor.forced():
        cursor.commit(token)
    assert cursor.done()


def test_numbers_are_compared_by_the_sum_so_that_a_price_is_no_quantity():
    powers = {}
    for kind in ("number", "money", "date"):
        cursor = ENGINE.compile(ConstraintSpec(schema(type=kind).json_schema, f"{SHOP} 3 of 4, EUR 5.00")).start()
        for token in cursor.forced():
            cursor.commit(token)
        found = cursor.candidates()
        assert len(found.alternatives) > 1
        powers[kind] = found.length_power
    assert powers == {"number": 0.0, "money": 1.0, "date": 1.0}


def test_candidates_on_a_real_vocabulary_begin_where_the_forced_tokens_end(real_vocabulary):
    task = schema(type="date")
    cursor = Engine(real_vocabulary).compile(ConstraintSpec(task.json_schema, SHOP)).start()
    out = []
    while forced := cursor.forced():
        for token in forced:
            cursor.commit(token)
            out.append(token)
    found = cursor.candidates()
    whole = [b'{"v": "12/07/2024"}', b'{"v": "13/07/2024"}']
    assert [real_vocabulary.decode([*out, *one]) for one in found.alternatives] == whole
    assert [[*out, *one] for one in found.alternatives] == [real_vocabulary.encode(text) for text in whole]
    for last in {one[-1] for one in found.alternatives}:
        closing = {real_vocabulary.pieces[token] for token in found.ends[last]}
        assert {b'"', b'"}', b'",'} <= closing
        assert all(piece.startswith(b'"') for piece in closing)
    assert real_vocabulary.decode([*out, *found.otherwise]) == b'{"v": null'


def test_the_token_that_ends_a_value_is_the_one_that_the_model_would_write(real_vocabulary):
    task = TaskSchema.from_json(
        {
            "type": "object",
            "properties": {
                "v": {
                    "anyOf": [{"type": "string", "x-nightdesk": {"extractive": True, "type": "date"}}, {"type": "null"}]
                },
                "w": {"type": "string", "enum": ["one", "other"]},
            },
            "required": ["v", "w"],
            "additionalProperties": False,
        }
    )
    cursor = Engine(real_vocabulary).compile(ConstraintSpec(task.json_schema, SHOP)).start()
    while forced := cursor.forced():
        for token in forced:
            cursor.commit(token)

    found = cursor.candidates()

    assert {real_vocabulary.pieces[one[-1]] for one in found.alternatives} == {b'",'}
    for token in found.alternatives[0]:
        cursor.commit(token)
    assert real_vocabulary.decode(cursor.forced()).startswith(b' "w": "')


def test_a_typed_field_without_a_span_points_at_any_words():
    assert accepts(schema(type="iban"), SHOP, answer("Harbour"))


def test_lists_and_nested_objects_point_too_and_the_rest_stays_free():
    task = TaskSchema.from_json(
        {
            "type": "object",
            "properties": {
                "kind": {"enum": ["bill", "receipt"]},
                "items": {
                    "type": "array",
                    "maxItems": 2,
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string", "x-nightdesk": {"extractive": True}},
                            "n": {"type": ["integer", "null"], "minimum": 1},
                        },
                        "required": ["name", "n"],
                    },
                },
                "tags": {"type": "array", "minItems": 1, "items": {"type": "string", "x-nightdesk": {"unit": "line"}}},
                "note": {"type": "object", "properties": {"x": {"type": "boolean"}, "y": {"type": "string"}}},
            },
            "required": ["kind", "items", "tags", "note"],
        }
    )
    good = {
        "kind": "bill",
        "items": [{"name": "Quay", "n": 3}, {"name": "Whitby YO21", "n": None}],
        "tags": ["9 Quay Parade"],
        "note": {"x": True, "y": "free"},
    }
    text = json.dumps(good, ensure_ascii=False)
    assert accepts(task, SHOP, text)
    assert not accepts(task, SHOP, text.replace("Quay", "Key"))
    assert not accepts(task, SHOP, text.replace("3}", "0}"))
    assert not accepts(task, SHOP, json.dumps({**good, "items": good["items"] * 2}))
    assert not accepts(task, SHOP, json.dumps({**good, "tags": []}))
    assert close(task, text[:60]).values["kind"] == "bill"


BILL = """Bill 7
Tea 2.00
Cake 3.50
Tea 2.00
Sum 7.50"""


def bill(**notes: object) -> TaskSchema:
    item = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "x-nightdesk": {"extractive": True}},
            "price": {"type": "string", "x-nightdesk": {"type": "money"}},
        },
        "required": ["name", "price"],
    }
    return TaskSchema.from_json(
        {
            "type": "object",
            "properties": {
                "items": {"type": "array", "items": item, "x-nightdesk": notes},
                "sum": {"type": "string", "x-nightdesk": {"type": "money"}},
            },
            "required": ["items", "sum"],
        }
    )


def items(*pairs: tuple[str, str]) -> str:
    return json.dumps({"items": [{"name": name, "price": price} for name, price in pairs], "sum": "7.50"})


ORDERED = bill(in_order=True)
HELD = bill(in_order=True, within="line")


@pytest.mark.parametrize("task", [ORDERED, HELD])
def test_ordered_items_point_behind_one_another(task):
    assert accepts(task, BILL, items())
    assert accepts(task, BILL, items(("Tea", "2.00"), ("Cake", "3.50"), ("Tea", "2.00")))
    assert not accepts(task, BILL, items(("Cake", "3.50"), ("Tea", "2.00"), ("Tea", "2.00")))
    assert not accepts(task, BILL, items(("Tea", "2.00"), ("Tea", "2.00"), ("Tea", "2.00")))


def test_an_ordered_list_ends_when_nothing_is_left():
    task = bill(in_order=True)
    cursor = ENGINE.compile(ConstraintSpec(task.json_schema, BILL)).start()
    for token in b'{"items": [{"name": "Sum", "price": "7.50"}':
        cursor.commit(token)
    assert bytes(cursor.forced()).startswith(b'], "sum": "')


def test_an_item_held_to_a_line_takes_all_its_words_from_it():
    assert accepts(HELD, BILL, items(("Cake", "3.50")))
    assert not accepts(HELD, BILL, items(("Cake", "2.00")))
    assert not accepts(HELD, BILL, items(("Cake 3.50 Tea", "2.00")))
    assert accepts(bill(within="line"), BILL, items(("Cake", "3.50"), ("Tea", "2.00"), ("Tea", "2.00")))
    assert not accepts(bill(within="line"), BILL, items(("Tea", "3.50")))


def test_an_item_held_to_a_block_takes_all_its_words_from_it():
    source = "Tea\n2.00\n\nCake\n3.50"
    task = bill(in_order=True, within="block")
    assert accepts(task, source, items(("Tea", "2.00"), ("Cake", "3.50")).replace("7.50", "3.50"))
    assert not accepts(task, source, items(("Tea", "3.50")).replace("7.50", "3.50"))


def test_ordered_strings_point_behind_one_another():
    node = {"type": "string", "x-nightdesk": {"extractive": True}}
    task = TaskSchema.from_json(
        {"type": "object", "properties": {"v": {"type": "array", "items": node, "x-nightdesk": {"in_order": True}}}}
    )
    assert accepts(task, "a b a", answer(["a", "b", "a"]))
    assert not accepts(task, "a b a", answer(["b", "a", "b"]))
    assert accepts(task, "a b a", answer(None))


def test_candidates_of_an_ordered_item_are_the_spans_that_are_left(real_vocabulary):
    cursor = Engine(real_vocabulary).compile(ConstraintSpec(HELD.json_schema, BILL)).start()
    for token in real_vocabulary.encode(b'{"items": [{"name": "Cake", "price": "3.50"'):
        cursor.commit(token)
    out = bytearray()
    for token in (*real_vocabulary.encode(b"}"), *real_vocabulary.encode(b', {"name":')):
        cursor.commit(token)
        out += real_vocabulary.pieces[token]
    assert not cursor.done()
    assert cursor.mask().any()


def test_words_within_other_words_are_no_place_of_an_ordered_item():
    node = {"type": "string", "x-nightdesk": {"extractive": True}}
    task = TaskSchema.from_json(
        {"type": "object", "properties": {"v": {"type": "array", "items": node, "x-nightdesk": {"in_order": True}}}}
    )
    assert accepts(task, "xab ab ab", answer(["ab", "ab"]))
    assert not accepts(task, "xab ab ab", answer(["ab", "ab", "ab"]))


def test_lines_of_an_item_held_to_a_block_are_lines_of_that_block():
    item = {
        "type": "object",
        "properties": {"a": {"type": "string", "x-nightdesk": {"unit": "line"}}},
        "required": ["a"],
    }
    notes = {"within": "block"}
    task = TaskSchema.from_json(
        {"type": "object", "properties": {"v": {"type": "array", "items": item, "x-nightdesk": notes}}}
    )
    source = "Tea\nMint\n\nCake"
    assert accepts(task, source, answer([{"a": "Tea Mint"}, {"a": "Cake"}]))
    assert not accepts(task, source, answer([{"a": "Mint Cake"}]))


PARTIES = "Letter to Porto\nAnn Lee ann@sea.example 12 34\nBo Ray\nbo@sea.example\n\n56 78"


def test_an_object_held_to_a_line_takes_all_its_words_from_it():
    properties = {"name": field(), "mail": field(type="email"), "phone": {"anyOf": [field(), {"type": "null"}]}}

    def says(name: str, mail: str, phone: str | None, **notes: object) -> bool:
        party = {"type": "object", "properties": properties, "required": [*properties], "x-nightdesk": notes}
        return accepts(schema_of(party), PARTIES, answer({"name": name, "mail": mail, "phone": phone}))

    assert says("Ann Lee", "ann@sea.example", "12 34", within="line")
    assert says("Ann Lee", "ann@sea.example", None, within="line")
    assert not says("Bo Ray", "bo@sea.example", None, within="line")
    assert not says("Ann Lee", "ann@sea.example", "56 78", within="line")
    assert says("Bo Ray", "bo@sea.example", "12 34", within="block")
    assert not says("Bo Ray", "bo@sea.example", "56 78", within="block")
    assert says("Bo Ray", "bo@sea.example", "56 78")


def test_an_object_that_no_line_holds_is_null_or_not_held():
    apart = "Ann\nann@sea.example\n1 May 2024"
    properties = {"mail": field(type="email"), "day": field(type="date")}
    node = {"type": "object", "properties": properties, "required": [*properties], "x-nightdesk": {"within": "line"}}
    given = answer({"mail": "ann@sea.example", "day": "1 May 2024"})

    assert accepts(schema_of(node, nullable=True), apart, answer(None))
    assert not accepts(schema_of(node, nullable=True), apart, given)
    assert accepts(schema_of(node), apart, given)
    assert accepts(schema_of(node, nullable=True), apart.replace("example\n", "example "), given)


def test_the_dates_of_an_object_held_to_a_line_are_candidates():
    properties = {"what": field(), "day": {"anyOf": [field(type="date"), {"type": "null"}]}}
    node = {"type": "object", "properties": properties, "required": [*properties], "x-nightdesk": {"within": "line"}}
    source = "Sent 1 May 2024\nDue 2 May 2024 or 3 May 2024"
    cursor = ENGINE.compile(ConstraintSpec(schema_of(node).json_schema, source)).start()
    for token in b'{"v": {"what": "Due", "day": ':
        cursor.commit(token)

    assert [bytes(one) for one in cursor.candidates().alternatives] == [b'"2 May 2024"', b'"3 May 2024"']


TABLE = (
    "Corner Shop\nInvoice 12\n\nItem Qty Each Amount\nTea 2 1.00 2.00\nCake 1 3.50 3.50\n(slice)\nTea 2 1.00 2.00\n"
    "Net 7.50\nTotal 8.10\n"
)
CELLS = "Corner Shop\nTea\n2\n1.00\n2.00\nCake\n1\n3.50\n3.50\nScone\n3\n1.20\n3.60\nTotal\n7.50\n"


def test_a_list_of_rows_that_begins_with_a_table_goes_on_to_its_last_row():
    task = bill(in_order=True, within="row")
    whole = (("Tea", "2.00"), ("Cake", "3.50"), ("Tea", "2.00"))

    assert accepts(task, TABLE, items(*whole))
    assert accepts(task, TABLE, items())
    assert not accepts(task, TABLE, items(*whole, ("Net", "7.50")))
    assert not accepts(task, TABLE, items(("Total", "8.10")))
    assert not accepts(task, TABLE, items(*whole[:1]))
    assert not accepts(task, TABLE, items(*whole[:2]))
    assert not accepts(task, TABLE, items(*whole[1:]))
    assert not accepts(task, TABLE, items(("Tea", "3.50")))


def test_an_item_of_a_row_of_which_nothing_is_said_takes_that_row():
    item = {
        "type": "object",
        "properties": {
            "name": {"type": ["string", "null"], "x-nightdesk": {"extractive": True}},
            "price": {"type": ["string", "null"], "x-nightdesk": {"type": "money"}},
        },
        "required": ["name", "price"],
    }
    rows = {"type": "array", "items": item, "x-nightdesk": {"in_order": True, "within": "row"}}
    task = TaskSchema.from_json({"type": "object", "properties": {"items": rows}, "required": ["items"]})
    source = "Tea 2.00 4.00\nMilk 1.00 3.00\nBread 5.00 10.00\nTotal 17.00"

    def said(*names: str | None) -> str:
        return json.dumps({"items": [{"name": name, "price": None} for name in names]})

    assert accepts(task, source, said(None, None, None))
    assert accepts(task, source, said("Tea", None, "Bread"))
    assert not accepts(task, source, said(None, None, None, None))
    assert not accepts(task, source, said("Tea", None, "Milk"))  # whose row is taken


def test_a_list_over_hundreds_of_rows_is_within_the_limits(real_vocabulary):
    rows = "\n".join(f"Session number {i} with the team  {i}.00" for i in range(200))
    task = load_task("invoices").schema
    cursor = (
        Engine(real_vocabulary).compile(ConstraintSpec(task.json_schema, f"Invoice 77\n{rows}\nTotal 9.00")).start()
    )
    first = {"description": "Session number 0 with the team", "quantity": None, "amount": "0.00"}
    head = {"number": "77", "date": None, "due_date": None, "supplier": None, "customer": None, "currency": None}
    begun = json.dumps({**head, "total": "9.00", "items": [first]})[:-2]

    for token in real_vocabulary.encode(begun.encode()):
        cursor.mask()
        cursor.commit(token)
    assert cursor.mask().any()


def test_cells_that_stand_one_a_line_are_one_row():
    task = bill(in_order=True, within="row")

    assert accepts(task, CELLS, items(("Tea", "2.00"), ("Cake", "3.50"), ("Scone", "3.60")))
    assert not accepts(task, CELLS, items(("Tea", "2.00"), ("Cake", "3.50")))
    assert not accepts(task, CELLS, items(("Tea", "3.50"), ("Cake", "3.50"), ("Scone", "3.60")))


def test_a_text_without_rows_holds_a_list_of_rows_to_its_words():
    task = bill(in_order=True, within="row")

    assert accepts(task, "Tea and cake", items(("Tea", "cake")).replace("7.50", "and"))
    assert accepts(task, "Tea 2.00\nCake 7.50", items(("Tea", "2.00"), ("Cake", "7.50")))
    assert not accepts(task, "Tea 2.00\nCake 7.50", items(("Tea", "7.50")))


# --- lists in order, and the tokens of real vocabularies


def test_a_token_may_hold_the_end_of_an_item_and_the_comma_behind_it(real_vocabulary):
    cursor = Engine(real_vocabulary).compile(ConstraintSpec(HELD.json_schema, BILL)).start()
    for token in real_vocabulary.encode(b'{"items": [{"name": "Cake", "price": "3.50"'):
        cursor.commit(token)

    (token,) = real_vocabulary.encode(b"},")
    assert np.unpackbits(cursor.mask().view(np.uint8), bitorder="little")[token]
    cursor.commit(token)
    assert b"".join(real_vocabulary.pieces[token] for token in cursor.forced()).startswith(b' {"name": "')


@given(st.data(), NASTY)
@settings(max_examples=25, deadline=None)
def test_behind_every_item_but_the_last_possible_one_the_list_may_go_on(data, source):
    words = [word for word in fold(source).text.split(" ") if word]
    node = {"type": "string", "maxLength": 400, "x-nightdesk": {"extractive": True}}
    task = TaskSchema.from_json(
        {
            "type": "object",
            "properties": {"v": {"type": "array", "items": node, "x-nightdesk": {"in_order": True}}},
            "required": ["v"],
        }
    )
    parts = data.draw(st.integers(1, max(len(words), 1)).map(lambda n: [words[:n], words[n:]]))
    said = [" ".join(part) for part in parts if part]

    assert accepts(task, source, answer(said))
    assert accepts(task, source, answer(said[:1]))


# --- how a value that is being copied goes on

POINTED = {"type": "string", "x-nightdesk": {"extractive": True}}


def goes_on(task: TaskSchema, text: str, source: str = SHOP, most: int = 40) -> str:
    cursor = ENGINE.compile(ConstraintSpec(task.json_schema, source)).start()
    for byte in text.encode():
        cursor.commit(byte)
    return bytes(cursor.continuation(most)).decode(errors="replace")


@pytest.mark.parametrize(
    ("begun", "following"),
    [
        ('{"v": "9 Q', "uay Parade"),
        ('{"v": "9 Quay', " Parade"),
        ('{"v": "9 Quay Parade', ""),  # the line ends here
        ('{"v": "9 Quay Parade ', "Whitby YO21"),
        ('{"v": "Harbour', ' \\"Lights\\"'),  # as JSON writes it
        ('{"v": "Harbour \\', ""),  # within an escape
        ('{"v": "', ""),  # no word yet
        ('{"v": n', ""),  # null
        ("", ""),
    ],
)
def test_a_value_that_is_copied_goes_on_to_the_end_of_its_line(begun, following):
    assert goes_on(schema(), begun) == following
    assert goes_on(schema(), begun, most=3) == following[:3]


def test_from_a_few_places_the_one_that_the_grammar_allows_longest_is_taken_and_from_many_none():
    assert goes_on(schema(), '{"v": "a', source="a b\na c d") == " c d"
    assert goes_on(schema(), '{"v": "a', source="a b\na c\na d e\na f\na b c") == ""
    short = TaskSchema.from_json(
        {"type": "object", "properties": {"v": {"type": "string", "maxLength": 6, "x-nightdesk": {"extractive": True}}}}
    )
    assert goes_on(short, '{"v": "9') == " Quay"


def test_what_is_not_copied_has_no_continuation():
    free = TaskSchema.from_json({"type": "object", "properties": {"v": {"type": "string"}, "w": POINTED}})
    assert goes_on(free, '{"v": "9 Q') == ""
    assert goes_on(free, '{"v": "9 Q", "w": "9 Q') == "uay Parade"


@given(st.data(), NASTY)
@settings(max_examples=30, deadline=None)
def test_a_continuation_can_be_committed_and_changes_nothing(data, source):
    cursor = ENGINE.compile(ConstraintSpec(schema().json_schema, source)).start()
    while not cursor.done():
        before = bytes(cursor.mask())
        guess = cursor.continuation(8)
        assert bytes(cursor.mask()) == before
        assert len(guess) <= 8
        following = list(guess) if guess and data.draw(st.booleans()) else list(cursor.forced())
        if not following:
            mask = cursor.mask()
            following = [data.draw(st.sampled_from([t for t in range(256) if mask[t // 32] >> (t % 32) & 1]))]
        for token in following:
            cursor.commit(token)


def test_lines_of_many_narrow_cells_are_not_too_deep_for_the_grammar():
    task = TaskSchema.from_json(
        {"type": "object", "properties": {"v": {"type": "string", "x-nightdesk": {"unit": "lines"}}}}
    )
    source = "\n".join("  ".join(f"{letter}{row}" for letter in "abcdefgh") for row in range(5))
    words = fold(source).text.split(" ")

    assert accepts(task, source, answer(" ".join(words)))
    assert accepts(task, source, answer(" ".join(words[:9])))
    assert accepts(task, source, answer(" ".join(words[8:31])))
    assert not accepts(task, source, answer(" ".join(words[1:10])))

"""An invoice with its line items."""

from typing import Annotated

from pydantic import BaseModel, Field

from pipeline.schema import Extractive, InOrder

NUMBER = (
    "invoice no", "invoice number", "invoice nr", "invoice #", "rechnungsnummer", "rechnungs-nr", "rechnung nr",
    "facture n", "numéro de facture", "factura n", "número de factura", "fatura n", "fattura n", "numero fattura",
    "factuurnummer", "factuur nr", "faktura nr", "numer faktury", "счет №", "счёт №", "رقم الفاتورة", "发票号",
    "請求番号", "請求書番号", "invoice", "rechnung", "facture", "factura", "fatura", "fattura", "factuur", "faktura",
    "счет", "счёт", "فاتورة", "चालान", "发票", "請求書", "credit note", "gutschrift", "avoir", "nota de crédito",
    "nota di credito", "creditnota",
)  # fmt: skip
TOTAL = (
    "grand total", "total due", "total payable", "gesamtbetrag", "rechnungsbetrag", "endbetrag", "zu zahlen",
    "total ttc", "à payer", "a pagar", "da pagare", "te betalen", "do zapłaty", "к оплате", "genel toplam", "ödenecek",
    "شامل الضريبة", "देय", "税込", "應付", "应付", "payable",
    "total", "gesamt", "summe", "montant", "importe", "importo", "totaal", "razem", "suma", "итог", "toplam",
    "الإجمالي", "المجموع", "कुल", "合计", "总计", "合計", "総計", "합계", "amount due", "balance due",
)  # fmt: skip
CUSTOMER = (
    "bill to", "billed to", "sold to", "invoice to", "customer:", "client:", "kunde:", "rechnungsempfänger",
    "facturé à", "cliente", "klant:", "nabywca", "покупатель", "плательщик", "заказчик", "müşteri", "العميل", "ग्राहक",
    "客户", "お客様", "for:", "to:",
    "ship to", "deliver to", "delivery address", "lieferadresse", "adresse de livraison", "dirección de entrega",
    "endereço de entrega", "indirizzo di consegna", "afleveradres", "adres dostawy", "адрес доставки",
)  # fmt: skip
DATE = (
    "invoice date", "date of invoice", "date of issue", "issue date", "rechnungsdatum", "date de facture",
    "date d'émission", "fecha de factura", "fecha de emisión", "data da fatura", "data de emissão", "data fattura",
    "data emissione", "factuurdatum", "data wystawienia", "дата счета", "дата счёта", "fatura tarihi", "تاريخ الفاتورة",
    "चालान तिथि", "开票日期", "請求日", "発行日",
)  # fmt: skip
DUE = (
    "due", "pay by", "payable", "fällig", "zahlbar", "zahlungsziel", "échéance", "payer avant", "vencimiento", "vence",
    "vencimento", "scadenza", "entro il", "vervaldatum", "uiterlijk", "termin płatności", "срок", "оплатить до", "vade",
    "son ödeme", "الاستحقاق", "देय", "到期", "支払期限", "支払期日", "납기",
)  # fmt: skip
"""Words beside which these values stand, the surest first; for other languages add yours."""


DESCRIPTION = (
    "description", "item", "article", "service", "work", "bezeichnung", "beschreibung", "artikel", "leistung",
    "désignation", "descripción", "concepto", "descrição", "designação", "artigo", "serviço", "descrizione",
    "omschrijving", "opis", "nazwa", "наименование", "услуга", "açıklama", "الوصف", "विवरण", "品名", "名称",
)  # fmt: skip
QUANTITY = (
    "quantity", "qty", "quant", "no.", "hours", "menge", "anzahl", "quantité", "qté", "cantidad", "cant", "quantidade",
    "qtd", "quantità", "aantal", "ilość", "количество", "кол-во", "miktar", "adet", "الكمية", "मात्रा", "数量",
)  # fmt: skip
AMOUNT = (
    "line total", "total", "amount", "subtotal", "gesamt", "betrag", "montant", "importe", "valor", "importo", "bedrag",
    "wartość", "kwota", "сумма", "стоимость", "tutar", "المبلغ", "राशि", "金額", "金额",
)  # fmt: skip
"""Words in the header of the table of items, the surest first."""


class Item(BaseModel):
    """One line of the invoice: what was sold, how much of it, and what that line costs."""

    description: Annotated[str, Extractive(unit="line", near=DESCRIPTION)] = Field(
        max_length=80, description="what was sold, as printed"
    )
    quantity: Annotated[str | None, Extractive("number", near=QUANTITY)] = Field(
        max_length=12, description="how many or how much, as printed, without the unit"
    )
    amount: Annotated[str | None, Extractive("money", near=AMOUNT)] = Field(
        max_length=20, description="amount of the whole line, not the price of one, without the currency sign"
    )


class Invoice(BaseModel):
    """One invoice. A value that the invoice does not show is null."""

    number: Annotated[str | None, Extractive("id", near=NUMBER)] = Field(
        max_length=30, description="number of the invoice"
    )
    date: Annotated[str | None, Extractive("date", near=DATE)] = Field(
        max_length=30, description="day on which the invoice was issued, as printed"
    )
    due_date: Annotated[str | None, Extractive("date", near=DUE)] = Field(
        max_length=30, description="last day for the payment, as printed; null if the invoice names no day"
    )
    supplier: Annotated[str | None, Extractive(unit="line")] = Field(
        max_length=80, description="who sends the invoice and is to be paid"
    )
    customer: Annotated[str | None, Extractive(unit="line", near=CUSTOMER)] = Field(
        max_length=80, description="who receives the invoice and has to pay"
    )
    currency: Annotated[str | None, Extractive("currency")] = Field(
        max_length=12, description="currency of the amounts, as printed: its sign or its code"
    )
    total: Annotated[str | None, Extractive("money", near=TOTAL)] = Field(
        max_length=20, description="total with tax, before payments already made, without the currency sign"
    )
    items: Annotated[list[Item], InOrder(within="row")] = Field(
        max_length=40,
        description="the lines of the invoice from top to bottom, without sums, tax or shipping below them",
    )

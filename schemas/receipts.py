"""A till receipt: who sold, when, where, for how much."""

from typing import Annotated

from pydantic import BaseModel, Field

from pipeline.schema import Extractive

TOTAL = (
    "grand total", "total due", "total payable", "gesamtbetrag", "rechnungsbetrag", "endbetrag", "zu zahlen",
    "total ttc", "à payer", "a pagar", "da pagare", "te betalen", "do zapłaty", "к оплате", "genel toplam", "ödenecek",
    "شامل الضريبة", "देय", "税込", "應付", "应付", "amount due", "balance due",
    "total", "gesamt", "summe", "montant", "importe", "importo", "totaal", "razem", "suma", "итог", "toplam",
    "الإجمالي", "المجموع", "कुल", "合计", "总计", "合計", "総計", "합계",
)  # fmt: skip
"""Words beside which the sum stands, the surest first; of a receipt in another language add yours."""


class Receipt(BaseModel):
    """One receipt. A value that the receipt does not show is null."""

    company: Annotated[str | None, Extractive(unit="line")] = Field(
        max_length=80, description="name of the shop or company that issued the receipt, as printed"
    )
    date: Annotated[str | None, Extractive("date")] = Field(
        max_length=30, description="day of the purchase, as printed, without the time"
    )
    address: Annotated[str | None, Extractive(unit="lines")] = Field(
        max_length=160, description="street and town of the shop, as printed; may run over several lines"
    )
    total: Annotated[str | None, Extractive("money", near=TOTAL)] = Field(
        max_length=20, description="amount due after discounts, with tax, without the currency sign"
    )

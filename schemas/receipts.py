"""A till receipt: who sold, when, where, for how much."""

from typing import Annotated

from pydantic import BaseModel, Field

from pipeline.schema import Extractive

TOTAL = (
    "total", "gesamt", "summe", "zu zahlen", "montant", "à payer", "importe", "a pagar", "importo", "totaal",
    "te betalen", "razem", "suma", "do zapłaty", "итог", "к оплате", "toplam", "ödenecek", "الإجمالي", "المجموع",
    "कुल", "合计", "总计", "合計", "総計", "합계",
)  # fmt: skip
"""Words beside which the sum stands; of a receipt in another language add yours."""


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

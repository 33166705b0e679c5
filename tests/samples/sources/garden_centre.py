"""samples/receipts/ballyfern-garden.pdf: a till roll, made with fpdf2 and its core fonts."""

import datetime
import sys

from fpdf import FPDF

LINES = [
    ("c", "BALLYFERN GARDEN CENTRE LTD", "B", 11),
    ("c", "Old Mill Lane, Ballyfern", "", 9),
    ("c", "Co. Wicklow A67 X000", "", 9),
    ("c", "Tel (01) 000 4417   VAT IE0004417B", "", 8),
    ("", "", "", 6),
    ("lr", "Sat 24 May 2025  11:32", "Till 3  #60418", 8),
    ("", "", "", 4),
    ("lr", "3 x Peat-free compost 50L", "26.97", 9),
    ("lr", "   MULTIBUY 3 for 2", "-8.99", 9),
    ("lr", "4 x Lavender 9cm pot", "13.96", 9),
    ("lr", "1 x Terracotta planter 40cm", "22.50", 9),
    ("rule", "", "", 4),
    ("lrb", "TOTAL DUE", "EUR 54.44", 11),
    ("lr", "Gift voucher 8802", "10.00", 9),
    ("lr", "Paid by card", "44.44", 9),
    ("lr", "VAT @ 13.5% incl.", "6.48", 8),
    ("", "", "", 6),
    ("c", "You saved 8.99 today", "", 9),
    ("c", "Plants guaranteed until 24 May 2026", "", 8),
]


def main(target: str) -> None:
    pdf = FPDF(format=(80, 118), unit="mm")
    pdf.set_creation_date(datetime.datetime(2025, 5, 24, 11, 32, tzinfo=datetime.UTC))
    pdf.set_producer("fpdf2")
    pdf.set_auto_page_break(False)
    pdf.set_margin(5)
    pdf.add_page()
    for kind, left, right, size in LINES:
        height = size * 0.46
        if kind == "c":
            pdf.set_font("helvetica", style=right, size=size)
            pdf.cell(0, height, left, align="C", new_x="LMARGIN", new_y="NEXT")
        elif kind in ("lr", "lrb"):
            pdf.set_font("courier", style="B" if kind == "lrb" else "", size=size - 1)
            pdf.cell(46, height, left)
            pdf.cell(0, height, right, align="R", new_x="LMARGIN", new_y="NEXT")
        else:
            if kind == "rule":
                pdf.line(5, pdf.get_y() + 1, 75, pdf.get_y() + 1)
            pdf.ln(height)
    pdf.output(target)


main(sys.argv[1])

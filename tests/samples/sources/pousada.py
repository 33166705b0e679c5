"""samples/receipts/pousada-zezere.pdf: an A5 invoice-receipt with a table, made with reportlab."""

import sys

from reportlab.lib import colors
from reportlab.lib.pagesizes import A5
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

small = ParagraphStyle("small", fontName="Helvetica", fontSize=8, leading=10)
body = ParagraphStyle("body", parent=small, fontSize=9, leading=12)
head = ParagraphStyle("head", parent=body, fontName="Helvetica-Bold", fontSize=13, leading=17)

rows = [
    ["Descrição", "Qtd", "Preço", "Valor"],
    ["Alojamento quarto duplo, c/ pequeno-almoço", "3", "92,00", "276,00"],
    ["Jantar menu da casa", "2", "24,50", "49,00"],
    ["Taxa municipal turística (2 pess. x 3 noites)", "6", "1,50", "9,00"],
    ["", "", "Total (EUR)", "334,00"],
]
table = Table(rows, colWidths=[205, 30, 60, 55])
table.setStyle(
    TableStyle(
        [
            ("FONT", (0, 0), (-1, -1), "Helvetica", 8),
            ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 8),
            ("FONT", (2, -1), (-1, -1), "Helvetica-Bold", 9),
            ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
            ("LINEBELOW", (0, 0), (-1, 0), 0.6, colors.black),
            ("LINEABOVE", (2, -1), (-1, -1), 0.6, colors.black),
        ]
    )
)
story = [
    Paragraph("Pousada Vale do Zêzere, Lda.", head),
    Paragraph("Estrada Nacional 238, km 41", small),
    Paragraph("6100-999 Sertã", small),
    Paragraph("NIPC 500 000 719 &nbsp;&nbsp; Registo n.º 0041/ET", small),
    Spacer(1, 14),
    Paragraph("Fatura-Recibo FR 2025/00871 &nbsp;&nbsp; Original", body),
    Paragraph("Emitida em 19-08-2025", body),
    Paragraph("Exmo. Sr. Joaquim Bettencourt, NIF 200 000 119", body),
    Paragraph("Rua do Monte da Guia 12, 9900-999 Horta", body),
    Paragraph("Entrada 16-08-2025 &nbsp;&nbsp; Saída 19-08-2025 &nbsp;&nbsp; Quarto 7", body),
    Spacer(1, 10),
    table,
    Spacer(1, 14),
    Paragraph("Recebemos por transferência, IBAN PT50 0000 0000 0000 0000 0001 2. IVA 6%: 15,62; 13%: 5,64.", small),
    Paragraph("Documento processado por programa certificado n.º 0000/AT", small),
]
SimpleDocTemplate(
    sys.argv[1],
    pagesize=A5,
    leftMargin=30,
    rightMargin=30,
    topMargin=34,
    bottomMargin=30,
    invariant=1,
    title="FR 2025/00871",
    author="Pousada Vale do Zêzere",
).build(story)

"""samples/invoices/thornby-timber.pdf: nine items, header in two columns, made with reportlab's canvas."""

import sys

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

ITEMS = [
    ("C24 treated joist 47x150 4.8m", "12", "21.40", "256.80"),
    ("Structural plywood 18mm 2440x1220", "6", "38.25", "229.50"),
    ("Decking board 28x145 3.6m", "40", "9.85", "394.00"),
    ("Joist hanger 47mm", "24", "1.62", "38.88"),
    ("Coach screw M10x100, box of 50", "2", "23.70", "47.40"),
    ("Weed membrane 2x25m", "1", "31.95", "31.95"),
    ("Oak post 150x150 2.4m", "4", "58.00", "232.00"),
    ("Handrail 45x70 4.2m", "5", "17.30", "86.50"),
    ("Delivery, crane off-load", "1", "35.00", "35.00"),
]

canvas = Canvas(sys.argv[1], pagesize=A4, invariant=1)
canvas.setTitle("Invoice TT-24-1187")


def put(x: float, y: float, text: str, font: str = "Times-Roman", size: float = 10, right: bool = False) -> None:
    canvas.setFont(font, size)
    (canvas.drawRightString if right else canvas.drawString)(x * mm, y * mm, text)


put(20, 275, "Thornby Timber & Joinery Ltd", "Times-Bold", 17)
put(20, 269, "Unit 3, Sidings Yard, Kettlemere KM4 0ZZ   accounts@thornbytimber.example")
put(20, 252, "Bill to", "Times-Italic")
put(20, 247, "Westacre Primary School", "Times-Bold")
put(20, 242, "The Bursar, Glebe Road, Westacre KM7 0ZZ")
put(120, 252, "Invoice no.")
put(155, 252, "TT-24-1187", "Times-Bold")
put(120, 247, "Invoice date")
put(155, 247, "18 November 2024")
put(120, 242, "Payment due")
put(155, 242, "18 December 2024")
put(120, 237, "Your order")
put(155, 237, "WPS/PO/0330 of 4 November 2024")
y = 222.0
for x, text, right in ((20, "Description", False), (130, "Qty", True), (158, "Unit £", True), (190, "Amount £", True)):
    put(x, y, text, "Times-Bold", 10, right)
canvas.line(20 * mm, (y - 2) * mm, 190 * mm, (y - 2) * mm)
for description, quantity, unit, amount in ITEMS:
    y -= 7
    put(20, y, description)
    put(130, y, quantity, right=True)
    put(158, y, unit, right=True)
    put(190, y, amount, right=True)
for label, value, font in (
    ("Net", "1,352.03", "Times-Roman"),
    ("VAT 20%", "270.41", "Times-Roman"),
    ("Total", "£1,622.44", "Times-Bold"),
):
    y -= 8
    put(158, y, label, font, 10, True)
    put(190, y, value, font, 10, True)
put(20, 40, "Please pay to sort code 00-00-00, account 00041187. Goods stay ours until paid for.", size=9)
put(
    20,
    35,
    "Timber is sawn to order and cannot be returned. Registered in England 00041187. VAT GB 000 0411 87.",
    size=9,
)
canvas.save()

"""samples/contracts/saltmarsh-stewardship.pdf: four pages, no term and no governing law, made with reportlab."""

import sys

from reportlab.lib.enums import TA_CENTER
from reportlab.lib.pagesizes import LETTER
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer

body = ParagraphStyle("body", fontName="Times-Roman", fontSize=11, leading=15, spaceAfter=8)
head = ParagraphStyle("head", parent=body, fontName="Times-Bold", spaceBefore=8)
title = ParagraphStyle("title", parent=head, fontSize=15, leading=20, alignment=TA_CENTER, spaceAfter=20)

PAGES = [
    [
        (title, "STEWARDSHIP AGREEMENT<br/>Heron Point Salt Marsh"),
        (
            body,
            "This Stewardship Agreement is made on the 19th day of September, 2023, among the Heron Point Land "
            "Trust, a charitable trust (the “Trust”), Bluestem Ecological Services Ltd. (the “Steward”), and the "
            "Town of Little Harbour (the “Town”), together the “Parties”.",
        ),
        (head, "1. Why we make this agreement"),
        (
            body,
            "The Trust owns forty-four hectares of salt marsh at Heron Point, shown on the map in Schedule 1. The "
            "Town owns the causeway and the car park. The Steward has looked after marshes on this coast for "
            "many years. The Parties want the marsh to be healthy, open to visitors, and cared for by one hand.",
        ),
        (head, "2. What the Steward does"),
        (
            body,
            "The Steward shall (a) walk the whole boundary once a month and after each storm; (b) clear the tide "
            "gates of weed and rubbish; (c) cut the reed on the landward side in rotation, one fifth each "
            "winter, between 1 November and 28 February; (d) count wintering birds in January and breeding birds "
            "in May; and (e) keep the boardwalk safe to walk on.",
        ),
        (
            body,
            "The Steward may engage volunteers and is responsible for their training and safety. Chain saws may be "
            "used only by persons who hold a valid certificate.",
        ),
    ],
    [
        (head, "3. What the Trust does"),
        (
            body,
            "The Trust pays the Steward 18,400 dollars a year in four equal parts, on the first day of January, "
            "April, July and October, and the cost of materials against receipts up to 6,000 dollars a year. It "
            "insures the boardwalk and the bird hide. It answers the Steward’s questions within ten days.",
        ),
        (head, "4. What the Town does"),
        (
            body,
            "The Town keeps the causeway passable, empties the bins in the car park twice a week from May to "
            "September, and lets the Steward store tools in the pump house without charge. The Town closes the "
            "car park when the Steward tells it that the tide will cover the causeway.",
        ),
        (head, "5. Visitors"),
        (
            body,
            "The marsh is open from sunrise to sunset. Dogs are kept on a lead from 1 March to 31 August. The "
            "Steward may close paths for up to thirty days to protect nests and puts up a sign that says why.",
        ),
        (head, "6. Research"),
        (
            body,
            "Schools and universities may take samples with the written consent of the Trust. They give the "
            "Parties a copy of what they publish.",
        ),
    ],
    [
        (head, "7. Reports and meetings"),
        (
            body,
            "By 31 March each year the Steward gives the other Parties a report of the past year: the counts, the "
            "work done, the damage seen, and a plan for the next. The Parties meet in April at the Town Hall. "
            "Minutes are kept by the Town.",
        ),
        (head, "8. Liability and insurance"),
        (
            body,
            "The Steward carries liability insurance of at least three million dollars and shows the policy to the "
            "Trust each January. Each Party answers for the harm that its own people cause.",
        ),
        (head, "9. Equipment"),
        (
            body,
            "The amphibious mower bought in 2021 belongs to the Trust. The Steward uses it for the marsh only, "
            "services it every 100 hours of work, and gives it back clean.",
        ),
        (head, "10. Changes of ownership"),
        (
            body,
            "If the Trust sells any part of the marsh, it first offers the part to the Town at the price of an "
            "independent valuer. The buyer takes over this agreement.",
        ),
    ],
    [
        (head, "11. How long this lasts"),
        (
            body,
            "This agreement has no fixed end. A Party that wishes to leave tells the others in writing before 30 "
            "June and leaves at the end of that year.",
        ),
        (head, "12. Disagreements"),
        (
            body,
            "The Parties first talk. If that does not help within sixty days, they ask the Coastal Mediation Centre "
            "to name a mediator and share the cost.",
        ),
        (head, "13. Writing and copies"),
        (body, "Changes are made in writing and signed by all three Parties. There are three signed copies."),
        (Spacer, ""),
        (body, "For the Heron Point Land Trust: Winifred Osei, chair"),
        (body, "For Bluestem Ecological Services Ltd.: Anton Reyes, managing director"),
        (body, "For the Town of Little Harbour: Mayor Cordelia Banks"),
    ],
]

story: list[object] = []
for number, page in enumerate(PAGES):
    story += [PageBreak()] if number else []
    story += [Spacer(1, 30) if style is Spacer else Paragraph(text, style) for style, text in page]


def footer(canvas, document) -> None:
    canvas.setFont("Times-Italic", 9)
    canvas.drawCentredString(306, 40, f"Heron Point Stewardship Agreement, page {document.page} of {len(PAGES)}")


SimpleDocTemplate(
    sys.argv[1],
    pagesize=LETTER,
    leftMargin=80,
    rightMargin=80,
    topMargin=70,
    bottomMargin=70,
    invariant=1,
    title="Stewardship Agreement",
    author="Heron Point Land Trust",
).build(story, onFirstPage=footer, onLaterPages=footer)

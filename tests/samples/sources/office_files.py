"""samples/mixed: glasblaeserei.odp, kiln-and-candle.pptx, moinho-do-rio.ods, atelier-roseraie.xls, night-ferry.epub and
umbrella-mender.msg. The first four are written as flat OpenDocument and converted by LibreOffice; run with the folder
that the six files are to be written into."""

import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

NAMES = (
    "office style text table draw presentation",
    {"number": "datastyle", "fo": "xsl-fo-compatible", "svg": "svg-compatible", "draw": "drawing"},
)


def flat(kind: str, body: str, styles: str = "") -> str:
    """A flat OpenDocument file."""
    prefixes = [*NAMES[0].split(), "number", "fo", "svg"]
    spaces = " ".join(f'xmlns:{p}="urn:oasis:names:tc:opendocument:xmlns:{NAMES[1].get(p, p)}:1.0"' for p in prefixes)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document {spaces} office:version="1.2" '
        f'office:mimetype="application/vnd.oasis.opendocument.{kind}">'
        f"<office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document>"
    )


def slide(number: int, *boxes: tuple[str, float, float, str], notes: str = "") -> str:
    """A slide of boxes: class, left and top in cm, lines."""
    frames = "".join(
        f'<draw:frame {f"presentation:class={kind!r}" if kind else ""} svg:x="{x}cm" svg:y="{y}cm" svg:width="11cm" '
        f'svg:height="3cm"><draw:text-box>{"".join(f"<text:p>{line}</text:p>" for line in text.split("|"))}'
        "</draw:text-box></draw:frame>"
        for kind, x, y, text in boxes
    )
    said = (
        f'<presentation:notes><draw:frame presentation:class="notes" svg:x="1cm" svg:y="15cm" svg:width="15cm" '
        f'svg:height="8cm"><draw:text-box><text:p>{notes}</text:p></draw:text-box></draw:frame></presentation:notes>'
        if notes
        else ""
    )
    return f'<draw:page draw:name="p{number}">{frames}{said}</draw:page>'


def cell(value: object, style: str = "") -> str:
    """A cell: a number, a date as `date:2025-01-31`, or a text."""
    named = f' table:style-name="{style}"' if style else ""
    if isinstance(value, float | int):
        return f'<table:table-cell{named} office:value-type="float" office:value="{value}"/>'
    text = str(value)
    if text.startswith("date:"):
        return f'<table:table-cell{named} office:value-type="date" office:date-value="{text[5:]}"/>'
    if not text:
        return "<table:table-cell/>"
    return f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'


def sheet(name: str, *rows: str) -> str:
    """A sheet of rows; an empty row is left out of the text by the reader."""
    filled = "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
    return f'<table:table table:name="{name}">{filled}</table:table>'


FORMATS = (
    '<number:number-style style:name="N1"><number:number number:decimal-places="2" number:min-integer-digits="1"/>'
    '</number:number-style><number:date-style style:name="N2"><number:day number:style="long"/><number:text>/'
    '</number:text><number:month number:style="long"/><number:text>/</number:text><number:year number:style="long"/>'
    '</number:date-style><style:style style:name="money" style:family="table-cell" style:data-style-name="N1"/>'
    '<style:style style:name="day" style:family="table-cell" style:data-style-name="N2"/>'
)

ODP = slide(
    1,
    ("title", 2, 1, "Glasbläserei Hollerbusch"),
    ("", 2, 5, "Vorführung für Schulklassen|Alle Preise für eine Gruppe bis zwölf Kinder: ab 95,00 €"),
) + slide(
    2,
    ("title", 2, 1, "Ihre Quittung"),
    ("", 14, 9, "Betrag dankend erhalten:|112,00 €"),
    ("", 2, 5, "Glasbläserei Hollerbusch|Schmelzgasse 4, 99998 Waldmünde"),
    ("", 2, 9, "Vorführung 10.06.2025|Eigene Kugel blasen, 14 Stück"),
    notes="Die Klasse kam mit einer Stunde Verspätung.",
)
PPTX = (
    slide(
        1,
        ("title", 2, 1, "Dip your own candle"),
        ("", 2, 5, "What to bring: an apron|What it costs: from 18.00 a head"),
    )
    + slide(2, ("title", 2, 1, "How wax behaves"), ("", 2, 5, "It melts at 62 degrees|It burns at 200"))
    + slide(
        3,
        ("title", 2, 1, "Paid, thank you"),
        ("", 2, 4, "Kiln &amp; Candle Workshop|The Old Brickworks, Lime Lane, Harrowmere HM9 9ZZ"),
        ("", 2, 8, "Course of 26 April 2025|2 places at 18.00|Beeswax, extra 4.50"),
        ("", 14, 8, "Amount paid|40.50"),
    )
)
ODS = sheet(
    "Talão",
    cell("Moinho do Rio, Produtos Moídos, Lda."),
    cell("Azenha de Baixo, 9999-311 Ribeira do Exemplo"),
    cell("Data") + cell("date:2025-02-21", "day"),
    "",
    cell("Artigo") + cell("kg") + cell("Preço") + cell("Valor"),
    cell("Farinha de milho") + cell(5) + cell(1.35, "money") + cell(6.75, "money"),
    cell("Farinha de centeio") + cell(2) + cell(1.80, "money") + cell(3.60, "money"),
    cell("Total") + cell("") + cell("") + cell(10.35, "money"),
) + sheet("Notas", cell("O rio levou a ponte em 2019."))
XLS = sheet(
    "Reçu",
    cell("Atelier de la Roseraie"),
    cell("2 impasse du Sécateur, 99400 Fleurville"),
    cell("Date") + cell("date:2025-05-09", "day"),
    cell("Taille de rosiers") + cell(3) + cell(22.0, "money") + cell(66.0, "money"),
    cell("Déplacement") + cell(1) + cell(12.5, "money") + cell(12.5, "money"),
    cell("Total TTC") + cell("") + cell("") + cell(78.5, "money"),
)
CHAPTERS = (
    "<h1>Aboard</h1><p>The ferry leaves at nine, whatever the fog says. Cabins are below the car deck.</p>",
    "<h1>Your booking</h1><p>Night Ferry Company<br/>Pier 7, Skerry Harbour, Isle of Norrow</p>"
    "<p>Sailing of 30 August 2025</p><table><tr><th>What</th><th>Price</th></tr>"
    "<tr><td>Cabin, two berths</td><td>64.00</td></tr><tr><td>Bicycle</td><td>3.50</td></tr>"
    "<tr><td>Total paid</td><td>67.50</td></tr></table>",
)
BODY = """Dear Ms Lund,

it is ready. You paid already:

The Umbrella Mender, 11 Drizzle Row, Wetherby-on-Sea WS9 9ZZ
12 November 2025
New ribs, three          9.00
Handle, cherry wood    14.20
Paid by card           23.20

-----Original Message-----
From: Pia Lund
Sent: Monday, 3 November 2025
Subject: An umbrella

Would you mend it for less than 20.00?
"""
MAIL = {
    0x0037: "Your umbrella is mended",
    0x0C1A: "Umbrella Mender",
    0x0C1F: "shop@umbrella-mender.example",
    0x0E04: "Pia Lund",
    0x1000: BODY.replace("\n", "\r\n"),
}


def epub() -> bytes:
    """A book of two chapters."""
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(CHAPTERS)))
    items = "".join(
        f'<item id="c{n}" href="c{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(CHAPTERS))
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="i">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="i">night-ferry</dc:identifier>'
        "<dc:title>Night Ferry</dc:title><dc:language>en</dc:language></metadata>"
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
        '<rootfile full-path="b.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as book:

        def put(name: str, content: str, kind: int = zipfile.ZIP_DEFLATED) -> None:
            info = zipfile.ZipInfo(name, (2025, 8, 1, 0, 0, 0))
            info.compress_type = kind
            book.writestr(info, content)

        put("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        put("META-INF/container.xml", container)
        put("b.opf", package)
        for n, chapter in enumerate(CHAPTERS):
            page = f"<head><title>Night Ferry</title></head><body>{chapter}</body>"
            put(f"c{n}.xhtml", f'<html xmlns="http://www.w3.org/1999/xhtml">{page}</html>')
    return out.getvalue()


def main() -> None:
    """Write the six files."""
    from tests.readers.conftest import _msg

    target = Path(sys.argv[1])
    for name, source, content in (
        ("glasblaeserei.odp", "fodp", flat("presentation", ODP)),
        ("kiln-and-candle.pptx", "fodp", flat("presentation", PPTX)),
        ("moinho-do-rio.ods", "fods", flat("spreadsheet", ODS, FORMATS)),
        ("atelier-roseraie.xls", "fods", flat("spreadsheet", XLS, FORMATS)),
    ):
        stem, _, suffix = name.partition(".")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{stem}.{source}"
            file.write_text(content, "utf-8")
            profile = f"-env:UserInstallation=file://{folder}/profile"
            command = ["soffice", profile, "--headless", "--convert-to", suffix, "--outdir", str(target), str(file)]
            subprocess.run(command, check=True)
    (target / "night-ferry.epub").write_bytes(epub())
    (target / "umbrella-mender.msg").write_bytes(_msg(MAIL))


if __name__ == "__main__":
    main()

"""samples/formats: receipts in the formats of which no other folder has one: formats.py FOLDER. The pictures are drawn
with Pillow (HEIC: pillow-heif) in DejaVu Sans Mono, the 7z is packed with py7zr, all else is written with Python."""

import gzip
import io
import sys
import tarfile
from email.message import EmailMessage
from pathlib import Path

import pillow_heif
import py7zr
from PIL import Image, ImageDraw, ImageFont

from tests.samples.sources.office_files import cell, flat, sheet, slide

THEN = 1_757_000_000  # seconds since 1970, of every file in an archive

SHOPS = {
    "lantern-glass.png": ("LANTERN GLASS", "5 Sandbar Lane, Saltmere", "12 June 2025", "48.20"),
    "rook-and-reed.webp": ("ROOK AND REED", "2 Osier Walk, Fenwick", "21 August 2025", "19.75"),
    "plum-cycle.heic": ("PLUM CYCLE HIRE", "9 Orchard Rise, Limefield", "30 May 2025", "26.40"),
    "seed.txt": ("Fenland Seed Exchange", "44 Drove Road, Fenwick", "2025-03-04", "7.80"),
    "rope.txt": ("Gannet Rope and Sail", "1 Slipway, Skerry Harbour", "2025-04-05", "63.10"),
    "tea.txt": ("Kettle Hill Tea House", "8 Upper Brae, Saltwick", "2025-02-17", "11.35"),
    "ink.txt": ("Blackthorn Ink Works", "23 Press Yard, Millbrook", "2025-01-29", "34.60"),
}
BOOKS = (
    "OTTER BOOKS\n17 Weir Street, Netherby\n\nDate 3 July 2025\n\nTwo novels 31.00\n\nCarried over 31.00\n",
    "OTTER BOOKS\npage 2\n\nBrought forward 31.00\nOne atlas 9.50\n\nTOTAL 40.50\n\nThank you\n",
)


def receipt(company: str, address: str, date: str, total: str) -> str:
    """The text of a receipt."""
    return f"{company}\n{address}\n\nDate {date}\n\nTOTAL {total}\n\nThank you\n"


def drawn(text: str) -> Image.Image:
    """Black on white, as wide as it needs."""
    lines = text.split("\n")
    letters = ImageFont.truetype("DejaVuSansMono.ttf", 30)
    sheet = Image.new("L", (80 + 19 * max(map(len, lines)), 80 + 44 * len(lines)), 255)
    ImageDraw.Draw(sheet).multiline_text((40, 40), text, fill=0, font=letters, spacing=12)
    return sheet


def pictures(folder: Path) -> None:
    pillow_heif.register_heif_opener()
    for name in ("lantern-glass.png", "rook-and-reed.webp", "plum-cycle.heic"):
        drawn(receipt(*SHOPS[name])).save(folder / name, quality=60)
    pages = [drawn(text).point(lambda level: 255 * (level > 127)).convert("1") for text in BOOKS]
    pages[0].save(folder / "otter-books.tiff", compression="group4", save_all=True, append_images=pages[1:])


def archives(folder: Path) -> None:
    with tarfile.open(folder / "cellar.tar", "w") as archive:
        for name in ("seed.txt", "rope.txt"):
            content = receipt(*SHOPS[name]).encode()
            info = tarfile.TarInfo(f"2025/{name}")
            info.size, info.mtime = len(content), THEN
            archive.addfile(info, io.BytesIO(content))
    (folder / "kettle-hill.txt.gz").write_bytes(gzip.compress(receipt(*SHOPS["tea.txt"]).encode(), mtime=THEN))
    with py7zr.SevenZipFile(folder / "press-yard.7z", "w") as packed:
        packed.writestr(receipt(*SHOPS["ink.txt"]), "ink.txt")


def maildir(folder: Path) -> None:
    """One letter that was read and one that is new."""
    letters = {
        "cur/1757000000.M1P1.saltmere": ("Marram Nurseries", "6 Dune End, Saltmere", "9 May 2025", "52.30"),
        "new/1757000001.M1P2.saltmere": ("Heron Boat Hire", "The Old Lock, Netherby", "14 July 2025", "90.00"),
    }
    (folder / "letters/tmp").mkdir(parents=True)
    (folder / "letters/tmp/.keep").touch()
    for name, shop in letters.items():
        mail = EmailMessage()
        mail["From"], mail["To"] = f"{shop[0]} <till@shop.example>", "Ana Reis <ana@reis.example>"
        mail["Subject"], mail["Date"] = "Your receipt", "Thu, 04 Sep 2025 15:33:20 +0000"
        mail.set_content(receipt(*shop))
        (folder / "letters" / name).parent.mkdir()
        (folder / "letters" / name).write_bytes(mail.as_bytes())


def documents(folder: Path) -> None:
    """The flat forms of OpenDocument."""
    lines = receipt("Bramble Jam Kitchen", "13 Hedge Row, Limefield", "6 September 2025", "15.90").split("\n")
    (folder / "bramble.fodt").write_text(flat("text", "".join(f"<text:p>{one}</text:p>" for one in lines)), "utf-8")
    shown = '<table:table-cell office:value-type="{}" office:{}="{}"><text:p>{}</text:p></table:table-cell>'
    money = shown.format("float", "value", "42.5", "42.50")
    rows = (
        cell("Cobbler's Last"),
        cell("31 Strap Alley, Millbrook"),
        cell("Date") + shown.format("date", "date-value", "2025-08-08", "08/08/2025"),
        cell("New soles") + money,
        cell("Total") + money,
    )
    (folder / "cobbler.fods").write_text(flat("spreadsheet", sheet("Bill", *rows)), "utf-8")
    box = ("", 2.0, 3.0, "Puffin Print Room|4 Cliff Steps, Skerry Harbour|Date 22 October 2025|Total 37.20")
    (folder / "puffin.fodp").write_text(flat("presentation", slide(1, box)), "utf-8")
    table = "Quince Market Stall\t\nPitch 12, Market Square, Fenwick\t\nDate\t2025-09-19\nQuinces\t4.40\nTotal\t4.40\n"
    (folder / "quince.tsv").write_text(table, "utf-8")


if __name__ == "__main__":
    for make in (pictures, archives, maildir, documents):
        make(Path(sys.argv[1]))

"""samples/mixed/tide-pool-cafe.jpg, a photo of a receipt, and samples/mixed/weir-cycle-works.pdf, a scanned bill of two
pages, made with Pillow and NumPy: scans.py FOLDER. The font is DejaVu Sans Mono."""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

CAFE = """\
      TIDE POOL CAFE
   8 Limpet Steps, Saltwick

Table 4        17 May 2025

2 Flat white     7.60
1 Crab toastie   9.25
1 Seaweed scone  3.40
1 Apple juice    2.75

Subtotal   23.00
Service    2.30
TOTAL      25.30

Card   GBP 25.30

   Thank you, mind the gulls
"""

WORKS = (
    """\
WEIR CYCLE WORKS
2 Old Sluice Yard, Netherby NB9 9XY

Repair bill 3187
Date: 9 October 2025
Customer: D. Okonjo
Bicycle: green tourer, frame 60417

Work done
New chain and cassette                     64.00
Front wheel trued                          18.50
Brake cables, both                         22.00
Bottom bracket cleaned and greased         27.50

Carried over to page 2                    132.00
""",
    """\
Repair bill 3187, page 2

Brought forward from page 1               132.00
Handlebar tape, cork                       16.80
Bell, brass                                11.20

Total to pay                              160.00

Deposit paid on 2 October 2025             40.00
Paid on collection, cash                  120.00

The frame was checked for cracks. None were found.
Please bring it back after 200 km for a free look.
""",
)


def printed(text: str, font: str, size: int, width: int, height: int) -> Image.Image:
    """Text on white paper."""
    sheet = Image.new("L", (width, height), 250)
    letters = ImageFont.truetype(font, size)
    ImageDraw.Draw(sheet).multiline_text((width // 14, height // 16), text, fill=35, font=letters, spacing=size // 2)
    return sheet


def noisy(picture: Image.Image, noise: float, random: np.random.Generator) -> Image.Image:
    grain = random.normal(0, noise, (picture.height, picture.width))
    return Image.fromarray(np.clip(np.asarray(picture, dtype=float) + grain, 0, 255).astype(np.uint8))


def photo(target: Path, random: np.random.Generator) -> None:
    """The receipt on a dark table, not straight, lamp light from the upper left, a little out of focus."""
    paper = printed(CAFE, "DejaVuSansMono.ttf", 34, 760, 1100)
    table = Image.new("L", (1000, 1400), 70)
    lying = paper.rotate(-2.7, resample=Image.Resampling.BICUBIC, expand=True)
    shape = Image.new("L", paper.size, 255).rotate(-2.7, expand=True)
    table.paste(lying, (100, 120), shape)
    across, down = np.meshgrid(np.linspace(0, 1, 1000), np.linspace(0, 1, 1400))
    lit = np.asarray(table, dtype=float) * (1.0 - 0.42 * (0.6 * across + 0.4 * down))
    blurred = Image.fromarray(lit.astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))
    grey = noisy(blurred, 5, random)
    warm = Image.merge("RGB", [grey, grey.point(lambda value: int(value * 0.96)), grey.point(lambda v: int(v * 0.86))])
    warm.save(target, "JPEG", quality=75)


def scanned(target: Path, random: np.random.Generator) -> None:
    """Two pages of A5 at 150 dots an inch from a sheet feeder: each a little askew, dust, packed hard."""
    pages = []
    for text, skew in zip(WORKS, (0.8, -1.1), strict=True):
        sheet = printed(text, "DejaVuSansMono.ttf", 25, 874, 1240)
        turned = sheet.rotate(skew, resample=Image.Resampling.BICUBIC, fillcolor=250)
        page = noisy(turned.filter(ImageFilter.GaussianBlur(0.6)), 4, random)
        dust = ImageDraw.Draw(page)
        for x, y in random.integers((0, 0), page.size, (40, 2)).tolist():
            dust.point((x, y), fill=90)
        packed = io.BytesIO()
        page.save(packed, "JPEG", quality=55)
        pages.append(Image.open(packed))
    pages[0].save(
        target, "PDF", save_all=True, append_images=pages[1:], resolution=150, creationDate=None, modDate=None
    )


folder = Path(sys.argv[1])
random = np.random.default_rng(7)
photo(folder / "tide-pool-cafe.jpg", random)
scanned(folder / "weir-cycle-works.pdf", random)

"""Documents of samples/ -> sheets of paper -> scans, by a program: the same numbers give the same bytes.

A PDF is printed as PDFium draws it, other documents in DejaVu Sans Mono: receipts on a roll as wide as they need,
all else on A4. Scanning turns a sheet a little, adds noise and packs it as a JPEG inside of a PDF.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pypdfium2
from PIL import Image, ImageDraw, ImageFont

FONT = "DejaVuSansMono.ttf"  # apt install fonts-dejavu-core
_POINTS = 10
_LINE = 1.35  # line height to letter height
_MARGIN = 36  # points
_A4 = (595, 842)  # points
_A4_CHARACTERS = 84


@dataclass(frozen=True, slots=True)
class Scanner:
    """How a sheet is scanned. `skew` in degrees, counter-clockwise; `noise` is a pixel's deviation in 256 levels."""

    name: str
    dpi: int
    skew: float
    noise: float
    jpeg: int


SCANNERS = (
    Scanner("300 dpi, 0.4°, noise 4, JPEG 85", 300, 0.4, 4, 85),
    Scanner("200 dpi, -1.3°, noise 8, JPEG 60", 200, -1.3, 8, 60),
    Scanner("150 dpi, 2.2°, noise 12, JPEG 40", 150, 2.2, 12, 40),
)


def scan(path: Path, text: str, scanner: Scanner) -> tuple[bytes, int]:
    """The document at `path`, whose text is `text`, printed and scanned: a PDF of pictures, and how many these are."""
    random = np.random.default_rng(7)
    pages = [_scanned(sheet, scanner, random) for sheet in sheets(path, text, scanner.dpi)]
    file = io.BytesIO()
    pages[0].save(
        file, "PDF", save_all=True, append_images=pages[1:], resolution=scanner.dpi, creationDate=None, modDate=None
    )
    return file.getvalue(), len(pages)


def sheets(path: Path, text: str, dpi: int) -> Iterator[Image.Image]:
    """The printed pages, grey."""
    if path.suffix == ".pdf":
        with pypdfium2.PdfDocument(path) as document:
            for page in document:
                yield page.render(scale=dpi / 72, grayscale=True).to_pil().convert("L")
        return
    lines = [piece for line in text.splitlines() for piece in textwrap.wrap(line, _A4_CHARACTERS) or [""]]
    if path.parent.name == "receipts":
        lines = text.splitlines()
    yield from _typed(lines, dpi, roll=path.parent.name == "receipts")


def _typed(lines: list[str], dpi: int, *, roll: bool) -> Iterator[Image.Image]:
    dots = dpi / 72
    letters = ImageFont.truetype(FONT, round(_POINTS * dots))
    step = round(_POINTS * _LINE * dots)
    margin = round(_MARGIN * dots)
    width = 2 * margin + round(max(letters.getlength(line) for line in lines)) if roll else round(_A4[0] * dots)
    height = 2 * margin + step * len(lines) if roll else round(_A4[1] * dots)
    a_page = max(1, (height - 2 * margin) // step)
    for first in range(0, len(lines), a_page):
        sheet = Image.new("L", (width, height), 255)
        draw = ImageDraw.Draw(sheet)
        for number, line in enumerate(lines[first : first + a_page]):
            draw.text((margin, margin + number * step), line, fill=20, font=letters)
        yield sheet


def _scanned(sheet: Image.Image, scanner: Scanner, random: np.random.Generator) -> Image.Image:
    turned = sheet.rotate(scanner.skew, resample=Image.Resampling.BICUBIC, expand=True, fillcolor=250)
    grain = random.normal(0, scanner.noise, (turned.height, turned.width))
    noisy = Image.fromarray(np.clip(np.asarray(turned, dtype=float) + grain, 0, 255).astype(np.uint8))
    packed = io.BytesIO()
    noisy.save(packed, "JPEG", quality=scanner.jpeg)
    return Image.open(packed)

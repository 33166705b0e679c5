"""A page of a PDF -> a picture, with PDFium. Pillow, of the extra `ocr`, holds it."""

from __future__ import annotations

from typing import Any

from pipeline.errors import ReadError
from pipeline.readers import extras

DPI = 300
_MOST_PIXELS = 40_000_000  # of a page that is larger than paper the resolution is lower


def page(content: bytes, name: str, number: int, passwords: tuple[str, ...]) -> tuple[Any, float]:
    """The page (from 1) in grey, and how many of its pixels are one point. Raises ReadError: broken, missing_extra."""
    import pypdfium2  # in the child that reads the file

    extras.load("PIL.Image", "ocr", name)
    try:
        document = _open(pypdfium2, content, passwords)
        try:
            one = document[number - 1]
            width, height = one.get_size()
            scale = min(DPI / 72, (_MOST_PIXELS / max(width * height, 1.0)) ** 0.5)
            return one.render(scale=scale, grayscale=True).to_pil().convert("L"), scale
        finally:
            document.close()
    except (MemoryError, ReadError):
        raise
    except Exception as error:  # PDFium's own, and those of broken sizes and numbers
        raise ReadError(
            f"page {number} of {name} cannot be drawn ({type(error).__name__})",
            code="broken",
            hint="Get it again, or repair it: `qpdf broken.pdf repaired.pdf` often helps.",
        ) from None


def _open(library: Any, content: bytes, passwords: tuple[str, ...]) -> Any:  # noqa: ANN401 - untyped
    for password in passwords:
        try:
            return library.PdfDocument(content, password=password)
        except library.PdfiumError:
            continue
    return library.PdfDocument(content)

"""What OCR read on a page, kept under the file's hash, the page's number and the settings: no page is read twice.

The hash and the number name the picture of the page without drawing it. A page is kept as soon as it is read, so a
night that ends inside of a long scan goes on at the next page. A database without texts has none of this.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.store.connection import Part, clean, now

WordCells = tuple[int, int, float, float, float, float, float]
"""start, end (characters of the page), x0, y0, x1, y1, confidence."""


@dataclass(frozen=True, slots=True)
class OcrPage:
    """A page as it was read. `blank`: there was nothing to read."""

    text: str = field(repr=False)
    words: Sequence[WordCells] = field(default=(), repr=False)
    blank: bool = False


class Ocr(Part):
    """The table `_ocr`."""

    def ocr_pages(self, sha256: str, settings: str) -> dict[int, OcrPage]:
        """The pages of a file that were read under these settings, by number."""
        rows = self._all(
            "SELECT page, text, words, blank FROM _ocr WHERE document = ? AND settings = ?", (sha256, settings)
        )
        return {
            page: OcrPage(text, [tuple(word) for word in json.loads(words)], bool(blank))
            for page, text, words, blank in rows
        }

    def save_ocr_page(self, run_id: int, sha256: str, number: int, settings: str, page: OcrPage) -> None:
        """Keep a page. What was read there under other settings goes. Nothing is kept without `keep_text`."""
        if not self.keep_text:
            return
        with self.atomic():
            self._do("DELETE FROM _ocr WHERE document = ? AND page = ?", (sha256, number))
            self._do(
                """INSERT INTO _ocr (document, page, settings, text, words, blank, run, saved)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                (sha256, number, settings, clean(page.text), json.dumps(page.words), int(page.blank), run_id, now()),
            )

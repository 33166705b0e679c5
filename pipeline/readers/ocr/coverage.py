"""How much of what a page shows was read.

Tesseract divides a page into columns before it reads, and may lose a column, or cut through the words of one, and still
be sure of every other word. So the words' own confidence cannot tell; the ink on the page can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.readers.ocr.straightening import ink_of
from pipeline.readers.ocr.words import PageWord


def covered(picture: Any, words: Sequence[PageWord]) -> float:  # noqa: ANN401 - PIL.Image.Image, may not be installed
    """The share of the picture's ink that stands in the boxes of words, each as much as its word is sure, 0 to 1.

    Ink in two boxes counts once, by the surer word. Pictures and ruled lines are ink that nobody reads: only two
    readings of one picture can be compared. 1 where there is no ink.
    """
    ink = ink_of(picture)
    if not ink.any():
        return 1.0
    scale = ink.shape[1] / picture.size[0]
    sure = np.zeros(ink.shape)
    for word in words:
        left, top, right, bottom = (int(side * scale) for side in word.box)
        box = sure[max(0, top - 1) : bottom + 2, max(0, left - 1) : right + 2]
        np.maximum(box, word.confidence, out=box)
    return float(sure[ink].mean())

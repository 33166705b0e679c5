"""Tesseract's table of words -> a page's text, and where each word stands in it and on the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.readers.cleaning import clean
from pipeline.readers.ocr.straightening import Box

_WORD = "5"  # the level of a word in the table
_COLUMNS = 12
_SURE = 0.7
_AMOUNT = re.compile(r"\W*\d[\d.,]*[.,]\d\d\W*")


@dataclass(frozen=True, slots=True)
class PageWord:
    """A word at `text[start:end]` of its page, its box on the page, and how sure Tesseract is of it, 0 to 1."""

    start: int
    end: int
    box: Box
    confidence: float


@dataclass(frozen=True, slots=True)
class PageRead:
    """What OCR read on a page. `blank`: there is nothing on it to read."""

    text: str = field(repr=False)
    words: tuple[PageWord, ...] = field(default=(), repr=False)
    blank: bool = False

    @property
    def worth(self) -> float:
        """Characters, each as much as its word is sure: what the better one of two readings has more of."""
        return sum((word.end - word.start) * word.confidence**2 for word in self.words)

    @property
    def confidence(self) -> float:
        """Of the average character; 0 where nothing was read."""
        length = sum(word.end - word.start for word in self.words)
        return sum((word.end - word.start) * word.confidence for word in self.words) / length if length else 0.0

    @property
    def amounts(self) -> int:
        """How many words are amounts with cents, such as 4.50, and were read without doubt."""
        return sum(
            word.confidence >= _SURE and _AMOUNT.fullmatch(self.text[word.start : word.end]) is not None
            for word in self.words
        )


def parse(table: str) -> PageRead:
    """Lines as lines, with an empty line between paragraphs; boxes in pixels of the picture that was read.

    The text is as `clean` leaves it, so the offsets hold in the document.
    """
    text: list[str] = []
    words: list[PageWord] = []
    at = 0
    last: tuple[str, ...] = ()
    for place, box, confidence, word in _rows(table):
        if last:
            gap = " " if place == last else "\n" if place[:-1] == last[:-1] else "\n\n"
            text.append(gap)
            at += len(gap)
        text.append(word)
        words.append(PageWord(at, at + len(word), box, confidence))
        at += len(word)
        last = place
    return PageRead("".join(text), tuple(words))


def _rows(table: str) -> Iterator[tuple[tuple[str, ...], Box, float, str]]:
    """Block, paragraph and line; box; confidence; the word."""
    for line in table.split("\n"):
        cells = line.split("\t")
        if len(cells) != _COLUMNS or cells[0] != _WORD:
            continue
        word = " ".join(clean(cells[11]).split())
        left, top, width, height = map(float, cells[6:10])
        if word:
            box = (left, top, left + width, top + height)
            yield tuple(cells[2:5]), box, min(max(float(cells[10]), 0.0), 100.0) / 100, word

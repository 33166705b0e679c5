"""Plain text and Markdown.

Kept: every line, in order; form feeds are page breaks. Markdown is kept as it is written: its marks are
structure that the chunker uses. Lost: the encoding, the kind of line ends, control characters.
"""

from __future__ import annotations

from pipeline.readers import PageText, Reading, ReadOptions, decoding

SUFFIXES = (".md", ".markdown", ".text", ".txt")
VERSION = f"1 ({decoding.VERSION})"

_MOST_PAGES = 10_000


def recognises(content: bytes) -> bool:
    """Anything that is not binary is a text."""
    return decoding.is_text(content)


def read(content: bytes, name: str, options: ReadOptions) -> Reading:  # noqa: ARG001 - the contract's signature
    """Decode, and cut at form feeds."""
    text = decoding.decode(content).removesuffix("\f")
    if text.count("\f") >= _MOST_PAGES:  # no pages but a hostile or a broken file
        return Reading((PageText(text),))
    return Reading(tuple(PageText(page) for page in text.split("\f")))

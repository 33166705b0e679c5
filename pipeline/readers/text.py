"""Plain text and Markdown.

Kept: every character, in order; form feeds are page breaks. Markdown is kept as it is written: its marks are
structure that the chunker uses. Lost: the encoding, the kind of line ends, control characters.
"""

from __future__ import annotations

from pipeline.readers import PageText, Reading, ReadOptions, decoding
from pipeline.readers.signatures import binary_format

SUFFIXES = (".md", ".markdown", ".text", ".txt")
VERSION = f"1 ({decoding.VERSION})"


def recognises(content: bytes) -> bool:
    """Anything that is not binary is a text."""
    return binary_format(content) is None


def read(content: bytes, name: str, options: ReadOptions) -> Reading:  # noqa: ARG001 - the contract's signature
    """Decode, and cut at form feeds."""
    return Reading(tuple(PageText(page) for page in decoding.decode(content).removesuffix("\f").split("\f")))

"""Plain text, Markdown, and data that is text: calendars, cards, JSON, XML, logs.

Kept: every line, in order; form feeds are page breaks. Markdown is kept as it is written: its marks are
structure that the chunker uses; so are the others, whose marks name the values. Lost: the encoding, the kind of line
ends, control characters.
"""

from __future__ import annotations

import re

from pipeline.readers import PageText, Reading, ReadOptions, decoding

SUFFIXES = (".ics", ".json", ".log", ".md", ".markdown", ".text", ".txt", ".vcf", ".xml")
VERSION = f"2 ({decoding.VERSION})"

_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z][A-Za-z0-9._:-]*)""")
_MOST_PAGES = 10_000


def recognises(content: bytes) -> bool:
    """Anything that is not binary is a text."""
    return decoding.is_text(content)


def read(content: bytes, name: str, options: ReadOptions) -> Reading:  # noqa: ARG001 - the contract's signature
    """Decode, and cut at form feeds."""
    declared = _DECLARED.match(content)
    text = decoding.decode(content, declared[1].decode("ascii") if declared else None).removesuffix("\f")
    if text.count("\f") >= _MOST_PAGES:  # no pages but a hostile or a broken file
        return Reading((PageText(text),))
    return Reading(tuple(PageText(page) for page in text.split("\f")))

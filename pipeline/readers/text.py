"""Plain text, Markdown, and data that is text: calendars, cards, JSON, XML, logs.

Kept: every line, in order; form feeds are page breaks. Markdown is kept as it is written: its marks are
structure that the chunker uses; so are the others, whose marks name the values. Lost: the encoding, the kind of line
ends, control characters. Each line is a place.
"""

from __future__ import annotations

import re

from pipeline.readers import PageText, Reading, ReadOptions, decoding

SUFFIXES = (".ics", ".json", ".log", ".md", ".markdown", ".text", ".txt", ".vcf", ".xml")
VERSION = f"3 ({decoding.VERSION})"

_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z][A-Za-z0-9._:-]*)""")
_LINE_END = re.compile(r"\r\n|\r|\n")
_MOST_PAGES = 10_000
_MOST_LINES, _LINES_TOGETHER = 100_000, 100  # of a longer text, so many lines are one place


def recognises(content: bytes) -> bool:
    """Anything that is not binary is a text."""
    return decoding.is_text(content)


def read(content: bytes, name: str, options: ReadOptions) -> Reading:  # noqa: ARG001 - the contract's signature
    """Decode, and cut at form feeds."""
    declared = _DECLARED.match(content)
    text = decoding.decode(content, declared[1].decode("ascii") if declared else None).removesuffix("\f")
    if text.count("\f") >= _MOST_PAGES:  # no pages but a hostile or a broken file
        return Reading((PageText(text),))
    step = 1 if len(_LINE_END.findall(text)) < _MOST_LINES else _LINES_TOGETHER
    pages, before = [], 0  # lines
    for page in text.split("\f"):
        starts = [0, *(end.end() for end in _LINE_END.finditer(page))]
        places = [(at, _label(before + number, step)) for number, at in list(enumerate(starts, start=1))[::step]]
        pages.append(PageText(page, places=tuple(places)))
        before += len(starts) - 1
    return Reading(tuple(pages))


def _label(line: int, together: int) -> str:
    return f"line {line}" if together == 1 else f"lines {line} to {line + together - 1}"

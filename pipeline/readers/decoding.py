"""Bytes of an unknown encoding -> text, for every text format. The one door to charset-normalizer.

In this order: a byte order mark; UTF-16 without one, seen by its NULs; ISO-2022-JP, seen by its escapes; UTF-8,
with a few slips allowed; the encodings from before Unicode (`alphabets`), as detectors guess short texts badly
(of the lines in tests/readers/test_decoding.py charset-normalizer 3.5 reads 19 of 47 right, `alphabets` all);
charset-normalizer for what none of them explains.
"""

from __future__ import annotations

import codecs
import re

import charset_normalizer

from pipeline.readers import alphabets
from pipeline.readers.signatures import binary_format

VERSION = f"charset-normalizer {charset_normalizer.__version__}"

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark begins it
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = bytes(set(range(0x20)) - set(b"\x00\b\t\n\v\f\r\x1b")) + b"\x7f"
_TRUSTED = 0.5


def is_text(content: bytes) -> bool:
    """Whether this can be text in any encoding: no known binary format, few control characters and NULs."""
    if binary_format(content) is not None:
        return False
    if _wide_encoding(content) is not None:
        return True
    controls = len(content) - len(content.translate(None, _CONTROLS))
    return controls <= 2 + len(content) // 20 and content.count(0) <= 2 + len(content) // 4


def decode(content: bytes, declared: str | None = None) -> str:
    """The text. `declared` is what the file says of itself: believed where it fits. Never fails."""
    encoding = _wide_encoding(content)
    if encoding is not None:
        return content.decode(encoding, "replace").removeprefix("\ufeff")
    content = content.removeprefix(codecs.BOM_UTF8).replace(b"\x00", b"")
    text = _utf8(content)
    if text is None and declared is not None:
        text = _strictly(content, declared)
    elif text is not None and (b"\x1b$" in content or b"\x1b(" in content):
        text = _strictly(content, "iso2022_jp_2") or text
    return text if text is not None else _legacy(content)


def is_wide(content: bytes) -> bool:
    """Whether this is UTF-16 or UTF-32."""
    return _wide_encoding(content) is not None


def _wide_encoding(content: bytes) -> str | None:
    """UTF-16 or UTF-32, by its mark or by where its NULs are."""
    for mark, encoding in _BYTE_ORDER_MARKS[1:]:
        if content.startswith(mark):
            return encoding
    head = content[:4096]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if len(content) % 2 == 0 and len(head) >= 4:
        half = len(head) // 2
        if odd > 0.4 * half and even < 0.05 * half:
            return "utf-16-le"
        if even > 0.4 * half and odd < 0.05 * half:
            return "utf-16-be"
    return None


def _utf8(content: bytes) -> str | None:
    """UTF-8, also where a few characters are broken or cut."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    whole = sum(map(len, re.findall(r"[^\x00-\x7f\ufffd]+", text)))
    return text if whole >= 4 * broken else None


def _strictly(content: bytes, encoding: str) -> str | None:
    try:
        # What calls itself Latin-1 is Windows-1252, as on the web.
        name = codecs.lookup(encoding).name
        return content.decode("cp1252" if name in {"iso8859-1", "ascii"} else name)
    except (LookupError, ValueError, AttributeError):
        return None


def _legacy(content: bytes) -> str:
    encoding, cost = alphabets.guess(content)
    if cost > _TRUSTED:
        best = charset_normalizer.from_bytes(content).best()
        if best is not None:
            return str(best)
    return content.decode(encoding, "replace")

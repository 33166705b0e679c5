"""What a file looks like from its first bytes, in words for a message. Knows more formats than are read."""

from __future__ import annotations

import re

_BEGINNINGS = (
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document or an Outlook message"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"\x1f\x8b\x08", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"{\\rtf", "an RTF document"),
    (b"%!PS", "a PostScript file"),
    (b"\x7fELF", "a program"),
    (b"GGUF", "a model file"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"OggS", "an audio file"),
    (b"ID3", "an audio file"),
)
_PDF = re.compile(rb"%PDF-\d")
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).){0,1000}-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_HEADER = re.compile(rb"\s*(?:>?From [^\r\n]*\r?\n)?[!-9;-~]{1,100}[ \t]*:")
_MAIL = re.compile(
    rb"\s*(?:From [^\r\n]*\r?\n)?(?:[!-9;-~]+:[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*){0,50}?"
    rb"(?:received|return-path|message-id|mime-version|delivered-to):",
    re.I,
)


def has_headers(content: bytes) -> bool:
    """Whether this begins with a line like `Name: value`, as a mail does."""
    return _HEADER.match(content) is not None


def is_pdf(content: bytes) -> bool:
    """PDF readers look for the beginning within the first kilobyte."""
    return _PDF.search(content, 0, 1024) is not None


def looks_like(content: bytes) -> str | None:
    """`a PDF file`, `an HTML page`, ...; None where the beginning says nothing."""
    if is_pdf(content):
        return "a PDF file"
    binary = binary_format(content)
    if binary is not None:
        return binary
    head = content[:8192].removeprefix(b"\xef\xbb\xbf")
    if _HTML.match(head):
        return "an HTML page"
    if _MAIL.match(head):
        return "an e-mail"
    return None


def binary_format(content: bytes) -> str | None:
    """As `looks_like`, but only formats that a text file cannot be mistaken for."""
    if content.startswith(b"%PDF-"):
        return "a PDF file"
    if content.startswith(b"RIFF") and content[8:12] in {b"WEBP", b"WAVE", b"AVI "}:
        return "an image, sound or film"
    if content[4:8] == b"ftyp":
        return "an image, sound or film"
    return next((kind for start, kind in _BEGINNINGS if content.startswith(start)), None)

"""E-mail (.eml), with the standard library.

Kept: From, To, Cc, Date and Subject, each on a line; the body, plain text before HTML where a mail has both; the
attachments, each to be read as a document of its own, mails within the mail too. Lost: other headers, pictures that
an HTML body draws, signatures made by programs. Quoted history stays where it stands, and is a place of its own.

The headers are read with the parser's old policy and decoded here: the new one parses the structure of each header,
in time square in its length, and raises on some that are malformed.
"""

from __future__ import annotations

import binascii
import email.parser
import mimetypes
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import Message
from email.policy import Compat32
from pathlib import PurePosixPath

from pipeline.data import Attachment
from pipeline.errors import ReadError
from pipeline.readers import Reading, ReadOptions, decoding, html, quoting
from pipeline.readers.cleaning import clean
from pipeline.readers.signatures import binary_format, has_headers

SUFFIXES = (".eml",)
VERSION = f"4 (html {html.VERSION})"

_ENCODED_WORD = re.compile(r"=\?([^?*\s]{1,75})(?:\*[^?\s]{0,75})?\?([bBqQ])\?([^?]*)\?=")
_SHOWN = ("From", "To", "Cc", "Date", "Subject")
_MOST_PARTS = 10_000
_MOST_MULTIPARTS = 50
_LONGEST_CONTENT_TYPE = 10_000
_MAIL_WITHIN = "application/x-mail-within"
_BODIES = frozenset(("text/enriched", "text/html", "text/markdown", "text/plain", "text/rfc822-headers"))
_SIGNATURES = frozenset(("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"))
_DRAWN = re.compile(rb"cid:([^\s\"'<>()]+)", re.I)
_SUFFIX_OF_TYPE = mimetypes.MimeTypes(filenames=())  # without the tables of this machine


class _Flat(Compat32):
    """Mails within a mail stay bytes, so that the parser descends into multiparts only."""

    def header_source_parse(self, sourcelines: Sequence[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(list(sourcelines))
        if name.lower() in {"content-type", "content-disposition"}:
            value = value[:_LONGEST_CONTENT_TYPE]  # the parser's time is square in it
        if name.lower() == "content-type":
            value = value.lstrip(" \t\r\n")  # a folded header may begin with the line end
            value = re.sub(r"(?i)^message/(?:rfc822|global)\b", _MAIL_WITHIN, value)
            value = re.sub(r"(?i)^message/[\w.+-]+", "text/plain", value)
            value = re.sub(r"(?i)^multipart/digest\b", "multipart/mixed", value)
        return name, value


_FLAT = _Flat()


@dataclass
class _Found:
    """What one part of a mail, with all within, gives."""

    texts: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)


def recognises(content: bytes) -> bool:
    """A mail begins with a header."""
    return binary_format(content) is None and has_headers(_bytes(content))


def read(content: bytes, name: str, options: ReadOptions) -> Reading:  # noqa: ARG001 - the contract's signature
    """Headers, body, attachments."""
    parts: list[Message] = []
    multiparts = 0

    def part(policy: Compat32 = _FLAT) -> Message:
        """A new part; the one before has its headers by now. The parser compares each line with each open multipart."""
        nonlocal multiparts
        multiparts += bool(parts) and parts[-1].get_content_maintype() == "multipart"
        if len(parts) >= _MOST_PARTS or multiparts > _MOST_MULTIPARTS:
            raise ReadError(
                f"{name} has more parts than any mail needs",
                code="limits",
                hint="No mail program writes such a mail: leave it out, or save its body as text.",
            )
        parts.append(Message(policy=policy))
        return parts[-1]

    mail = email.parser.BytesParser(part, policy=_FLAT).parsebytes(_bytes(content))
    found = _collect(mail, name, _drawn(mail))
    body = "\n\n".join(piece for piece in found.texts if piece.strip())
    return Reading((quoting.page("\n".join(_headers(mail)), body),), tuple(found.attachments))


def _bytes(content: bytes) -> bytes:
    """The mail's own bytes; a mail that was saved as UTF-16 is brought back first."""
    if decoding.is_wide(content):
        content = decoding.decode(content).encode("utf-8", "replace")
    return content.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")


def _headers(mail: Message) -> Iterator[str]:
    for name in _SHOWN:
        for key, value in mail.raw_items():
            if key.lower() == name.lower():
                text = _decoded(value)
                if text:
                    yield f"{name}: {text}"


def _decoded(value: object) -> str:
    """A header as a person reads it, on one line; survives every wrong encoding."""
    raw = " ".join(str(value).split())
    if not raw.isascii():  # the parser keeps bytes above 127 as surrogates
        raw = decoding.decode(raw.encode("utf-8", "surrogateescape"))
    pieces: list[str] = []
    word, charset, at = b"", "", 0
    for match in _ENCODED_WORD.finditer(raw):
        between = raw[at : match.start()]
        if between.strip() or match[1] != charset:  # else a character may go on in the next word
            pieces.append(decoding.decode(word, charset))
            pieces.append(between if between.strip() or not word else "")
            word = b""
        word += _word(match[2], match[3])
        charset, at = match[1], match.end()
    return "".join((*pieces, decoding.decode(word, charset), raw[at:]))


def _word(way: str, text: str) -> bytes:
    """The bytes of an encoded word: base64, or a kind of quoted-printable."""
    content = text.encode("utf-8", "replace")
    if way in "qQ":
        return re.sub(rb"=([0-9A-Fa-f]{2})", lambda code: bytes([int(code[1], 16)]), content.replace(b"_", b" "))
    try:
        return binascii.a2b_base64(content + b"==")
    except binascii.Error:
        return b"=?b?" + content + b"?="


def _drawn(mail: Message) -> frozenset[bytes]:
    """The Content-IDs that HTML parts refer to (RFC 2392), as they are written there and as they are meant."""
    bodies = [one.get_payload(decode=True) for one in mail.walk() if one.get_content_type() == "text/html"]
    written = {identity for body in bodies if isinstance(body, bytes) for identity in _DRAWN.findall(body)}
    return frozenset(written | {*map(urllib.parse.unquote_to_bytes, written)})


def _is_drawn(part: Message, drawn: frozenset[bytes]) -> bool:
    identity = str(part.get("Content-ID", "")).strip(" \t\r\n<>")
    return identity.encode("utf-8", "surrogateescape") in drawn


def _collect(part: Message, whole: str, drawn: frozenset[bytes]) -> _Found:
    kind = part.get_content_type()
    if part.is_multipart():
        parts = [child for child in part.get_payload() if isinstance(child, Message)]
        children = [_collect(child, whole, drawn) for child in parts]
        found = _Found(attachments=[one for child in children for one in child.attachments])
        if kind == "multipart/alternative":
            found.texts = _best(parts, children)
        else:
            found.texts = [text for child in children for text in child.texts]
        return found
    name = _decoded(part.get_filename() or "")
    attached = part.get_content_disposition() == "attachment"
    if kind in _SIGNATURES or (kind.startswith("image/") and not attached and _is_drawn(part, drawn)):
        return _Found()
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return _Found()
    if kind in _BODIES and not attached and not name:
        charset = part.get_content_charset()
        if kind == "text/html":
            body = html.text_of(content, whole, charset, mark_quotes=True)
        else:
            body = decoding.decode(content, charset)
        return _Found(texts=[body.strip("\r\n")])
    return _Found(attachments=[Attachment(_name(name, kind), content)])


def _best(parts: Sequence[Message], found: Sequence[_Found]) -> list[str]:
    """Of alternatives the plain text; else the last that has any, as the sender put the richest last."""
    filled = [
        (part.get_content_type(), one.texts)
        for part, one in zip(parts, found, strict=True)
        if any(text.strip() for text in one.texts)
    ]
    plain = [texts for kind, texts in filled if kind == "text/plain"]
    return plain[0] if plain else filled[-1][1] if filled else []


def _name(given: str, kind: str) -> str:
    """A name to show, without folders, with a suffix."""
    name = clean(given.replace("\\", "/").rsplit("/", 1)[-1]).strip() or "attachment"
    if PurePosixPath(name).suffix:
        return name
    suffix = ".eml" if kind == _MAIL_WITHIN else _SUFFIX_OF_TYPE.guess_extension(kind)
    return name + (suffix or "")

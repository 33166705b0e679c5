"""Outlook messages (.msg, .oft), with olefile for the container and own code for the few properties that are shown.

Kept: as for mail: From, To, Cc, Date and Subject, the body (plain, else HTML, else Rich Text), attachments; a message
within the message is an attachment as a mail. Lost: appointments' and contacts' own fields, linked files.

Not extract-msg, which is GPL, nor python-oxmsg, which leaves encodings and messages within messages to its caller.
"""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import olefile

from pipeline.data import Attachment
from pipeline.errors import ReadError
from pipeline.readers import Reading, ReadOptions, alphabets, decoding, html, packages, quoting, rtf
from pipeline.readers.cleaning import clean

SUFFIXES = (".msg", ".oft")
VERSION = f"3 (olefile {olefile.__version__}, html {html.VERSION}, rtf {rtf.VERSION})"

_MOST_BYTES = 256 << 20
_MOST_ATTACHMENTS = 10_000
_DEEPEST = 8
_PROPERTIES = "__properties_version1.0"
_SENT, _RECEIVED, _PAGE = 0x0039, 0x0E06, 0x3FFD
_RTF_START = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans Serif"
    rb"SymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    + b"\r\n"
    + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)


def recognises(content: bytes) -> bool:
    """An OLE file; which one is seen when it is opened."""
    return content.startswith(olefile.MAGIC)


def read(content: bytes, name: str, options: ReadOptions) -> Reading:  # noqa: ARG001 - the contract's signature
    """Headers, body, attachments."""
    try:
        with warnings.catch_warnings(), olefile.OleFileIO(io.BytesIO(content)) as file:
            warnings.simplefilter("ignore")
            if not file.exists(_PROPERTIES):
                raise packages.another(name, "Outlook message")
            mail = _Storage(file, name).mail((), 0)
    except (MemoryError, ReadError):
        raise
    except Exception as error:  # olefile raises whatever a broken file leads it into
        raise packages.broken(name, type(error).__name__) from None
    lines = "\n".join(f"{key}: {value}" for key, value in mail.headers)
    return Reading((quoting.page(lines, mail.body.strip("\r\n")),), mail.attachments)


@dataclass(frozen=True, slots=True)
class _Mail:
    headers: list[tuple[str, str]]
    body: str
    attachments: tuple[Attachment, ...]

    def as_bytes(self) -> bytes:
        """As a mail that any program reads."""
        mail = EmailMessage()
        for key, value in self.headers:
            mail[key] = ""
            mail.replace_header(key, value)
        mail.set_content(self.body)
        for one in self.attachments:
            mail.add_attachment(one.content, maintype="application", subtype="octet-stream", filename=one.name)
        return mail.as_bytes()


class _Storage:
    """The properties of the message and of what is in it."""

    def __init__(self, file: olefile.OleFileIO, name: str) -> None:
        self._file = file
        self._name = name
        self._left = _MOST_BYTES
        self._attachments = 0
        self._streams = {tuple(path) for path in file.listdir(streams=True, storages=False)}
        self._storages = [tuple(path) for path in file.listdir(streams=False, storages=True)]

    def mail(self, at: tuple[str, ...], depth: int) -> _Mail:
        """The message whose storage is `at`."""
        numbers = self._numbers(at, 24 if at else 32)
        page = _code_page(numbers.get(_PAGE, 0)) or self._guess(at)
        sender, address = (
            self._string(at, 0x0C1A, page),
            self._string(at, 0x5D01, page) or self._string(at, 0x0C1F, page),
        )
        if "@" in address and address != sender:
            sender = f"{sender} <{address}>".strip()
        values = (
            ("From", sender),
            ("To", self._string(at, 0x0E04, page)),
            ("Cc", self._string(at, 0x0E03, page)),
            ("Date", _date(numbers.get(_SENT) or numbers.get(_RECEIVED, 0))),
            ("Subject", self._string(at, 0x0037, page)),
        )
        headers = [(key, line) for key, value in values if (line := " ".join(clean(value).split()))]
        attachments = []
        for path in self._storages:
            if path[:-1] == at and path[-1].lower().startswith("__attach"):
                self._attachments += 1
                if self._attachments > _MOST_ATTACHMENTS:
                    raise packages.too_much(self._name, f"more than {_MOST_ATTACHMENTS} attachments")
                attachments.extend(self._attachment(path, page, depth))
        return _Mail(headers, self._body(at, page), tuple(attachments))

    def _attachment(self, at: tuple[str, ...], page: str, depth: int) -> list[Attachment]:
        name = self._string(at, 0x3707, page) or self._string(at, 0x3704, page) or self._string(at, 0x3001, page)
        name = clean(name.replace("\\", "/").rsplit("/", 1)[-1]).replace("\n", " ").strip() or "attachment"
        within = (*at, "__substg1.0_3701000D")
        if within in self._storages:
            if depth >= _DEEPEST:
                raise packages.too_much(self._name, "messages nested too deeply")
            if (*within, _PROPERTIES) not in self._streams:
                return []  # an object drawn by another program
            return [Attachment(f"{name}.eml", self.mail(within, depth + 1).as_bytes())]
        content = self._bytes(at, 0x3701)
        return [] if content is None else [Attachment(name, content)]

    def _body(self, at: tuple[str, ...], page: str) -> str:
        text = self._string(at, 0x1000, page)
        if text.strip():
            return text
        markup = self._bytes(at, 0x1013)
        if markup is None:
            text = self._string(at, 0x1013, page)
            markup = text.encode("utf-8", "replace") if text else None
        if markup:
            return html.text_of(markup, self._name, mark_quotes=True)
        packed = self._bytes(at, 0x1009)
        return rtf.text_of(_unpacked(packed)) if packed else ""

    def _guess(self, at: tuple[str, ...]) -> str:
        """The encoding of a message that does not say: a name is too short to tell, all of it is not."""
        found = [self._read((*at, f"__substg1.0_{number:04X}001E")) or b"" for number in (0x1000, 0x0037, 0x0C1A)]
        content = b"\n".join(found)
        return "" if content.isascii() else alphabets.guess(content)[0]

    def _read(self, path: tuple[str, ...]) -> bytes | None:
        if path not in self._streams:
            return None
        self._left -= self._file.get_size(list(path))
        if self._left < 0:
            raise packages.too_much(self._name, f"more than {_MOST_BYTES >> 20} MB in it")
        content: bytes = self._file.openstream(list(path)).read()
        return content

    def _bytes(self, at: tuple[str, ...], number: int) -> bytes | None:
        return self._read((*at, f"__substg1.0_{number:04X}0102"))

    def _string(self, at: tuple[str, ...], number: int, page: str) -> str:
        wide = self._read((*at, f"__substg1.0_{number:04X}001F"))
        if wide is not None:
            return wide.decode("utf-16-le", "replace").rstrip("\0")
        narrow = self._read((*at, f"__substg1.0_{number:04X}001E"))
        return "" if narrow is None else decoding.decode(narrow.rstrip(b"\0"), page or None)

    def _numbers(self, at: tuple[str, ...], header: int) -> dict[int, int]:
        """The properties of a fixed size, by number."""
        content = self._read((*at, _PROPERTIES)) or b""
        entries = content[header : header + (len(content) - header) // 16 * 16]
        return {tag >> 16: value for tag, _, value in struct.iter_unpack("<IIQ", entries)}


def _code_page(number: int) -> str:
    number &= 0xFFFFFFFF
    return "utf-8" if number == 65001 else f"cp{number}" if 0 < number < 100_000 else ""


def _date(ticks: int) -> str:
    """A FILETIME (tenths of microseconds since 1601) as mails write it."""
    if not ticks:
        return ""
    try:
        moment = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return ""
    return moment.strftime("%a, %d %b %Y %H:%M:%S +0000")


def _unpacked(packed: bytes) -> bytes:
    """Compressed Rich Text (MS-OXRTFCP). What is cut or wrong ends it."""
    if len(packed) < 16:
        return b""
    size, kind = struct.unpack_from("<I4s", packed, 4)
    if kind == b"MELA":
        return packed[16 : 16 + size]
    window = bytearray(4096)
    window[: len(_RTF_START)] = _RTF_START
    at, out = len(_RTF_START), bytearray()

    def put(byte: int) -> None:
        nonlocal at
        out.append(byte)
        window[at] = byte
        at = (at + 1) % 4096

    place = 16
    while place < len(packed):
        flags = packed[place]
        place += 1
        for bit in range(8):
            if flags >> bit & 1:
                if place + 2 > len(packed):
                    return bytes(out)
                token = packed[place] << 8 | packed[place + 1]
                place += 2
                start, length = token >> 4, (token & 15) + 2
                if start == at:
                    return bytes(out)
                for offset in range(length):
                    put(window[(start + offset) % 4096])
            elif place < len(packed):
                put(packed[place])
                place += 1
    return bytes(out)

"""Mailboxes (.mbox): each mail becomes an attachment, to be read as a mail (or as a text, where it has no headers).

A mail begins at a line `From ` behind an empty line (or at the start) that goes on as such lines do: with an address
or a name and a date. Lines `>From ` lose the mark that protected them.
"""

from __future__ import annotations

import re

from pipeline.data import Attachment
from pipeline.readers import PageText, Reading, ReadOptions, packages
from pipeline.readers.signatures import binary_format

SUFFIXES = (".mbox", ".mbx")
VERSION = "1"

_START = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\r\n]{1,500}\d\d:\d\d[^\r\n]{0,200}\r?\n")
_PROTECTED = re.compile(rb"^>(>*From )", re.M)
_MOST_MAILS = 100_000


def recognises(content: bytes) -> bool:
    """The line with which every mailbox begins."""
    return binary_format(content) is None and content[:4096].lstrip().startswith(b"From ")


def read(content: bytes, name: str, options: ReadOptions) -> Reading:  # noqa: ARG001 - the contract's signature
    """Mails as attachments `mail 1.eml`, `mail 2.eml` ...; no text of its own."""
    content = content.lstrip()
    starts = [(match.start(), match.end()) for match in _START.finditer(content)]
    if not starts or starts[0][0] > 0:  # the first line is a start, however it is written
        starts.insert(0, (0, content.find(b"\n") + 1 or len(content)))
    if len(starts) > _MOST_MAILS:
        raise packages.too_much(name, f"more than {_MOST_MAILS} mails in it")
    mails = []
    for number, (_, begin) in enumerate(starts):
        end = starts[number + 1][0] if number + 1 < len(starts) else len(content)
        mail = _PROTECTED.sub(rb"\1", content[begin:end])
        if mail.strip():
            suffix = ".txt" if mail[:1] in b"\r\n" else ".eml"  # one without headers is a text
            mails.append(Attachment(f"mail {number + 1}{suffix}", mail))
    if not mails:
        raise packages.broken(name, "there is no mail in it")
    return Reading((PageText(""),), tuple(mails))

"""The text of a mail -> which of its lines are its header, its own words, and what it quotes of other mails.

A line that begins with `>` is quoted, with the line above that says so (`On 3 May Ana wrote:`). So is all that stands
below a mark that mail programs put above a whole mail: `-----Original Message-----`, or a block that begins like
`From:` and goes on with `Sent:` or `Subject:`, in the languages below. Other layouts are taken for own words.
"""

from __future__ import annotations

import re

from pipeline.readers import PageText

HEADER, BODY, QUOTED = "header", "body", "quoted"

_QUOTED = re.compile(r"[ \t]{0,3}(?:[A-Z]{1,3})?>")
_SAYS_SO = re.compile(r"\S.{5,200}:[ \t]*")
_LATE_MARKS = re.compile(
    r"[ \t]*-{2,}[ ]?(?:original message|forwarded message|mensagem original|mensagem encaminhada|"
    r"ursprüngliche nachricht|weitergeleitete nachricht|message d'origine|message transféré|"
    r"mensaje original|mensaje reenviado|messaggio originale|messaggio inoltrato|oorspronkelijk bericht)"
    r"[ ]?-{2,}[ \t]*",
    re.I,
)
_BLOCK_BEGINS = re.compile(r"[ \t*]*(?:from|de|von|da|van|от)[ \t*]*:[ \t*]*\S", re.I)
_BLOCK_GOES_ON = re.compile(
    r"[ \t*]*(?:sent|date|to|subject|enviad[ao]|data|para|assunto|gesendet|datum|an|betreff|envoyé|à|objet|fecha|"
    r"asunto|inviato|a|oggetto|verzonden|aan|onderwerp|отправлено|дата|кому|тема)[ \t*]*:",
    re.I,
)


def page(headers: str, body: str) -> PageText:
    """The mail as a page, its parts as places."""
    text = "\n\n".join(piece for piece in (headers, body) if piece.strip())
    places = [(0, HEADER)] if headers.strip() else []
    if not body.strip():
        return PageText(text, places=tuple(places))
    at = len(text) - len(body)
    lines = body.splitlines(keepends=True)
    quoted = _quoted_lines(lines)
    before = None
    for line, is_quoted in zip(lines, quoted, strict=True):
        if line.strip() and is_quoted != before:
            places.append((at, QUOTED if is_quoted else BODY))
            before = is_quoted
        at += len(line)
    return PageText(text, places=tuple(places))


def _quoted_lines(lines: list[str]) -> list[bool]:
    quoted = [_QUOTED.match(line) is not None for line in lines]
    for number, line in enumerate(lines):
        if _LATE_MARKS.fullmatch(line.rstrip("\r\n")) or (
            _BLOCK_BEGINS.match(line) and any(_BLOCK_GOES_ON.match(below) for below in lines[number + 1 : number + 3])
        ):
            return quoted[:number] + [True] * (len(lines) - number)
        if quoted[number] and number and not quoted[number - 1]:
            above = next((one for one in range(number - 1, max(-1, number - 3), -1) if lines[one].strip()), None)
            if above is not None and _SAYS_SO.fullmatch(lines[above].rstrip("\r\n")):
                quoted[above] = True
    return quoted

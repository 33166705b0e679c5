"""Web addresses: with a scheme, beginning with www., or a bare host of a well-known top-level domain.

The normal form has scheme and host in lower case; the path is left as it was written and no scheme is made up.
"""

from __future__ import annotations

import re

from pipeline.finders import Settled, Span

_CHARACTERS = r"[^\s<>\"“”«»„‘’`{}|\\^、。，）」』\u0600\u060c]"
_LONGEST = 2_000
_START = re.compile(r"(?<![A-Za-z0-9_@])(?:(?:https?|ftp)://|www\.)(?=[\w\[])", re.IGNORECASE)
_REST = re.compile(rf"{_CHARACTERS}{{1,{_LONGEST}}}")
_BARE = re.compile(
    r"(?<![\w@.-])(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,4}"
    r"(?:com|net|org|edu|gov|info|biz|io|eu|de|at|ch|fr|es|pt|it|nl|be|pl|ru|tr|in|cn|jp|uk|us|ca|au|br|mx|my|sg|ae|sa)"
    rf"(?![\w@-]|\.\w)(?:/{_CHARACTERS}{{0,{_LONGEST}}})?",
    re.IGNORECASE,
)
_AUTHORITY = re.compile(r"(?:[a-z]+://)?[^/?#]*", re.IGNORECASE)
_CLOSES = {")": "(", "]": "["}


def find(text: str, settled: Settled) -> list[Span]:  # noqa: ARG001
    """Every web address, without the punctuation of the sentence it stands in."""
    found = []
    position = 0
    while match := _START.search(text, position):
        rest = _REST.match(text, match.end())
        position = rest.end() if rest else match.end()
        found.append((match.start(), position))
    taken = iter([*found, (len(text), len(text))])
    current = next(taken)
    for match in _BARE.finditer(text):
        while current[1] <= match.start():
            current = next(taken, (len(text) + 1, len(text) + 1))
        if match.end() <= current[0]:
            found.append(match.span())
    spans = []
    for start, stop in sorted(found):
        address = _without_sentence_marks(text[start:stop])
        authority = _AUTHORITY.match(address)
        if authority and any(char.isalnum() for char in authority.group().partition("//")[2] or authority.group()):
            spans.append(Span(start, start + len(address), authority.group().lower() + address[authority.end() :]))
    return spans


def _without_sentence_marks(address: str) -> str:
    while address:
        last = address[-1]
        closes = _CLOSES.get(last)
        if last in ".,;:!?'*_~" or (closes and address.count(last) > address.count(closes)):
            address = address[:-1]
        else:
            break
    return address

"""E-mail addresses. The normal form has its domain in lower case; the local part is left as it was written."""

from __future__ import annotations

import re

from pipeline.finders import Settled, Span

_LOCAL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}\Z")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_](?:[\w-]{0,61}[^\W_])?(?![\w-])")


def find(text: str, settled: Settled) -> list[Span]:  # noqa: ARG001
    """Every address around an @. Quoted local parts and bracketed hosts are not read."""
    spans = []
    at = text.find("@")
    while at >= 0:
        local = _LOCAL.search(text, max(at - 64, 0), at)
        domain = _DOMAIN.match(text, at + 1)
        if local and domain:
            name = local.group().lstrip(".'`/=*{|")
            if name and not name.endswith(".") and ".." not in name:
                start = at - len(name)
                spans.append(Span(start, domain.end(), f"{name}@{domain.group().lower()}"))
        at = text.find("@", at + 1)
    return spans

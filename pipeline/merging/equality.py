"""When two values say the same: by white space and case, and for typed texts by what they mean.

It looks at the values only, not at where they stand.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from pipeline.finders import MENDED, Normalised, Settled, mend, normalise
from pipeline.schema import List, Node, Object, Text


def key_of(node: Node, value: object, settled: Settled) -> object:
    """Equal keys: the same value, whatever its white space, case and, for typed texts, its way of writing."""
    if isinstance(node, Object) and isinstance(value, Mapping):
        return tuple(key_of(member.node, value.get(member.name), settled) for member in node.fields)
    if isinstance(node, List) and isinstance(value, list | tuple):
        return tuple(key_of(node.items, item, settled) for item in value)
    if isinstance(value, bool) or not isinstance(value, str):
        return (type(value) is bool, value)
    if isinstance(node, Text) and node.type != "text":
        normal = normalised(node, value, settled)
        if normal is not None:
            return normal.meaning(node.type)
    return folded(value)


def normalised(node: Text, value: str, settled: Settled) -> Normalised | None:
    """What a typed text means in its document; None for other words."""
    text = mend(value) if node.type in MENDED else value
    return normalise(text, node.type, day_first=settled.day_first, decimal=settled.decimal)


def folded(text: str) -> str:
    """One blank for any white space, compatibility forms written out, no case. Line-end hyphens stay."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())

"""Special tokens by their texts: found in templates, broken apart in documents.

llama.cpp parses user-defined tokens in every text, and SentencePiece can merge characters into a control token.
So a document could forge the end of a turn; `safe_parts` cuts its text so that no part holds a special text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_MARKUP_CHARACTERS = frozenset("<>[]{}|")
_C_SPACE = " \t\n\v\f\r"  # what C's isspace() takes for white space


def is_markup(text: str) -> bool:
    """Whether a user-defined token looks like markup (`<|user|>`), not like text (a run of spaces)."""
    return len(text) > 1 and not _MARKUP_CHARACTERS.isdisjoint(text)


@dataclass(frozen=True, slots=True)
class Special:
    """A token that templates spell out. Some swallow the white space beside them."""

    token: int
    text: str
    strips_left: bool = False
    strips_right: bool = False


class Markup:
    """The special tokens of one vocabulary."""

    def __init__(self, specials: Iterable[Special]) -> None:
        self._specials = {special.text: special for special in specials if special.text}
        self.tokens = frozenset(special.token for special in self._specials.values())
        lengths: dict[str, set[int]] = {}
        for text in self._specials:
            lengths.setdefault(text[0], set()).add(len(text))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}
        self._first = re.compile("[" + re.escape("".join(lengths)) + "]") if lengths else None

    def _find(self, text: str) -> Iterator[tuple[int, Special]]:
        """Occurrences from left to right, the longest at each place, not overlapping."""
        end = 0
        for match in self._first.finditer(text) if self._first else ():
            start = match.start()
            if start < end:
                continue
            for length in self._lengths[match[0]]:
                special = self._specials.get(text[start : start + length])
                if special is not None:
                    yield start, special
                    end = start + length
                    break

    def _starts(self, text: str) -> Iterator[int]:
        """Every place where a special text begins, also within another one: breaking one must not free the next."""
        for match in self._first.finditer(text) if self._first else ():
            start = match.start()
            if any(text[start : start + length] in self._specials for length in self._lengths[match[0]]):
                yield start

    def occurs(self, text: str) -> bool:
        """Whether `text` holds the text of a special token."""
        return next(self._find(text), None) is not None

    def split(self, text: str) -> list[int | str]:
        """A template's text as special token ids and the raw stretches between them."""
        parts: list[int | str] = []
        end, strip_next = 0, False
        for start, special in self._find(text):
            raw = text[end:start]
            raw = raw.lstrip(_C_SPACE) if strip_next else raw
            raw = raw.rstrip(_C_SPACE) if special.strips_left else raw
            parts += [raw, special.token] if raw else [special.token]
            end, strip_next = start + len(special.text), special.strips_right
        raw = text[end:].lstrip(_C_SPACE) if strip_next else text[end:]
        return [*parts, raw] if raw else parts

    def safe_parts(self, text: str) -> list[str]:
        """`text` in parts of which none holds a special text; joined they are `text`."""
        parts, end = [], 0
        for start in self._starts(text):
            parts.append(text[end : start + 1])
            end = start + 1
        parts.append(text[end:])
        return [part for part in parts if part]

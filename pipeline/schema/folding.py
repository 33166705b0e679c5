"""Folding: the text a reader means, without the accidents of its layout. One function for grammar and checks.

White space and line breaks become one space, words hyphenated at a line end are joined (a soft hyphen joins capitals
too), Unicode is composed (NFC), ligatures and presentation forms are written out, invisible and control characters
vanish.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import cache

_SOFT_HYPHEN = "\u00ad"
_HYPHENS = "-\u2010" + _SOFT_HYPHEN
_KEPT_FORMATS = "\u200c\u200d"  # joiners change how Persian, Indic scripts and emoji read
_PRESENTATION = ((0xFB00, 0xFDFF), (0xFE70, 0xFEFC))

_LETTERSPACED = re.compile(r"(?<!\S)(?:\S\s+){2,}\S(?!\S)|(?<!\S)[\u2e80-\u9fff]\s+[\u2e80-\u9fff](?!\S)")

_SPACELESS = re.compile("[\u0e00-\u0eff\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f]")


@dataclass(frozen=True, slots=True)
class Folded:
    """`text[i]` came from `original[starts[i]:ends[i]]`."""

    text: str = field(repr=False)
    starts: tuple[int, ...] = field(repr=False)
    ends: tuple[int, ...] = field(repr=False)


def fold(text: str) -> Folded:
    """Fold `text`. Folding twice changes nothing more; no space stands at either end."""
    seen = _seen(text)
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    here = 0
    while here < len(seen):
        char = seen[here][0]
        if char in _HYPHENS and out and out[-1].isalpha() and (after := _after_break(seen, here)):
            here = after
            continue
        if char == _SOFT_HYPHEN:
            here += 1
            continue
        following = _cluster(seen, here)
        for piece in _composed("".join(char for char, _ in seen[here:following])):
            if piece == " " and (not out or out[-1] == " "):
                continue
            out.append(piece)
            starts.append(seen[here][1])
            ends.append(seen[following - 1][1] + 1)
        here = following
    if out and out[-1] == " ":
        del out[-1], starts[-1], ends[-1]
    return Folded("".join(out), tuple(starts), tuple(ends))


def as_label(line: str) -> str:
    """The line as it is searched for the words that a field is near: without case, words printed with a space between
    their letters ("S U M M E", two characters of Chinese or Japanese) joined. Folds nothing else."""
    return _LETTERSPACED.sub(lambda match: "".join(match.group().split()), line).casefold()


@cache
def label_pattern(word: str) -> re.Pattern[str]:
    """Finds a word that a field is near in what `as_label` gives: where a word begins ("total" in "Totale", not in
    "Subtotal"); in scripts that write no spaces anywhere."""
    plain = fold(word).text.casefold()
    anywhere = _SPACELESS.match(plain) or not plain[:1].isalnum()
    return re.compile(("" if anywhere else r"(?<![^\W_])") + re.escape(plain))


def _seen(text: str) -> list[tuple[str, int]]:
    """The characters that show, with their places; of soft hyphens those at a line's end."""
    shown = [(char, at) for at, char in enumerate(text) if char.isspace() or char == _SOFT_HYPHEN or _visible(char)]
    if _SOFT_HYPHEN not in text:
        return shown
    behind = [*(char for char, _ in shown[1:]), ""]
    return [one for one, after in zip(shown, behind, strict=True) if one[0] != _SOFT_HYPHEN or after.isspace()]


def _after_break(seen: list[tuple[str, int]], hyphen: int) -> int | None:
    """Where the word goes on behind a hyphen at a line end; None where the hyphen is not one of those."""
    breaks, here = 0, hyphen + 1
    while here < len(seen) and (seen[here][0].isspace() or seen[here][0] == _SOFT_HYPHEN):
        breaks += seen[here][0] == "\n"
        here += 1
    if breaks != 1 or here == len(seen):
        return None
    goes_on = str.isalpha if seen[hyphen][0] == _SOFT_HYPHEN else str.islower
    return here if goes_on(seen[here][0]) else None


def _cluster(seen: list[tuple[str, int]], start: int) -> int:
    """The end of a character with the marks that may compose with it: NFC does not reach across it."""
    end = start + 1
    while end < len(seen) and _is_mark(seen[end][0]):
        end += 1
    return end


def _is_mark(char: str) -> bool:
    if char < "\u0300":
        return False
    return "\u1160" <= char <= "\u11ff" or unicodedata.category(char) in ("Mn", "Mc")


def _composed(cluster: str) -> str:
    """One character (with its marks) folded."""
    if len(cluster) == 1 and "!" <= cluster <= "~":
        return cluster
    if any(low <= ord(char) <= high for char in cluster for low, high in _PRESENTATION):
        cluster = unicodedata.normalize("NFKC", cluster)
    composed = unicodedata.normalize("NFC", cluster)
    return "".join(" " if char.isspace() else char for char in composed)


def _visible(char: str) -> bool:
    if "!" <= char <= "~":
        return True
    return char in _KEPT_FORMATS or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Cn")

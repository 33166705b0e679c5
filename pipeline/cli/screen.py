"""What a person sees: results on stdout, messages on stderr, and no character that a terminal would obey.

Colours appear on a terminal only, and never with NO_COLOR. Knows nothing of runs, tasks or databases.
"""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal, TextIO

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_STYLES = {"bold": "1", "dim": "2", "red": "1;31", "green": "32", "yellow": "33"}

Style = Literal["bold", "dim", "red", "green", "yellow"]


def safe(text: str) -> str:
    """`text` with control characters written as escapes: a file's name cannot move the cursor or change a title."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def colours(stream: TextIO) -> bool:
    """Whether styles may be used on this stream."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, style: Style, stream: TextIO | None = None) -> str:
    """`text` in a style where the stream (default: stdout) shows it. Escapes what is in the text first."""
    text = safe(text)
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if colours(stream or sys.stdout) else text


def out(*lines: str, end: str = "\n") -> None:
    """Print a result. Where nobody reads any more (`| head`), nothing happens."""
    try:
        for line in lines:
            print(line, end=end)
        sys.stdout.flush()
    except BrokenPipeError:
        nobody_reads()


def note(*lines: str) -> None:
    """Print a message beside the results."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def error(message: str, hint: str = "") -> None:
    """Print what went wrong and the next step."""
    note(f"{styled('Error:', 'red', sys.stderr)} {safe(message)}")
    if hint:
        note(f"  {safe(hint)}")


def nobody_reads() -> None:
    """Send what is still to be printed nowhere, also what Python flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def counted(number: int, noun: str) -> str:
    """`1 document`, `2,310 documents`, `2 pieces of work`, `3 failures`."""
    if number == 1:
        return f"1 {noun}"
    first, space, rest = noun.partition(" ")
    plural = first[:-1] + "ies" if re.search(r"[^aeiou]y$", first) else first + "s"
    return f"{number:,} {plural}{space}{rest}"


def listed(words: Sequence[str], joined_by: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} {joined_by} {last}" if most else last


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def table(heads: Sequence[str], rows: Iterable[Sequence[str | int]]) -> list[str]:
    """Lines of a table: numbers to the right, words to the left, as wide as needed."""
    given = [*rows]
    cells = [[f"{cell:,}" if isinstance(cell, int) else safe(cell) for cell in row] for row in given]
    right = [bool(given) and all(isinstance(row[i], int) for row in given) for i in range(len(heads))]
    widths = [max(map(_width, column)) for column in zip(heads, *cells, strict=True)]
    lines = []
    for number, row in enumerate([[*heads], *cells]):
        padded = []
        for cell, width, to_the_right in zip(row, widths, right, strict=True):
            space = " " * (width - _width(cell))
            padded.append(space + cell if to_the_right else cell + space)
        line = "  ".join(padded).rstrip()
        lines.append(styled(line, "bold") if number == 0 else line)
    return lines


def _width(text: str) -> int:
    """Columns of a terminal that the text takes."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )

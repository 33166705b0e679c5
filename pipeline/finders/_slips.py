"""Letters that OCR reads in place of digits: O for 0, and l, I or | for 1."""

from __future__ import annotations

import re

_RUN = re.compile(r"(?<![^\W\d_])[\dOoIl|]++(?:[.,/:'-][\dOoIl|]++)*+(?![^\W\d_])")
_DIGITS = str.maketrans("OoIl|", "00111")


def mend(text: str) -> str:
    """The text with these letters as digits where digits stand beside them and no other letters; of the same length.

    A last l stays: 2l are two litres.
    """
    return _RUN.sub(lambda run: _mended(run[0]), text)


def _mended(run: str) -> str:
    if not any(char.isdigit() for char in run):
        return run
    return run[:-1].translate(_DIGITS) + (run[-1] if run[-1] == "l" else run[-1].translate(_DIGITS))

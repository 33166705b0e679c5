"""What every text goes through, whatever its format.

- Line ends become `\\n`. Control characters (NUL too), byte order marks and lone surrogates go; tabs stay.
- Unicode NFC: one spelling of a text gives one chunk, one work key and one row of tokens, and a value that a
  person types is found. Lost: whether a file wrote é as one character or as two, and the compatibility forms
  of a few Han characters. Not NFKC: it would turn ½ into 1⁄2 and ² into 2, and those are values.
- White space at the end of lines goes, and so do blank lines at a page's ends and all but one elsewhere.

Offsets anywhere in Nightdesk count in the text that comes out of here.
"""

from __future__ import annotations

import re
import unicodedata

_UNWANTED = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
_MARKS = "".join(chr(code) for code in range(0x300, 0x20000) if unicodedata.combining(chr(code)))
_HEAP_OF_MARKS = re.compile(f"([{_MARKS}]{{64,}})")
_PERHAPS_A_HEAP = re.compile("[^\x00-\u02ff\u3100-\ua66e\uac00-\ud7ff]{64}")  # quick, and clears most texts


def clean(text: str) -> str:
    """The text as it is kept. Linear in its length."""
    lines = _UNWANTED.sub("", text).splitlines()  # at every line end that Unicode knows
    text = "\n".join(map(str.rstrip, lines)).strip("\n")
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    if text.isascii():
        return text
    if not _PERHAPS_A_HEAP.search(text):
        return unicodedata.normalize("NFC", text)
    # Normalising takes time square in the number of marks on one letter, so heaps of marks stay as they are.
    pieces = _HEAP_OF_MARKS.split(text)
    pieces[::2] = [unicodedata.normalize("NFC", piece) for piece in pieces[::2]]
    return "".join(pieces)

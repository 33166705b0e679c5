"""A Document -> Chunks: places in its text that fit a token budget.

Knows nothing of models: the token counter is passed in. Counting a whole is not the sum of counting its parts, so
every chunk that is returned was itself counted. Calls are not free either: the length of a chunk is guessed from the
density of the text before it, and most chunks are right at the first count.

A cut is made at the best structure in reach: page, heading, paragraph, sentence, line, word, and between two
characters only where a single word is longer than half a chunk.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator

from pipeline.data import Chunk, Document
from pipeline.errors import TaskError

# A blank line, a page break or a form feed ends a paragraph.
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*|\f\s*")
_LINE = re.compile(r"[\n\r\v\u0085\u2028\u2029]\s*")
# After a full stop a sentence begins only where no lower-case letter follows: "e.g. this" is not an end.
_SENTENCE = re.compile(r"(?:[.!?…؟۔।॥][\"'”’»)\]]{0,3}\s+|[。！？｡][」』”’）]{0,3}\s*)")
_WORD = re.compile(r"\s+")
_NOT_WHITE = re.compile(r"\S")
_HEADING = re.compile(
    r"(?:(?<=\n)|(?<=\f))[^\S\n]*(?:#{1,6}[ \t]|(?:\d{1,3}\.){1,4}\d{0,3}[ \t]+[^\W\d_]|"
    r"(?:ARTICLE|Article|SECTION|Section|§|Artikel|Artigo|Artículo|第)[ \t]*[\dIVXLC一二三四五六七八九十])"
)

# How much of the reachable text a chunk must fill before a cut of this kind is taken.
_LEAST_FILL = {"page": 0.5, "heading": 0.5, "paragraph": 0.6, "sentence": 0.7, "line": 0.75, "word": 0.5}

_AIM = 0.95  # of the budget, so that a guess a little too long still fits
_DENSE_ENOUGH = 0.8  # a guess that reached less of the budget than this is made again
_PROBE_FACTOR = 2  # a beginning that needs this many budgets proves that the whole does not fit


def chunk(document: Document, *, budget: int, overlap: int, count: Callable[[str], int]) -> list[Chunk]:
    """Cut a document into chunks of at most `budget` tokens by `count`, each repeating about `overlap` of the last.

    `document.text[c.start:c.end] == c.text`, every character that is not white space lies in a chunk, starts strictly
    increase, and a text that fits is one chunk. A document without text has none. White space at the ends of a chunk
    is left out. The same input gives the same chunks.

    The counter is trusted in one thing: a text does not need less than half the tokens of its own beginning.
    """
    if budget < 1:
        raise TaskError(f"The chunk budget is {budget} tokens.", hint="Give it at least 1, better 256 or more.")
    if not 0 <= overlap < budget:
        raise TaskError(
            f"The chunk overlap is {overlap} tokens and the chunk budget {budget}.",
            hint="Make the overlap smaller than the budget; a tenth of it is usual.",
        )
    return list(_Cutter(document, budget, overlap, count).chunks())


class _Cutter:
    """One pass over one document. `density` (characters a token) is the only thing that changes."""

    def __init__(self, document: Document, budget: int, overlap: int, count: Callable[[str], int]) -> None:
        self.document = document
        self.text = document.text
        self.end = len(self.text.rstrip())
        self.budget = budget
        self.overlap = overlap
        self.count = count
        self.page_starts = sorted({page.start for page in document.pages})
        self.density = 4.0

    def chunks(self) -> Iterator[Chunk]:
        start = self._skip_white(0)
        if start >= self.end:
            return
        whole = self._count_if_it_may_fit(start)
        if whole is not None and whole <= self.budget:
            yield self._chunk(0, start, self.end, whole)
            return
        index, last_end = 0, start
        while start < self.end:
            end, tokens = self._longest(start)
            if end <= last_end:  # the overlap left no room for anything new
                start = self._skip_white(last_end)
                end, tokens = self._longest(start)
            yield self._chunk(index, start, end, tokens)
            index, last_end = index + 1, end
            if self._skip_white(end) >= self.end:
                return
            start = self._overlap_start(start, end)

    def _chunk(self, index: int, start: int, end: int, tokens: int) -> Chunk:
        return Chunk(self.document.sha256, index, start, end, self.text[start:end], tokens)

    def _skip_white(self, position: int) -> int:
        match = _NOT_WHITE.search(self.text, position)
        return match.start() if match else self.end

    def _trim(self, start: int, end: int) -> int:
        return start + len(self.text[start:end].rstrip())

    def _count_if_it_may_fit(self, start: int) -> int | None:
        """Tokens of the whole text, or None once a beginning of it shows that it cannot fit."""
        length = self.budget * _PROBE_FACTOR
        while True:
            stop = min(start + length, self.end)
            tokens = self.count(self.text[start:stop])
            if stop == self.end:
                return tokens
            self.density = (stop - start) / max(tokens, 1)
            if tokens > self.budget * _PROBE_FACTOR:
                return None
            length *= 2

    def _longest(self, start: int) -> tuple[int, int]:
        """The end of a chunk that begins at `start`, and its tokens: full, cut at the best structure, verified."""
        guess = start + max(1, int(self.budget * self.density * _AIM))
        growths = 0
        best: tuple[int, int] | None = None
        while True:
            guess = min(guess, self.end)
            end = self._trim(start, self._cut(start, guess)) if guess < self.end else self.end
            tokens = self.count(self.text[start:end])
            if tokens > self.budget:
                if best is not None:
                    return best
                if end - start <= 1:
                    raise TaskError(
                        f"The chunk budget of {self.budget} tokens is smaller than one character of the text.",
                        hint="Raise the chunk budget of the task to 256 or more.",
                    )
                guess = start + min(int((end - start) * self.budget * _AIM / tokens), (end - start) * 3 // 4)
                guess = max(guess, start + 1)
                self.density = max((guess - start) / self.budget, 0.01)
                continue
            best = (end, tokens)
            self.density = (end - start) / max(tokens, 1)
            reached = tokens * (guess - start) / max(end - start, 1)
            if end >= self.end or reached >= self.budget * _DENSE_ENOUGH or growths == 2:
                return best
            growths += 1
            guess = start + max(int(self.budget * self.density * _AIM), guess - start + 1)

    def _cut(self, start: int, limit: int) -> int:
        """The best place to cut in (start, limit]."""
        span = limit - start
        low = start + max(1, int(span * _LEAST_FILL["page"]))
        page = bisect_right(self.page_starts, limit) - 1
        if page >= 0 and self.page_starts[page] >= low:
            return self.page_starts[page]
        for kind, pattern in (
            ("heading", _HEADING),
            ("paragraph", _PARAGRAPH),
            ("sentence", _SENTENCE),
            ("line", _LINE),
            ("word", _WORD),
        ):
            low = start + max(1, int(span * _LEAST_FILL[kind]))
            cut = self._last(kind, pattern, low, limit)
            if cut is not None:
                return cut
        return self._between_characters(start, limit)

    def _last(self, kind: str, pattern: re.Pattern[str], low: int, limit: int) -> int | None:
        """The last such place in [low, limit]. The near end is looked at first: it is where most cuts are."""
        near = max(low, limit - (limit - low) // 8)
        for begin, stop in ((near, limit), (low, near)):
            last = None
            for place in self._places(kind, pattern, begin, stop):
                last = place
            if last is not None:
                return last
        return None

    def _places(self, kind: str, pattern: re.Pattern[str], low: int, limit: int) -> Iterator[int]:
        """Places of this kind in [low, limit] at which a new chunk may begin."""
        text = self.text
        # A match that ends at `low` begins before it; one character after `limit` tells what follows there.
        for match in pattern.finditer(text, max(low - 8, 0), min(limit + 1, self.end)):
            place = match.start() if kind == "heading" else match.end()
            if place > limit and text[limit].isspace():
                place = limit
            if not low <= place <= limit:
                continue
            if kind == "sentence" and text[match.start()] == "." and text[place : place + 1].islower():
                continue
            yield place

    def _between_characters(self, start: int, limit: int) -> int:
        """A cut inside a word that does not part a letter from its marks, where that can be helped."""
        for place in range(limit, max(limit - 16, start + 1), -1):
            if self._is_character_boundary(place):
                return place
        return limit

    def _is_character_boundary(self, place: int) -> bool:
        if place >= self.end:
            return True
        after, before = self.text[place], self.text[place - 1]
        joined = unicodedata.category(after).startswith("M") or after in "\u200c\u200d" or before == "\u200d"
        return not joined and not (before == "\r" and after == "\n") and not 0x1F3FB <= ord(after) <= 0x1F3FF

    def _overlap_start(self, start: int, end: int) -> int:
        """Where the next chunk begins: at a sentence or line that repeats at most `overlap` tokens of [start, end)."""
        if self.overlap == 0:
            return self._skip_white(end)
        length = max(1, int(self.overlap * self.density))
        for _ in range(6):
            low = max(end - length, start + 1)
            place = self._skip_white(self._overlap_place(low, end))
            if place >= end:
                break
            tokens = self.count(self.text[place:end])
            if tokens <= self.overlap:
                return place
            length = min(int((end - place) * self.overlap * _AIM / tokens), end - place - 1)
            if length < 1:
                break
        return self._skip_white(end)

    def _overlap_place(self, low: int, end: int) -> int:
        """The best beginning in [low, end): a sentence or line in its first two thirds, else a word or character."""
        aligned = low + (end - low) * 2 // 3
        page = bisect_left(self.page_starts, low)
        places = [self.page_starts[page]] if page < len(self.page_starts) else []
        for kind, pattern in (("paragraph", _PARAGRAPH), ("sentence", _SENTENCE), ("line", _LINE)):
            places.extend(list(self._places(kind, pattern, low, aligned))[:1])
        places = [place for place in places if place <= aligned]
        if places:
            return min(places)
        for place in self._places("word", _WORD, low, end - 1):
            return place
        for place in range(low, min(low + 16, end)):
            if self._is_character_boundary(place):
                return place
        return low

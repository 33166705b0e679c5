"""All the places where one value stands in a text, and how it was found there: as it is written, else more freely.

Any text may stand folded; a plain one also by letters and digits only, or in a stretch that is alike. A number, or a
text that has a type, may stand in another writing of the same, never in one that is only alike. Which of the places is
the value's is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from functools import cached_property, lru_cache

from rapidfuzz import fuzz

from pipeline.data import Found
from pipeline.finders import MENDED, Span, ValueType, find, mend, normalise
from pipeline.grounding.folding import Folding, Place, is_aligned, is_unspaced
from pipeline.grounding.leaves import Leaf
from pipeline.schema import Number, Text

_MOST_PLACES = 200  # of one value; more are counted but not weighed against each other
_FUZZY_SCORE = 85.0
_FUZZY_SHORTEST = 5  # characters; shorter ones are like something everywhere
_FUZZY_INSIDE_WORDS = 10  # characters; shorter ones must begin and end where words do
_FUZZY_WORK = 40_000_000  # characters of value times characters of text


class Source:
    """A text that is searched, folded only when something is not in it as it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._spans: dict[ValueType, list[Span]] = {}
        self._own: dict[ValueType, frozenset[Place]] = {}

    @cached_property
    def folded(self) -> Folding:
        """The text without the accidents of layout."""
        return Folding.of(self.text)

    @cached_property
    def squeezed(self) -> Folding:
        """The text by letters, marks and digits only."""
        return self.folded.squeezed()

    def spans(self, type: ValueType) -> list[Span]:
        """A type's values, with their normal forms."""
        if type not in self._spans:
            self._spans[type] = find(self.text, type)
        return self._spans[type]

    def own(self, type: ValueType, places: Sequence[Place]) -> list[Place]:
        """Those of the places that are values of a type by themselves: the 3 of "3 pieces", not that of "3/4/2018"."""
        if type == "text" or not places:
            return list(places)
        if type not in self._own:
            spans = self.spans(type)
            if type in MENDED and (mended := mend(self.text)) != self.text:
                spans = [*spans, *find(mended, type)]
            self._own[type] = frozenset((span.start, span.end) for span in spans)
        return [place for place in places if place in self._own[type]]


@lru_cache(maxsize=4)
def _examples_source(text: str) -> Source:
    return Source(text)


def locate(leaf: Leaf, source: Source, examples: str, pointed: bool) -> Leaf:
    """The leaf itself, with how it was found, its places and their count; `place` stays open.

    Generated values are not looked for. A value that stands only in the examples gets no place.
    """
    if leaf.node is None:
        leaf.found = Found.GENERATED
        return leaf
    found, places = _find(leaf.node, leaf, source)
    if pointed and not places:  # where words end is the grammar's to say
        places = list(_all_places(leaf.written, source.text))
    if pointed and places and found is not Found.FUZZY:
        found = Found.POINTED
    if not places and examples and _find(leaf.node, leaf, _examples_source(examples))[1]:
        found = Found.FROM_EXAMPLE
    elif not places and isinstance(leaf.node, Text) and leaf.node.type == "text":
        found, places = _find_alike(leaf.written, source)
    leaf.found, leaf.places, leaf.count = found, places[:_MOST_PLACES], len(places)
    return leaf


def _find(node: Text | Number, leaf: Leaf, source: Source) -> tuple[Found, list[Place]]:
    if isinstance(node, Number):
        return _find_number(leaf.value, source)
    return _find_text(leaf.written, node.type, source)


def _find_text(value: str, type: ValueType, source: Source) -> tuple[Found, list[Place]]:
    """As it is written; else folded; else what has a type in another writing, and a text by letters and digits only.

    One character makes another amount or address: what has a type is never just like its place. It stands where the
    finder of its type accepts it, if it stands at such a place at all.
    """
    exact = [place for place in _all_places(value, source.text) if is_aligned(source.text, place)]
    if own := source.own(type, exact):
        return Found.EXACT, own
    folded = _folded_places(Folding.of(value).text, source)
    if own := source.own(type, folded):
        return Found.FOLDED, own
    if exact or folded:
        return (Found.EXACT, exact) if exact else (Found.FOLDED, folded)
    if type != "text":
        places = _in_another_writing(value, type, source)
        return (Found.FOLDED if places else Found.NOT_FOUND), places
    bare = Folding.of(value).squeezed().text
    if len(bare) >= _FUZZY_SHORTEST:
        places = [source.squeezed.original(place) for place in _all_places(bare, source.squeezed.text)]
        # Scans break words anywhere; long enough runs of letters are no chance.
        whole = [place for place in places if is_aligned(source.text, place)]
        if whole or (places and len(bare) >= _FUZZY_INSIDE_WORDS):
            return Found.FUZZY, whole or places
    return Found.NOT_FOUND, []


def _folded_places(wanted: str, source: Source) -> list[Place]:
    folded = source.folded
    inner = [place for place in _all_places(wanted, folded.text) if is_aligned(folded.text, place)] if wanted else []
    places = [folded.original(place) for place in inner]
    return [place for place in places if is_aligned(source.text, place)]


def _in_another_writing(value: str, type: ValueType, source: Source) -> list[Place]:
    normal = normalise(value, type)
    if normal is None:
        return []
    return _without_inner(
        [
            (span.start, span.end)
            for span in source.spans(type)
            if _same_form(type, span.value, normal.value)
            and (None in (span.currency, normal.currency) or span.currency == normal.currency)
        ]
    )


def _find_number(value: object, source: Source) -> tuple[Found, list[Place]]:
    """Where the same number is written, whatever its marks: 1234.5 stands in 1.234,50."""
    written = f"{value:.15g}" if isinstance(value, float) else f"{value}"
    exact: list[Place] = []
    folded: list[Place] = []
    for type in ("number", "money"):
        for span in source.spans(type):
            if _same_form("number", span.value, written):
                found = exact if source.text[span.start : span.end] == written else folded
                found.append((span.start, span.end))
        if exact:
            return Found.EXACT, exact
        if folded:
            return Found.FOLDED, _without_inner(folded)
    return Found.NOT_FOUND, []


def _find_alike(value: str, source: Source) -> tuple[Found, list[Place]]:
    """The stretch of a text that differs in a few characters, as an OCR slip or a model's own spelling does."""
    wanted, text = Folding.of(value).text, source.folded.text
    if not _FUZZY_SHORTEST <= len(wanted) <= len(text) or len(wanted) * len(text) > _FUZZY_WORK:
        return Found.NOT_FOUND, []
    best = fuzz.partial_ratio_alignment(wanted, text, score_cutoff=_FUZZY_SCORE)
    if best is None or best.dest_end <= best.dest_start:
        return Found.NOT_FOUND, []
    start, end = best.dest_start, best.dest_end
    while start > 0 and text[start - 1].isalnum() and text[start].isalnum() and not is_unspaced(text[start]):
        start -= 1
    while end < len(text) and text[end].isalnum() and text[end - 1].isalnum() and not is_unspaced(text[end]):
        end += 1
    while start < end - 1 and text[start] == " ":
        start += 1
    while end > start + 1 and text[end - 1] == " ":
        end -= 1
    # Whole words may be less alike than the part of them that matched.
    if fuzz.ratio(wanted, text[start:end]) < _FUZZY_SCORE:
        return Found.NOT_FOUND, []
    return Found.FUZZY, [source.folded.original((start, end))]


def _same_form(type: str, one: str, other: str) -> bool:
    if type not in ("number", "money"):
        return one == other
    try:
        return Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False


def _all_places(wanted: str, text: str) -> Iterator[Place]:
    start = text.find(wanted)
    while start >= 0:
        yield (start, start + len(wanted))
        start = text.find(wanted, start + len(wanted))


def _without_inner(places: Sequence[Place]) -> list[Place]:
    """Only the longest of places that lie in each other: "RM 60.30" and its "60.30" are one occurrence."""
    kept: list[Place] = []
    for start, end in sorted(set(places), key=lambda place: (place[0], -place[1])):
        if not kept or end > kept[-1][1]:
            kept.append((start, end))
    return kept

"""A value -> where it stands in its document, and how that was found; or that it stands nowhere.

Every value of an answer gets one Evidence. Enumerations, booleans and summaries are the model's own words: they are
marked as generated and not looked for, because a chance match would look like proof. Null values and empty texts have
nothing to prove.

Only the chunk that was read is searched: the model saw nothing else. Offsets always count in the document's own text,
and `quote` is exactly what stands there.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property, lru_cache

from rapidfuzz import fuzz

from pipeline.data import Chunk, Document, Evidence, Found, Page
from pipeline.data import Place as NamedPlace
from pipeline.finders import MENDED, Span, ValueType, find, mend, normalise
from pipeline.schema import Boolean, Choice, List, Node, Number, Object, Text, fold

_MOST_PLACES = 200  # of one value; more are counted but not weighed against each other
_FUZZY_SCORE = 85.0
_FUZZY_SHORTEST = 5  # characters; shorter ones are like something everywhere
_FUZZY_INSIDE_WORDS = 10  # characters; shorter ones must begin and end where words do
_FUZZY_WORK = 40_000_000  # characters of value times characters of text
_LINE_COSTS = 80  # a line break between two parts of an item counts like this many characters

Place = tuple[int, int]


def extractive_paths(schema: Object) -> frozenset[str]:
    """The paths of extractive fields, items unnumbered: `total`, `items[].price`."""
    return frozenset(path for path, node in _nodes(schema, "") if isinstance(node, Text) and node.extractive)


def ground(
    values: Mapping[str, object],
    schema: Object,
    document: Document,
    *,
    chunk: Chunk | None = None,
    examples: str = "",
    pointed: Collection[str] = (),
    cut: Collection[str] = (),
) -> tuple[Evidence, ...]:
    """One Evidence for each value of an answer, in the order of the schema.

    `chunk` is what the model read (the whole document if None), `examples` the texts and answers of the task's
    examples, `pointed` the unnumbered paths that the grammar held to the chunk (see `extractive_paths`), `cut` the
    paths that the output budget cut. `occurrences` counts within what was read.
    """
    window = (chunk.start, chunk.end) if chunk else (0, len(document.text))
    source = _Source(document.text[window[0] : window[1]])
    leaves = [_locate(leaf, source, examples, leaf.generic in pointed) for leaf in _leaves(schema, values, "", "")]
    _choose(leaves, schema, source.text)
    evidence = [_evidence(leaf, document, window[0]) for leaf in leaves]
    evidence.extend(Evidence(path, "", Found.CUT) for path in dict.fromkeys(cut))
    return tuple(evidence)


@dataclass(slots=True)
class _Leaf:
    """One value and the places where it may stand. `place` is chosen last."""

    path: str
    generic: str
    node: Text | Number | None  # None: generated, so there is nothing to look for
    value: object = field(repr=False)
    item: str = ""  # the path of the outermost list item it belongs to
    found: Found = Found.NOT_FOUND
    places: list[Place] = field(default_factory=list, repr=False)
    count: int = 0
    place: Place | None = None

    @property
    def written(self) -> str:
        return self.value if isinstance(self.value, str) else f"{self.value}"


def _nodes(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    yield path, node
    if isinstance(node, Object):
        for member in node.fields:
            yield from _nodes(member.node, f"{path}.{member.name}" if path else member.name)
    elif isinstance(node, List):
        yield from _nodes(node.items, f"{path}[]")


def _leaves(node: Node, value: object, path: str, generic: str, item: str = "") -> Iterator[_Leaf]:
    match node:
        case Object() if isinstance(value, Mapping):
            dot = "." if path else ""
            for member in node.fields:
                name = f"{dot}{member.name}"
                yield from _leaves(member.node, value.get(member.name), path + name, generic + name, item)
        case List() if isinstance(value, list | tuple):
            for index, inner in enumerate(value):
                here = f"{path}[{index}]"
                yield from _leaves(node.items, inner, here, f"{generic}[]", item or here)
        case Text() if isinstance(value, str) and value.strip():
            yield _Leaf(path, generic, None if node.summary else node, value, item)
        case Number() if isinstance(value, int | float) and not isinstance(value, bool):
            yield _Leaf(path, generic, node, value, item)
        case Boolean() | Choice() if value is not None:
            yield _Leaf(path, generic, None, value, item)


# -- how a value is found ---------------------------------------------------------------------------------------


class _Source:
    """A text that is searched, folded only when something is not in it as it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._spans: dict[ValueType, list[Span]] = {}
        self._own: dict[ValueType, frozenset[Place]] = {}

    @cached_property
    def folded(self) -> _Folding:
        return _Folding.of(self.text)

    @cached_property
    def squeezed(self) -> _Folding:
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
def _examples_source(text: str) -> _Source:
    return _Source(text)


def _locate(leaf: _Leaf, source: _Source, examples: str, pointed: bool) -> _Leaf:
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


def _find(node: Text | Number, leaf: _Leaf, source: _Source) -> tuple[Found, list[Place]]:
    if isinstance(node, Number):
        return _find_number(leaf.value, source)
    return _find_text(leaf.written, node.type, source)


def _find_text(value: str, type: ValueType, source: _Source) -> tuple[Found, list[Place]]:
    """As it is written; else folded; else what has a type in another writing, and a text by letters and digits only.

    One character makes another amount or address: what has a type is never just like its place. It stands where the
    finder of its type accepts it, if it stands at such a place at all.
    """
    exact = [place for place in _all_places(value, source.text) if _is_aligned(source.text, place)]
    if own := source.own(type, exact):
        return Found.EXACT, own
    folded = _folded_places(_Folding.of(value).text, source)
    if own := source.own(type, folded):
        return Found.FOLDED, own
    if exact or folded:
        return (Found.EXACT, exact) if exact else (Found.FOLDED, folded)
    if type != "text":
        places = _in_another_writing(value, type, source)
        return (Found.FOLDED if places else Found.NOT_FOUND), places
    bare = _Folding.of(value).squeezed().text
    if len(bare) >= _FUZZY_SHORTEST:
        places = [source.squeezed.original(place) for place in _all_places(bare, source.squeezed.text)]
        # Scans break words anywhere; long enough runs of letters are no chance.
        whole = [place for place in places if _is_aligned(source.text, place)]
        if whole or (places and len(bare) >= _FUZZY_INSIDE_WORDS):
            return Found.FUZZY, whole or places
    return Found.NOT_FOUND, []


def _folded_places(wanted: str, source: _Source) -> list[Place]:
    folded = source.folded
    inner = [place for place in _all_places(wanted, folded.text) if _is_aligned(folded.text, place)] if wanted else []
    places = [folded.original(place) for place in inner]
    return [place for place in places if _is_aligned(source.text, place)]


def _in_another_writing(value: str, type: ValueType, source: _Source) -> list[Place]:
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


def _find_number(value: object, source: _Source) -> tuple[Found, list[Place]]:
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


def _find_alike(value: str, source: _Source) -> tuple[Found, list[Place]]:
    """The stretch of a text that differs in a few characters, as an OCR slip or a model's own spelling does."""
    wanted, text = _Folding.of(value).text, source.folded.text
    if not _FUZZY_SHORTEST <= len(wanted) <= len(text) or len(wanted) * len(text) > _FUZZY_WORK:
        return Found.NOT_FOUND, []
    best = fuzz.partial_ratio_alignment(wanted, text, score_cutoff=_FUZZY_SCORE)
    if best is None or best.dest_end <= best.dest_start:
        return Found.NOT_FOUND, []
    start, end = best.dest_start, best.dest_end
    while start > 0 and text[start - 1].isalnum() and text[start].isalnum() and not _is_unspaced(text[start]):
        start -= 1
    while end < len(text) and text[end].isalnum() and text[end - 1].isalnum() and not _is_unspaced(text[end]):
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


# -- folding ----------------------------------------------------------------------------------------------------

_SAME_MARKS = str.maketrans("‘’‚‛′´`“”„‟«»″‐‑‒–—−", "'''''''\"\"\"\"\"\"\"------")


@dataclass(frozen=True, slots=True)
class _Folding:
    """A text without the accidents of layout, case and Unicode form. `text[i]` came from [starts[i], ends[i])."""

    text: str = field(repr=False)
    starts: tuple[int, ...] = field(repr=False)
    ends: tuple[int, ...] = field(repr=False)

    @classmethod
    def of(cls, text: str) -> _Folding:
        """The schema's folding, and beyond it compatibility forms, case, quotes, and hyphens inside of words."""
        first = fold(text)
        out: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        for char, start, end in zip(first.text, first.starts, first.ends, strict=True):
            plain = char.lower() if char.isascii() else unicodedata.normalize("NFKC", char).casefold()
            for piece in plain.translate(_SAME_MARKS) if not char.isascii() or char == "`" else plain:
                if piece == " " and (not out or out[-1] == " "):
                    continue
                out.append(piece)
                starts.append(start)
                ends.append(end)
        # A hyphen inside a word may be the printer's or the writer's: neither counts.
        dropped: set[int] = set()
        for at in (at for at, char in enumerate(out) if char == "-"):
            after = at + 2 if out[at + 1 : at + 2] == [" "] else at + 1
            if at > 0 and after < len(out) and out[at - 1].isalpha() and out[after].isalpha():
                dropped.update(range(at, after))
        kept = [at for at in range(len(out)) if at not in dropped]
        return cls("".join(out[i] for i in kept), tuple(starts[i] for i in kept), tuple(ends[i] for i in kept))

    def squeezed(self) -> _Folding:
        """Letters, marks and digits only."""
        kept = [i for i, char in enumerate(self.text) if char.isalnum() or unicodedata.category(char)[0] == "M"]
        return _Folding(
            "".join(self.text[i] for i in kept),
            tuple(self.starts[i] for i in kept),
            tuple(self.ends[i] for i in kept),
        )

    def original(self, place: Place) -> Place:
        """Where a stretch of the folded text stands in the text that was folded."""
        return (self.starts[place[0]], self.ends[place[1] - 1])


def _is_aligned(text: str, place: Place) -> bool:
    """Whether a place begins and ends where words or numbers do: "5" does not stand in "15" or "5.00"."""
    return _is_edge(text, place[0]) and _is_edge(text, place[1])


def _is_edge(text: str, at: int) -> bool:
    if at <= 0 or at >= len(text):
        return True
    before, after = text[at - 1], text[at]
    if unicodedata.category(after)[0] == "M":
        return False
    if after.isdigit() and before in ".," and at > 1 and text[at - 2].isdigit():
        return False
    if before.isdigit() and after in ".," and text[at + 1 : at + 2].isdigit():
        return False
    if not (before.isalnum() and after.isalnum()) or _is_unspaced(before) or _is_unspaced(after):
        return True
    return before.isdigit() != after.isdigit()


_UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7AF),
             (0xF900, 0xFAFF), (0x20000, 0x3FFFF))  # fmt: skip


def _is_unspaced(char: str) -> bool:
    """Scripts that write words without blanks between them, or with endings at once behind them."""
    return char > "\u0e00" and any(low <= ord(char) <= high for low, high in _UNSPACED)


# -- which of several places ------------------------------------------------------------------------------------


def _choose(leaves: Sequence[_Leaf], schema: Object, text: str) -> None:
    """Give each leaf its place: a scalar its first, the parts of a list item near each other, no place twice."""
    in_order = {path for path, node in _nodes(schema, "") if isinstance(node, List) and node.in_order}
    used: dict[str, set[Place]] = {}
    reached: dict[str, tuple[int, int]] = {}  # by list: where the last item's anchor began, where the item ended
    items: dict[str, list[_Leaf]] = {}
    for leaf in leaves:
        if leaf.item:
            items.setdefault(leaf.item, []).append(leaf)
        elif leaf.places:
            leaf.place = leaf.places[0]
    for item, members in items.items():
        parts = [part for part in members if part.places]
        if not parts:
            continue
        which = item[: item.rindex("[")]
        taken = used.setdefault(which, set())
        anchor_began, ended = reached.get(which, (0, 0))
        floor = ended if _unnumbered(which) in in_order else anchor_began
        anchor = min(parts, key=lambda part: part.count)
        anchor.place = _first_free(anchor.places, taken, floor)
        for part in parts:
            if part is not anchor:
                part.place = _nearest(part.places, anchor.place, taken, text)
        taken.update(part.place for part in parts if part.place)
        reached[which] = (anchor.place[0], max(part.place[1] for part in parts if part.place))


def _unnumbered(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path)


def _first_free(places: Sequence[Place], taken: Collection[Place], floor: int) -> Place:
    for place in places:
        if place[0] >= floor and place not in taken:
            return place
    return next((place for place in places if place not in taken), places[0])


def _nearest(places: Sequence[Place], anchor: Place, taken: Collection[Place], text: str) -> Place:
    def distance(place: Place) -> tuple[bool, int]:
        gap = (anchor[1], place[0]) if place[0] >= anchor[1] else (place[1], anchor[0])
        width = max(gap[1] - gap[0], 0)
        lines = text.count("\n", gap[0], gap[1]) if width < 10_000 else width // 40
        return (place in taken, width + lines * _LINE_COSTS)

    return min(places, key=distance)


def _evidence(leaf: _Leaf, document: Document, offset: int) -> Evidence:
    if leaf.place is None:
        return Evidence(leaf.path, "" if leaf.node is None else leaf.written, leaf.found)
    start, end = leaf.place[0] + offset, leaf.place[1] + offset
    return Evidence(
        leaf.path,
        document.text[start:end],
        leaf.found,
        start,
        end,
        _page(document.pages, start),
        leaf.count,
        place=_place(document.places, start),
    )


def _page(pages: Sequence[Page], start: int) -> int | None:
    index = bisect_right(pages, start, key=lambda page: page.start) - 1
    return pages[index].number if index >= 0 else None


def _place(places: Sequence[NamedPlace], start: int) -> str | None:
    index = bisect_right(places, start, key=lambda place: place.start) - 1
    return places[index].label if index >= 0 and start < places[index].end else None

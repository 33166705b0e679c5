"""The answers of a document's chunks -> one Record. Pure: no model, no store, no text but the values' own.

Scalars follow the field's merge rule, and a null is no vote; nor are words in place of a date, an amount or the like,
where another chunk has one. Every value that lost is a Conflict.

Lists are joined in chunk order (rule `union`, what a list has unless its schema says otherwise). What two chunks both
read in their overlap is kept once; equal items in different places are all kept: two coffees are two rows. A row of the
overlap that they read differently in one part is one item, and that part a Conflict. Plain texts that are not in order,
such as the parties of a contract, are names: what an earlier chunk named is not named again.
Any other rule takes the whole list of one chunk.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from pipeline.data import Chunk, Completeness, Conflict, Document, Evidence, Extraction, Found, Record
from pipeline.finders import MENDED, Normalised, Settled, mend, normalise
from pipeline.schema import Field, List, Node, Object, Text

Answered = Sequence[tuple[Chunk, Extraction | None]]
"""The chunks of one document in order, each with its answer; None where it failed."""

_FOUND_RANK = {found: rank for rank, found in enumerate(Found)}


def merge(
    document: Document,
    task: str,
    schema: Object,
    answered: Answered,
    evidence: Sequence[Sequence[Evidence]] = (),
    settled: Settled | None = None,
) -> Record:
    """One row for one document.

    `evidence[i]` belongs to `answered[i]`; it says which chunk's value is better grounded (rule `confident`) and which
    list items are one and the same. `settled` is how the document writes dates and amounts: values are equal where they
    mean the same in it. The record is incomplete when a chunk failed, a page was noted or a field was cut.
    """
    answers = [
        _Answer(chunk, extraction, tuple(evidence[number]) if number < len(evidence) else (), settled or Settled())
        for number, (chunk, extraction) in enumerate(answered)
        if extraction is not None
    ]
    merged = _Merged()
    votes = [_Vote(answer, "", dict(answer.extraction.values)) for answer in answers]
    values = _merge_object(schema, votes, "", merged)
    complete = len(answers) == len(answered) and not merged.cut and not any(page.note for page in document.pages)
    return Record(
        document=document.sha256,
        task=task,
        values=values,
        state=Completeness.COMPLETE if complete else Completeness.INCOMPLETE,
        cut=tuple(dict.fromkeys(merged.cut)),
        evidence=tuple(dict.fromkeys(merged.evidence)),
        conflicts=tuple(merged.conflicts),
    )


class _Answer:
    """One chunk's answer with its evidence looked up by path, and how its document writes dates and amounts."""

    def __init__(self, chunk: Chunk, extraction: Extraction, evidence: Sequence[Evidence], settled: Settled) -> None:
        self.chunk = chunk
        self.extraction = extraction
        self.settled = settled
        self.by_path: dict[str, list[Evidence]] = {}
        for piece in evidence:
            for path in _prefixes(piece.path):
                self.by_path.setdefault(path, []).append(piece)
        self.cut_below: dict[str, list[str]] = {}
        for cut in extraction.cut:
            for path in _prefixes(cut):
                self.cut_below.setdefault(path, []).append(cut)


@dataclass(frozen=True, slots=True)
class _Vote:
    """What one chunk says about one path of its own answer."""

    answer: _Answer
    path: str
    value: object = field(repr=False)

    @property
    def quote(self) -> str:
        """The words of the document that the value stands for; those of a list a line each."""
        return "\n".join(piece.quote for piece in self.answer.by_path.get(self.path, ()) if piece.start is not None)

    def key(self, node: Node) -> object:
        """What two equal values have in common."""
        return _key(node, self.value, self.answer.settled)

    def child(self, name: str) -> _Vote:
        value = self.value.get(name) if isinstance(self.value, Mapping) else None
        return _Vote(self.answer, f"{self.path}.{name}" if self.path else name, value)


@dataclass(slots=True)
class _Merged:
    """What is gathered beside the values while they are merged."""

    cut: list[str] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)

    def carry(self, vote: _Vote, path: str) -> None:
        """Take a vote's evidence and cuts along under the path that its value now has."""
        old = len(vote.path)
        for piece in vote.answer.by_path.get(vote.path, ()):
            self.evidence.append(dataclasses.replace(piece, path=path + piece.path[old:]))
        self.cut.extend(path + cut[old:] for cut in vote.answer.cut_below.get(vote.path, ()))


def _prefixes(path: str) -> Iterator[str]:
    """`items[2].price` stands below itself, `items[2]` and `items`."""
    for match in re.finditer(r"[.\[]", path):
        yield path[: match.start()]
    yield path


def _merge_object(node: Object, votes: Sequence[_Vote], path: str, merged: _Merged) -> dict[str, object]:
    return {
        member.name: _merge_field(
            member,
            [vote.child(member.name) for vote in votes],
            f"{path}.{member.name}" if path else member.name,
            merged,
        )
        for member in node.fields
    }


def _merge_field(member: Field, votes: list[_Vote], path: str, merged: _Merged) -> object:
    said = [vote for vote in votes if vote.value is not None]
    match member.node:
        case Object() if said or not (votes or member.nullable):
            return _merge_object(member.node, said, path, merged)
        case List() if said and member.merge == "union":
            return _join(member.node, votes, path, merged)
        case List():
            said = [vote for vote in said if vote.value] or said[:1]  # an empty list is no vote against a full one
    if not said:
        for vote in votes:
            merged.carry(vote, path)
        return [] if isinstance(member.node, List) and not member.nullable else None
    kept = _choose(member, [vote for vote in said if _means_something(member.node, vote)] or said)
    merged.carry(kept, path)
    known = {kept.key(member.node)}
    for vote in said:
        key = vote.key(member.node)
        if key not in known:
            known.add(key)
            merged.conflicts.append(_conflict(path, kept, vote))
    return kept.value


def _conflict(path: str, kept: _Vote, other: _Vote) -> Conflict:
    return Conflict(path, kept.value, other.value, other.answer.chunk.index, kept.quote, other.quote)


def _means_something(node: Node, vote: _Vote) -> bool:
    """False for other words where a date, an amount or the like should be, as a chunk without any has to say them."""
    return (
        not (isinstance(node, Text) and isinstance(vote.value, str) and node.type != "text")
        or _normal(node, vote.value, vote.answer.settled) is not None
    )


def _choose(member: Field, said: list[_Vote]) -> _Vote:
    """The vote that the field's rule keeps; the earlier one where two are equal."""
    match member.merge:
        case "last":
            return said[-1]
        case "confident":
            return max(said, key=_confidence)
        case "majority":
            counts = Counter(vote.key(member.node) for vote in said)
            return max(said, key=lambda vote: counts[vote.key(member.node)])
    return said[0]


def _confidence(vote: _Vote) -> tuple[float, int]:
    """Measured confidence first, then how the value was found. A list or object is as sure as its least sure part."""
    pieces = vote.answer.by_path.get(vote.path, ())
    confidences = [piece.confidence for piece in pieces if piece.confidence is not None]
    worst = max((_FOUND_RANK[piece.found] for piece in pieces), default=len(_FOUND_RANK))
    return (min(confidences, default=-1.0), -worst)


# -- lists ------------------------------------------------------------------------------------------------------


class _Item:
    """One item of the joined list. `value` grows when the next chunk saw more of the same item."""

    def __init__(self, vote: _Vote) -> None:
        self.votes = [vote]
        self.value = vote.value
        self.spans = _spans(vote)
        self.end = vote.answer.chunk.end
        self.disputed: list[tuple[str, _Vote]] = []  # what other readings of it say in place of one part
        self._key: object = None

    def key(self, node: Node) -> object:
        """What two equal items have in common."""
        if self._key is None:
            self._key = _key(node, self.value, self.votes[0].answer.settled)
        return self._key


def _spans(vote: _Vote) -> dict[str, tuple[int, int]]:
    """Where the parts of an item stand in the document, by their path inside the item."""
    return {
        piece.path[len(vote.path) :]: (piece.start, piece.end)
        for piece in vote.answer.by_path.get(vote.path, ())
        if piece.start is not None and piece.end is not None
    }


def _join(node: List, votes: list[_Vote], path: str, merged: _Merged) -> list[object]:
    items: list[_Item] = []
    near: list[_Item] = []
    names = isinstance(node.items, Text) and node.items.type == "text" and not node.in_order
    for vote in votes:
        found = vote.value if isinstance(vote.value, list | tuple) else ()
        # Only what reaches into this chunk can be read twice, so a long document is not compared with all of itself.
        near = [item for item in near if names or item.end > vote.answer.chunk.start]
        earlier = list(near)
        for index, value in enumerate(found):
            fresh = _Item(_Vote(vote.answer, f"{vote.path}[{index}]", value))
            same = next((item for item in earlier if _is_same(node.items, item, fresh, names)), None)
            same = same or _disputed(earlier, fresh)
            if same is None:
                items.append(fresh)
                near.append(fresh)
            else:
                if not names:
                    earlier.remove(same)
                _absorb(same, fresh)
        own = [cut for cut in vote.answer.cut_below.get(vote.path, ()) if cut == vote.path]
        merged.cut.extend(path for _ in own)
        merged.evidence.extend(
            dataclasses.replace(piece, path=path)
            for piece in vote.answer.by_path.get(vote.path, ())
            if piece.path == vote.path
        )
    for index, item in enumerate(items):
        _carry_item(item, f"{path}[{index}]", merged)
        for name, other in item.disputed:
            kept = dataclasses.replace(item.votes[0], value=item.value).child(name)
            merged.conflicts.append(_conflict(f"{path}[{index}].{name}", kept, other))
    return [item.value for item in items]


def _is_same(node: Node, old: _Item, new: _Item, names: bool) -> bool:
    """Whether two chunks read one and the same item of the document.

    Its place decides: some part of both readings stands at one place of the text that the chunks share. Without a
    place (nothing of the item was found in the text) equal values are taken for one item.
    """
    if names:
        return old.key(node) == new.key(node)
    shared = (new.votes[0].answer.chunk.start, old.end)
    if not old.spans and not new.spans:
        return old.key(node) == new.key(node)
    return _touch(old, new, shared) and _is_compatible(node, old, new, "", old.value, new.value)


def _touch(old: _Item, new: _Item, shared: tuple[int, int]) -> bool:
    """Whether the two have a part at the same place of what the chunks share."""
    for part, (start, end) in old.spans.items():
        if end > shared[0] and part in new.spans:
            other = new.spans[part]
            if max(start, other[0], shared[0]) < min(end, other[1], shared[1]):
                return True
    return False


def _disputed(earlier: Sequence[_Item], fresh: _Item) -> _Item | None:
    """The item of which this is another reading that differs in one part. The part is noted there and left out here."""
    for item in earlier:
        name = _part_apart(item, fresh)
        if name is not None and isinstance(fresh.value, Mapping):
            item.disputed.append((name, fresh.votes[0].child(name)))
            fresh.value = {**fresh.value, name: None}
            return item
    return None


def _part_apart(old: _Item, new: _Item) -> str | None:
    """The one part in which two readings of a row differ: all that they read is on one line that both chunks hold, and
    all other parts that both have stand at the very same places."""
    spans = [*old.spans.values(), *new.spans.values()]
    if not (isinstance(old.value, Mapping) and isinstance(new.value, Mapping) and spans):
        return None
    chunk = new.votes[0].answer.chunk
    start, end = min(start for start, _ in spans), max(end for _, end in spans)
    if start < chunk.start or end > old.end or "\n" in chunk.text[start - chunk.start : end - chunk.start]:
        return None
    both = {name: (value, new.value.get(name)) for name, value in old.value.items()}
    both = {name: values for name, values in both.items() if None not in values}
    placed = {name for name in both if f".{name}" in old.spans}
    apart = [name for name in both if old.spans.get(f".{name}") != new.spans.get(f".{name}")]
    apart += [name for name, (one, other) in both.items() if name not in placed | {*apart} and one != other]
    return apart[0] if len(apart) == 1 and placed - {*apart} else None


def _is_compatible(node: Node, old: _Item, new: _Item, part: str, one: object, other: object) -> bool:
    """Whether one reading is the other with something missing: a null, or words that the chunk's end cut off."""
    if one is None or other is None or one == other:
        return True
    if isinstance(node, Object) and isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(
            _is_compatible(m.node, old, new, f"{part}.{m.name}", one.get(m.name), other.get(m.name))
            for m in node.fields
        )
    if isinstance(node, Text) and part in old.spans and part in new.spans:
        a, b = old.spans[part], new.spans[part]
        inside = (a[0] <= b[0] and b[1] <= a[1]) or (b[0] <= a[0] and a[1] <= b[1])
        if inside and (_fold(str(one)) in _fold(str(other)) or _fold(str(other)) in _fold(str(one))):
            return True
    settled = new.votes[0].answer.settled
    return _key(node, one, settled) == _key(node, other, settled)


def _absorb(item: _Item, fresh: _Item) -> None:
    """Take the parts that the second reading adds."""
    item.votes.append(fresh.votes[0])
    item.value = _fuller(item.value, fresh.value)
    item.spans = {**fresh.spans, **item.spans}
    item.end = fresh.end
    item._key = None


def _fuller(one: object, other: object) -> object:
    if one is None:
        return other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {name: _fuller(one.get(name), other.get(name)) for name in {**one, **other}}
    if isinstance(one, str) and isinstance(other, str) and len(_fold(other)) > len(_fold(one)):
        return other
    return one


def _carry_item(item: _Item, path: str, merged: _Merged) -> None:
    """The evidence of the parts as they are now: each from the reading that gave its value."""
    wanted = dict(_leaves(item.value, ""))
    for vote in item.votes:
        given = dict(_leaves(vote.value, ""))
        for piece in vote.answer.by_path.get(vote.path, ()):
            part = piece.path[len(vote.path) :]
            mine = part in wanted and part in given and given[part] == wanted[part] and wanted[part] is not None
            if mine:
                merged.evidence.append(dataclasses.replace(piece, path=path + part))
                del wanted[part]
    for vote in item.votes:
        for cut in vote.answer.cut_below.get(vote.path, ()):
            part = cut[len(vote.path) :]
            if _at(item.value, part) is None or len(item.votes) == 1:
                merged.cut.append(path + part)
                merged.evidence.extend(
                    dataclasses.replace(piece, path=path + part)
                    for piece in vote.answer.by_path.get(cut, ())
                    if piece.path == cut and piece.found is Found.CUT
                )


def _leaves(value: object, part: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{part}.{name}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{part}[{index}]")
    else:
        yield part, value


def _at(value: object, part: str) -> object:
    for name, index in re.findall(r"\.([^.\[]+)|\[(\d+)\]", part):
        if isinstance(value, Mapping) and name:
            value = value.get(name)
        elif isinstance(value, list | tuple) and index and int(index) < len(value):
            value = value[int(index)]
        else:
            return None
    return value


# -- equality ---------------------------------------------------------------------------------------------------


def _key(node: Node, value: object, settled: Settled) -> object:
    """Equal keys: the same value, whatever its white space, case and, for typed texts, its way of writing."""
    if isinstance(node, Object) and isinstance(value, Mapping):
        return tuple(_key(member.node, value.get(member.name), settled) for member in node.fields)
    if isinstance(node, List) and isinstance(value, list | tuple):
        return tuple(_key(node.items, item, settled) for item in value)
    if isinstance(value, bool) or not isinstance(value, str):
        return (type(value) is bool, value)
    if isinstance(node, Text) and node.type != "text":
        normal = _normal(node, value, settled)
        if normal is not None:
            number = Decimal(normal.value) if node.type in ("money", "number") else normal.value
            return (node.type, number, normal.currency)
    return _fold(value)


def _normal(node: Text, value: str, settled: Settled) -> Normalised | None:
    text = mend(value) if node.type in MENDED else value
    return normalise(text, node.type, day_first=settled.day_first, decimal=settled.decimal)


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())

"""What the chunks say about one path, and which of them is believed where only one can be.

A vote is one chunk's value at a path of its own answer; the path that the value has in the record may be another one.
Nothing is put together here.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.data import Chunk, Conflict, Evidence, Extraction, Found
from pipeline.finders import Settled
from pipeline.merging.equality import key_of, normalised
from pipeline.schema import Field, Node, Text

_FOUND_RANK = {found: rank for rank, found in enumerate(Found)}


class Answer:
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
class Vote:
    """What one chunk says about one path of its own answer."""

    answer: Answer
    path: str
    value: object = field(repr=False)

    @property
    def quote(self) -> str:
        """The words of the document that the value stands for; those of a list a line each."""
        return "\n".join(piece.quote for piece in self.answer.by_path.get(self.path, ()) if piece.start is not None)

    def key(self, node: Node) -> object:
        """What two equal values have in common."""
        return key_of(node, self.value, self.answer.settled)

    def child(self, name: str) -> Vote:
        """What the same chunk says about a member of the object; None where it has none."""
        value = self.value.get(name) if isinstance(self.value, Mapping) else None
        return Vote(self.answer, f"{self.path}.{name}" if self.path else name, value)


@dataclass(slots=True)
class Merged:
    """What is gathered beside the values while they are merged."""

    cut: list[str] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)

    def carry(self, vote: Vote, path: str) -> None:
        """Take a vote's evidence and cuts along under the path that its value now has."""
        old = len(vote.path)
        for piece in vote.answer.by_path.get(vote.path, ()):
            self.evidence.append(dataclasses.replace(piece, path=path + piece.path[old:]))
        self.cut.extend(path + cut[old:] for cut in vote.answer.cut_below.get(vote.path, ()))

    def note_conflict(self, path: str, kept: Vote, other: Vote) -> None:
        """Keep what the vote that lost says beside the one that won."""
        conflict = Conflict(path, kept.value, other.value, other.answer.chunk.index, kept.quote, other.quote)
        self.conflicts.append(conflict)


def _prefixes(path: str) -> Iterator[str]:
    """`items[2].price` stands below itself, `items[2]` and `items`."""
    for match in re.finditer(r"[.\[]", path):
        yield path[: match.start()]
    yield path


def choose(member: Field, said: list[Vote]) -> Vote:
    """The vote that the field's rule keeps; the earlier one where two are equal. `said` holds no nulls."""
    said = [vote for vote in said if _means_something(member.node, vote)] or said
    match member.merge:
        case "last":
            return said[-1]
        case "confident":
            return max(said, key=_confidence)
        case "majority":
            counts = Counter(vote.key(member.node) for vote in said)
            return max(said, key=lambda vote: counts[vote.key(member.node)])
    return said[0]


def _means_something(node: Node, vote: Vote) -> bool:
    """False for other words where a date, an amount or the like should be, as a chunk without any has to say them."""
    return (
        not (isinstance(node, Text) and isinstance(vote.value, str) and node.type != "text")
        or normalised(node, vote.value, vote.answer.settled) is not None
    )


def _confidence(vote: Vote) -> tuple[float, int]:
    """Measured confidence first, then how the value was found. A list or object is as sure as its least sure part."""
    pieces = vote.answer.by_path.get(vote.path, ())
    confidences = [piece.confidence for piece in pieces if piece.confidence is not None]
    worst = max((_FOUND_RANK[piece.found] for piece in pieces), default=len(_FOUND_RANK))
    return (min(confidences, default=-1.0), -worst)

"""Lists whose items are joined: an item that two chunks both read in their overlap is kept once.

Where the parts of two readings stand decides whether they are one item; their values decide where nothing of them was
found in the text, and for plain texts that are not in order. Which of several whole lists to take is not decided here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from pipeline.data import Found
from pipeline.merging.equality import folded, key_of
from pipeline.merging.votes import Merged, Vote
from pipeline.schema import List, Node, Object, Text


def join(node: List, votes: list[Vote], path: str, merged: Merged) -> list[object]:
    """The items that all votes name, in chunk order. What goes with them is gathered in `merged`."""
    items: list[_Item] = []
    near: list[_Item] = []
    names = isinstance(node.items, Text) and node.items.type == "text" and not node.in_order
    for vote in votes:
        found = vote.value if isinstance(vote.value, list | tuple) else ()
        # Only what reaches into this chunk can be read twice, so a long document is not compared with all of itself.
        near = [item for item in near if names or item.end > vote.answer.chunk.start]
        earlier = list(near)
        for index, value in enumerate(found):
            fresh = _Item(Vote(vote.answer, f"{vote.path}[{index}]", value))
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
            merged.note_conflict(f"{path}[{index}].{name}", kept, other)
    return [item.value for item in items]


class _Item:
    """One item of the joined list. `value` grows when the next chunk saw more of the same item."""

    def __init__(self, vote: Vote) -> None:
        self.votes = [vote]
        self.value = vote.value
        self.spans = _spans(vote)
        self.end = vote.answer.chunk.end
        self.disputed: list[tuple[str, Vote]] = []  # what other readings of it say in place of one part
        self._key: object = None

    def key(self, node: Node) -> object:
        """What two equal items have in common."""
        if self._key is None:
            self._key = key_of(node, self.value, self.votes[0].answer.settled)
        return self._key


def _spans(vote: Vote) -> dict[str, tuple[int, int]]:
    """Where the parts of an item stand in the document, by their path inside the item."""
    return {
        piece.path[len(vote.path) :]: (piece.start, piece.end)
        for piece in vote.answer.by_path.get(vote.path, ())
        if piece.start is not None and piece.end is not None
    }


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
        if inside and (folded(str(one)) in folded(str(other)) or folded(str(other)) in folded(str(one))):
            return True
    settled = new.votes[0].answer.settled
    return key_of(node, one, settled) == key_of(node, other, settled)


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
    if isinstance(one, str) and isinstance(other, str) and len(folded(other)) > len(folded(one)):
        return other
    return one


def _carry_item(item: _Item, path: str, merged: Merged) -> None:
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

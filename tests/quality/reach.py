"""What a perfect model could answer: `python -m tests.quality.reach`.

For each labelled set and field, how many of the labelled values stand in their document by letters and digits, and how
many the typed task could answer: as a span that the finder of the field's type accepts (its recall), as a run of whole
lines, as whole words, as items of a list one behind the other, or as one of its choices. No model is asked.

A second table gives the recall of each finder on all labelled values of its type, also those that no task asks for.
"""

from __future__ import annotations

import argparse
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.evaluation.matching import is_right
from pipeline.finders import ValueType
from pipeline.grammars.places import MAX_CHARS, Places, Window
from pipeline.grammars.terminals import runs_of_lines
from pipeline.schema import Choice, List, Node, Object, Text
from tests.finders import test_recall
from tests.quality.sets import SETS, Set, load, read, test_data


@dataclass
class Reach:
    """The labelled values of one field: how many there are, stand in the text, and can be answered."""

    way: str  # how the task answers
    values: int = 0
    in_text: int = 0
    reached: int = 0
    missed: list[str] = field(default_factory=list, repr=False)  # document: label

    def count(self, document: str, label: object, *, stands: bool, reached: bool) -> None:
        self.values += 1
        self.in_text += stands
        self.reached += reached
        if not reached:
            self.missed.append(f"{document}: {label}")


def reach(set: Set) -> dict[str, Reach]:
    """By label's name, over the documents that are scored."""
    found: dict[str, Reach] = {}
    for gold in set.gold:
        text = Squeezed(Places(read(set.path(gold)).text))
        for member in set.schema.fields:
            name = set.names.get(member.name, member.name)
            for part, label, reached in _answers(member.node, name, gold.fields.get(name), text, set.types):
                kept = found.setdefault(part, Reach(_way(member.node, part.removeprefix(name).lstrip("."))))
                kept.count(gold.id, label, stands=bool(text.places_of(label)), reached=reached)
    return found


def finders(sets: Sequence[str]) -> Iterator[tuple[str, str, Reach]]:
    """The set, the labels and the recall of a finder, over all documents."""
    for name, type, fields, _ in test_recall.FLOORS:
        if name in sets:
            found = Reach(type)
            for path, label in test_recall.labels(test_data() / "kie" / name / "gold.jsonl", fields, type):
                text = test_recall.read(path)
                stands = squeeze(str(label)) in squeeze(text)
                found.count(path.name, label, stands=stands, reached=test_recall.is_found(text, label, type))
            yield name, ", ".join(fields), found


def lines(set: str, found: Mapping[str, Reach], *, missed: bool) -> list[str]:
    """Rows of a Markdown table, and what was missed below each."""
    out = []
    for name, one in found.items():
        shares = [f"{100 * part / max(one.values, 1):.1f}" for part in (one.in_text, one.reached)]
        out.append(f"| {set} | {name} | {one.way} | {one.values} | {' | '.join(shares)} |")
        if missed:
            out += [f"    {each}" for each in one.missed]
    return out


def _total(found: Iterator[Reach] | Sequence[Reach]) -> Reach:
    total = Reach("")
    for one in found:
        total.values, total.in_text = total.values + one.values, total.in_text + one.in_text
        total.reached += one.reached
    return total


# -- a label against what the task takes ------------------------------------------------------------------------


class Squeezed:
    """A document's letters and digits, and where each stood in the folded text."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._at = [at for at, char in enumerate(places.text) for kept in squeeze(char)]
        self._text = "".join(squeeze(char) for char in places.text)
        self.word_starts = {start for start, _ in places.words}
        self.word_ends = {end for _, end in places.words}

    def places_of(self, label: object) -> list[Window]:
        """Where a label stands by letters and digits, in the folded text, without the marks around it."""
        found = []
        for way in ways(label):
            wanted = squeeze(str(way))
            at = self._text.find(wanted) if wanted else -1
            while at >= 0:
                found.append((self._at[at], self._at[at + len(wanted) - 1] + 1))
                at = self._text.find(wanted, at + 1)
        return sorted(found)


def _answers(
    node: Node, name: str, label: object, text: Squeezed, types: Mapping[str, ValueType]
) -> Iterator[tuple[str, object, bool]]:
    """Each labelled value: the name of its field, the label, and whether the task can answer it."""
    if label is None:
        return
    whole = text.places.all
    match node:
        case Choice():
            yield name, label, any(is_right(label, value, types.get(name, "text"))[1] for value in node.values)
        case Text():
            yield name, label, bool(spans(node, label, whole, text, types.get(name, "text")))
        case List(items=Text() as item):
            labels = label if isinstance(label, list) else [label]
            within = [spans(item, one, whole, text, types.get(name, "text")) for one in labels]
            taken = in_order(within, node.max_items) if node.in_order else {i for i, s in enumerate(within) if s}
            yield from ((name, one, at in taken) for at, one in enumerate(labels))
        case List(items=Object() as item):
            rows = [row for table in text.places.tables for row in table] if node.within == "row" else [whole]
            for one in label if isinstance(label, list) else [label]:
                yield from max((_item(item, name, one, row, text, types) for row in rows), key=_hits)


def _item(
    node: Object, name: str, label: Mapping[str, object], row: Window, text: Squeezed, types: Mapping[str, ValueType]
) -> list[tuple[str, object, bool]]:
    """The labelled values of one item, answered from one row."""
    parts = []
    for member in node.fields:
        part, value = f"{name}.{member.name}", label.get(member.name)
        if value is not None and isinstance(member.node, Text):
            parts.append((part, value, bool(spans(member.node, value, row, text, types.get(part, "text")))))
    return parts


def _hits(parts: Sequence[tuple[str, object, bool]]) -> int:
    return sum(hit for *_, hit in parts)


def spans(node: Text, label: object, window: Window, text: Squeezed, type: ValueType) -> list[Window]:
    """Where in the window the field can take a value that is right; (0, 0) for one that is not held to the text."""
    limit = node.max_length or MAX_CHARS
    if node.extractive is None:
        return [(0, 0)]
    places = text.places
    if places.values_in(node, window, limit):
        candidates = [one for one in places.spans(node.extractive.type) if window[0] <= one[0] and one[1] <= window[1]]
    elif node.extractive.unit != "word":
        candidates = runs_of_lines(places, node.extractive, limit, window)
    else:
        found = [one for one in text.places_of(label) if window[0] <= one[0] and one[1] <= window[1]]
        candidates = [
            one
            for one in found
            if one[0] in text.word_starts and any(end in text.word_ends for end in _ends(one, places))
        ]
    wanted = {squeeze(str(way)) for way in ways(label)}
    # Of text this is the same and quick: a contract has many runs of lines.
    quick = type == "text" and node.extractive.type == "text"
    fitting = [(one, places.text[one[0] : one[1]]) for one in candidates if one[1] - one[0] <= limit]
    return [one for one, said in fitting if (squeeze(said) in wanted if quick else is_right(label, said, type)[1])]


def _ends(window: Window, places: Places) -> Iterator[int]:
    """The end of a value, and behind the marks that follow it."""
    end = window[1]
    yield end
    while end < places.all[1] and not squeeze(places.text[end]):
        end += 1
        yield end


def in_order(within: Sequence[Sequence[Window]], most: int | None) -> set[int]:
    """Which of the values can be said one behind the other, never at the same words twice: as many as possible."""
    ends: dict[frozenset[int], int] = {frozenset(): 0}
    for _ in range(min(len(within), most or len(within))):
        longer: dict[frozenset[int], int] = {}
        for said, end in ends.items():
            for at, places in enumerate(within):
                behind = [stop for start, stop in places if start >= end]
                if at not in said and behind:
                    key = said | {at}
                    longer[key] = min(longer.get(key, min(behind)), min(behind))
        if not longer:
            break
        ends = longer
    return set(max(ends, key=len))


def ways(label: object) -> Sequence[object]:
    """The values of which any is right."""
    return label["any_of"] if isinstance(label, Mapping) else [label]


def squeeze(text: str) -> str:
    """Letters and digits."""
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())


def _way(node: Node, part: str) -> str:
    match node:
        case Choice():
            return "choice"
        case List(items=item, in_order=ordered):
            return f"list{', in order' if ordered else ''}: {_way(item, part)}"
        case Object():
            return _way(next(member.node for member in node.fields if member.name == part), "")
        case Text(extractive=e) if e is not None:
            return e.type if e.type != "text" else {"word": "words"}.get(e.unit, f"{e.unit}")
    return "free"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.quality.reach", description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", default=",".join((*SETS, "tatqa", "xquad")), help="comma-separated; default: all")
    parser.add_argument("--missed", action="store_true", help="say which values cannot be answered")
    given = parser.parse_args()
    if "NIGHTDESK_TEST_DATA" not in os.environ:
        parser.error("set NIGHTDESK_TEST_DATA to the folder that holds kie/")
    print("| set | field | answered by | values | in the text | can be answered |")
    print("|---|---|---|---|---|---|")
    sets = given.sets.split(",")
    for one in map(load, [name for name in sets if name in SETS]):
        found = reach(one)
        print("\n".join(lines(one.name, found, missed=given.missed)))
        print("\n".join(lines(one.name, {"all": _total(found.values())}, missed=False)), flush=True)
    print("\n| set | labels | finder | values | in the text | found |\n|---|---|---|---|---|---|")
    for name, labels, recall in finders(sets):
        print("\n".join(lines(name, {labels: recall}, missed=given.missed)), flush=True)


if __name__ == "__main__":
    main()

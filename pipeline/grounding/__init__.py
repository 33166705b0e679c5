"""A value -> where it stands in its document, and how that was found; or that it stands nowhere.

Every value of an answer gets one Evidence. Enumerations, booleans and summaries are the model's own words: they are
marked as generated and not looked for, because a chance match would look like proof. Null values and empty texts have
nothing to prove.

Only the chunk that was read is searched: the model saw nothing else. Offsets always count in the document's own text,
and `quote` is exactly what stands there.

leaves.py    the values of an answer, one by one
finding.py   all the places where one value stands, and how it was found there
choosing.py  the one place of each value, among several
folding.py   texts without the accidents of layout, and where words begin and end
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence

from pipeline.data import Chunk, Document, Evidence, Found, Page, Place
from pipeline.grounding.choosing import choose
from pipeline.grounding.finding import Source, locate
from pipeline.grounding.leaves import Leaf, leaves_of, nodes_of
from pipeline.schema import Object, Text


def extractive_paths(schema: Object) -> frozenset[str]:
    """The paths of extractive fields, items unnumbered: `total`, `items[].price`."""
    return frozenset(path for path, node in nodes_of(schema, "") if isinstance(node, Text) and node.extractive)


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
    source = Source(document.text[window[0] : window[1]])
    leaves = [locate(leaf, source, examples, leaf.generic in pointed) for leaf in leaves_of(schema, values, "", "")]
    choose(leaves, schema, source.text)
    evidence = [_evidence(leaf, document, window[0]) for leaf in leaves]
    evidence.extend(Evidence(path, "", Found.CUT) for path in dict.fromkeys(cut))
    return tuple(evidence)


def _evidence(leaf: Leaf, document: Document, offset: int) -> Evidence:
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


def _place(places: Sequence[Place], start: int) -> str | None:
    index = bisect_right(places, start, key=lambda place: place.start) - 1
    return places[index].label if index >= 0 and start < places[index].end else None

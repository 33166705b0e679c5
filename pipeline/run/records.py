"""The answers of one document's chunks -> its record: grounded, merged, normalised."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.confidence import Calibration, Part, Signal, agreeing, rated, short_lists, signals
from pipeline.data import Chunk, Document, Evidence, Extraction, Record, Vocabulary
from pipeline.finders import MENDED, Settled, mend, normalise_at, settle
from pipeline.finders import normalise as normalise_text
from pipeline.grounding import extractive_paths, ground
from pipeline.merging import merge
from pipeline.prompting import Task
from pipeline.run.doubt import is_doubtful, read
from pipeline.schema import List, Node, Object, Text
from pipeline.store import Normalised, Store

_DOUBTFUL = "read with doubt"


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered about one document, chunk by chunk; None where a chunk failed."""

    document: Document
    task: Task
    chunks: Sequence[tuple[Chunk, Extraction | None]]
    measured: Sequence[Mapping[str, Signal]]  # of each chunk: what its tokens and samples say about its values
    pointed: bool  # the grammar held extractive fields to the chunk


def gather(
    store: Store, task: Task, recipe: str, document: Document, vocabulary: Vocabulary, *, pointed: bool
) -> Answers:
    """The saved answers about a document, with its text, under a recipe."""
    chunks = [
        (dataclasses.replace(place, text=document.text[place.start : place.end]), extraction)
        for place, extraction in store.extractions(document.sha256, recipe)
    ]
    measured = [_measure(store, task, extraction, vocabulary) for _, extraction in chunks]
    if document.ocr:
        document = dataclasses.replace(document, words=store.words(document.sha256))
    return Answers(document, task, chunks, measured, pointed)


def _measure(store: Store, task: Task, extraction: Extraction | None, vocabulary: Vocabulary) -> dict[str, Signal]:
    answer = None if extraction is None else store.answer(extraction.work_key)
    if answer is None:
        return {}
    number = len(answer.extraction.samples)
    agreed = agreeing(task.schema.root, answer.extraction.values, answer.extraction.samples)
    return {
        path: dataclasses.replace(signal, samples=number, agreed=agreed.get(path, 0))
        for path, signal in signals(answer.completion, vocabulary).items()
    }


def build_record(
    answers: Answers,
    calibration: Calibration | None = None,
    others: Mapping[str, Sequence[tuple[int, int]]] = MappingProxyType({}),
) -> tuple[Record, Mapping[str, Normalised | None]]:
    """Find where the values of each chunk stand, merge the chunks, and say what the merged values mean.

    `others` says how long the task's lists are in other documents, see `short_lists`. The mapping goes from a value's
    path (`total`, `items[2].price`) to its normal form, None where it has none.
    """
    task, document = answers.task, answers.document
    evidence = [rated(pieces, its, calibration) for pieces, its in trace(answers)]
    settled = settled_in(answers)
    record = merge(document, task.name, task.schema.root, answers.chunks, evidence, settled)
    parts = [Part(c, e, pieces) for (c, e), pieces in zip(answers.chunks, evidence, strict=True) if e is not None]
    short = short_lists(task.schema.root, record.values, parts, len(document.text), others)
    record = dataclasses.replace(record, short=short)
    places = {e.path: e for e in record.evidence}
    normalised: dict[str, Normalised | None] = {
        path: _normalise(node, text, places.get(path), document.text, settled)
        for path, node, text in _typed(task.schema.root, record.values, "")
    }
    for path, place in places.items():
        if is_doubtful(place, document.words):
            normalised[path] = _marked(normalised.get(path), _DOUBTFUL)
    return record, normalised


def trace(answers: Answers) -> list[tuple[tuple[Evidence, ...], Mapping[str, Signal]]]:
    """Where the values of each chunk's answer stand, and what their tokens, samples and places say about them."""
    task, document = answers.task, answers.document
    examples = "\n".join(f"{example.text}\n{example.answer}" for example in task.examples)
    paths = extractive_paths(task.schema.root) if answers.pointed else ()
    evidence = [
        ground(e.values, task.schema.root, document, chunk=chunk, examples=examples, pointed=paths, cut=e.cut)
        if e
        else ()
        for chunk, e in answers.chunks
    ]
    return [(pieces, read(its, pieces, document.words)) for pieces, its in zip(evidence, answers.measured, strict=True)]


def settled_in(answers: Answers) -> Settled:
    """How this document writes dates and amounts; the task's word counts where the document does not say."""
    said = settle(answers.document.text)
    return said if said.day_first is not None else Settled(answers.task.options.day_first, said.decimal)


def _normalise(node: Text, text: str, place: Evidence | None, source: str, settled: Settled) -> Normalised:
    mended = mend(text) if node.type in MENDED else text
    if mended != text:
        found = normalise_text(mended, node.type, day_first=settled.day_first, decimal=settled.decimal)
        if found is not None:
            return _marked(Normalised(found.value, found.currency, "ambiguous" if found.ambiguous else ""), "repaired")
    if place is not None and place.start is not None and place.end is not None:
        found = normalise_at(source, place.start, place.end, node.type, settled=settled)
    else:
        found = normalise_text(text, node.type, day_first=settled.day_first, decimal=settled.decimal)
    if found is None:  # where the text held no such span, the value is other words of it
        return Normalised(None, marked=f"no {node.type}")
    return Normalised(found.value, found.currency, "ambiguous" if found.ambiguous else "")


def _marked(meant: Normalised | None, mark: str) -> Normalised:
    if meant is None:
        return Normalised(None, marked=mark)
    return dataclasses.replace(meant, marked=", ".join(piece for piece in (meant.marked, mark) if piece))


def _typed(node: Node, value: object, path: str) -> list[tuple[str, Text, str]]:
    """The strings that mean a date, an amount ..., with their paths."""
    match node:
        case Object() if isinstance(value, Mapping):
            dot = "." if path else ""
            return [
                found
                for member in node.fields
                for found in _typed(member.node, value.get(member.name), f"{path}{dot}{member.name}")
            ]
        case List() if isinstance(value, list | tuple):
            return [found for i, item in enumerate(value) for found in _typed(node.items, item, f"{path}[{i}]")]
        case Text() if isinstance(value, str) and node.type != "text":
            return [(path, node, value)]
    return []

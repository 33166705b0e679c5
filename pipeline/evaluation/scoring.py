"""The scores of records against labels, field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.evaluation.labels import Gold
from pipeline.evaluation.matching import best_pairs, best_total, is_right
from pipeline.evaluation.scores import Interval, Score, count_table, f1_table, interval, resamples
from pipeline.finders import ValueType


@dataclass(frozen=True, slots=True)
class FieldScore:
    """One field over all documents that label it. `interval` belongs to the F1 of `normalised`."""

    name: str
    documents: int
    exact: Score
    normalised: Score
    interval: Interval
    same_length: int | None = None  # of a list: documents with the right number of items


@dataclass(frozen=True, slots=True)
class Miss:
    """One field of one document that went wrong."""

    document: str
    name: str
    gold: object = field(repr=False)
    predicted: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation. `micro` counts every value alike, `macro_f1` every field. Whole items are in neither."""

    documents: int
    unanswered: tuple[str, ...]  # labelled documents without a record: all their labels are misses
    fields: tuple[FieldScore, ...]
    micro: FieldScore
    macro_f1: float
    macro_interval: Interval
    misses: tuple[Miss, ...]
    by_document: Mapping[str, Mapping[str, Score]] = field(repr=False)
    verdicts: Mapping[str, Mapping[str, bool]] = field(repr=False)  # by document and path: is the given value right


def evaluate(
    gold: Sequence[Gold],
    predicted: Mapping[str, Mapping[str, object]],
    fields: Mapping[str, ValueType] | None = None,
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Report:
    """Score the records in `predicted` (by document id) against labels.

    `fields` names what is scored, by type (see `value_types`, `load_fields`): `seller.name` in an object, `items` a
    list, `items.price` a field of its items. None scores every labelled field as text. Records without labels are
    left out. The intervals come from `samples` resamples of the documents, the same for the same seed.
    """
    tally = _Tally(fields)
    for labels in gold:
        tally.document, tally.answered = labels.id, labels.id in predicted
        tally.add_object(labels.fields, predicted.get(labels.id) or {}, "")
    names = [name for name in tally.normalised if name not in tally.wholes]
    weights = resamples(len(gold), samples, seed)
    ids = [labels.id for labels in gold]
    scores = tuple(
        FieldScore(
            name,
            len(by_document),
            sum(tally.exact[name].values(), Score()),
            sum(by_document.values(), Score()),
            interval(f1_table(count_table(ids, [by_document]), weights)[:, 0]),
            tally.same_length.get(name),
        )
        for name, by_document in tally.normalised.items()
    )
    counts = count_table(ids, [tally.normalised[name] for name in names])
    micro = FieldScore(
        "micro",
        len(gold),
        sum((score.exact for score in scores if score.name in names), Score()),
        sum((score.normalised for score in scores if score.name in names), Score()),
        interval(f1_table(counts.sum(axis=1, keepdims=True), weights)[:, 0]),
    )
    f1s = [score.normalised.f1 for score in scores if score.name in names]
    return Report(
        documents=len(gold),
        unanswered=tuple(labels.id for labels in gold if labels.id not in predicted),
        fields=scores,
        micro=micro,
        macro_f1=sum(f1s) / len(f1s) if f1s else 1.0,
        macro_interval=interval(f1_table(counts, weights).mean(axis=1)) if names else (1.0, 1.0),
        misses=tuple(tally.misses),
        by_document={
            document: {name: tally.normalised[name][document] for name in names if document in tally.normalised[name]}
            for document in ids
        },
        verdicts=tally.verdicts,
    )


class _Tally:
    """What was counted so far, by field and document."""

    def __init__(self, fields: Mapping[str, ValueType] | None) -> None:
        self.fields = fields
        self.document = ""
        self.answered = False
        self.exact: dict[str, dict[str, Score]] = {}
        self.normalised: dict[str, dict[str, Score]] = {}
        self.wholes: set[str] = set()  # lists of objects, scored as whole items besides their fields
        self.same_length: dict[str, int] = {}
        self.misses: list[Miss] = []
        self.verdicts: dict[str, dict[str, bool]] = {}

    def add_object(self, gold: Mapping[str, object], predicted: Mapping[str, object], prefix: str) -> None:
        for key, label in gold.items():
            name = f"{prefix}{key}"
            value = predicted.get(key)
            if isinstance(label, Mapping) and "any_of" not in label:
                self.add_object(label, value if isinstance(value, Mapping) else {}, f"{name}.")
            elif self._is_scored(name):
                self._add_field(name, label, value)

    def _is_scored(self, name: str) -> bool:
        return self.fields is None or any(known == name or known.startswith(f"{name}.") for known in self.fields)

    def _type(self, name: str) -> ValueType:
        return (self.fields or {}).get(name, "text")

    def _add_field(self, name: str, label: object, value: object) -> None:
        if isinstance(label, Sequence) and not isinstance(label, str):
            given = list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
            at = f"{name}[{{}}]" if isinstance(value, list | tuple) else name
            paths = [at.format(index) for index, item in enumerate(given) if item is not None]
            given = [item for item in given if item is not None]
            same_length = self.answered and len(given) == len(label)
            self.same_length[name] = self.same_length.get(name, 0) + same_length
            if any(isinstance(item, Mapping) and "any_of" not in item for item in label):
                self._add_items(name, label, given, paths)
            else:
                self._add_list(name, label, given, paths)
            if self.normalised[name][self.document] != Score(len(label), len(label), len(label)):
                self.misses.append(Miss(self.document, name, label, value))
            return
        if isinstance(value, list | tuple):
            value = value[0] if len(value) == 1 else value or None
        was = is_right(label, value, self._type(name))
        self._judge(name, was[1], value)
        self._count(name, *_scores(label, value, was))
        if not was[1] and (label is not None or value is not None):
            self.misses.append(Miss(self.document, name, label, value))

    def _judge(self, path: str, right: bool, value: object) -> None:
        if value is not None:
            self.verdicts.setdefault(self.document, {})[path] = right

    def _add_list(self, name: str, label: Sequence[object], given: list[object], paths: list[str]) -> None:
        right = [[is_right(one, other, self._type(name)) for other in given] for one in label]
        exact, normalised = (
            best_total(np.array([[pair[which] for pair in row] for row in right], dtype=float)) for which in (0, 1)
        )
        likeness = np.array([[pair[1] for pair in row] for row in right], dtype=float)
        met = {column for row, column in (best_pairs(likeness) if likeness.size else []) if likeness[row, column]}
        for index, (path, value) in enumerate(zip(paths, given, strict=True)):
            self._judge(path, index in met, value)
        self._count(name, Score(exact, len(given), len(label)), Score(normalised, len(given), len(label)))

    def _add_items(self, name: str, label: Sequence[object], given: list[object], paths: list[str]) -> None:
        """Pair the items so that most of their fields are right, then score each field and each whole item."""
        golds = [item if isinstance(item, Mapping) else {} for item in label]
        items = [item if isinstance(item, Mapping) else {} for item in given]
        keys = list(dict.fromkeys(key for item in golds for key in item if self._is_scored(f"{name}.{key}")))
        right = [
            [{k: is_right(g[k], p.get(k), self._type(f"{name}.{k}")) for k in keys if k in g} for p in items]
            for g in golds
        ]
        likeness = np.array([[sum(pair[1] for pair in cell.values()) for cell in row] for row in right], dtype=float)
        pairs = best_pairs(likeness) if golds and items else []
        partner = dict(pairs)
        matched = set(partner.values())
        judged = {column: right[row][column] for row, column in pairs}
        for index, (path, item) in enumerate(zip(paths, items, strict=True)):
            for key, (_, is_one) in judged.get(index, dict.fromkeys(keys, (False, False))).items():
                self._judge(f"{path}.{key}", is_one, item.get(key))
        for key in keys:
            exact = normalised = Score()
            for row, item in enumerate(golds):
                if key not in item:
                    continue
                other = items[partner[row]].get(key) if row in partner else None
                was = right[row][partner[row]][key] if row in partner else (False, False)
                scores = _scores(item[key], other, was)
                exact, normalised = exact + scores[0], normalised + scores[1]
            extra = Score(0, sum(1 for i, item in enumerate(items) if i not in matched and item.get(key) is not None))
            self._count(f"{name}.{key}", exact + extra, normalised + extra)
        self.wholes.add(name)
        whole = [
            sum(all(pair[which] for pair in right[row][column].values()) for row, column in pairs) for which in (0, 1)
        ]
        self._count(name, Score(whole[0], len(given), len(label)), Score(whole[1], len(given), len(label)))

    def _count(self, name: str, exact: Score, normalised: Score) -> None:
        self.exact.setdefault(name, {})[self.document] = exact
        self.normalised.setdefault(name, {})[self.document] = normalised


def _scores(label: object, value: object, was: tuple[bool, bool]) -> tuple[Score, Score]:
    """How one value counts, exactly and normalised. A null where the label allows it counts nowhere."""
    wanted, given = int(label is not None), int(value is not None)
    if was[1] and not given:
        return Score(), Score()
    return Score(int(was[0]), given, wanted), Score(int(was[1]), given, wanted)

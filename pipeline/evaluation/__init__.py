"""Records against labels: precision, recall and F1 a field, with intervals; and one run against another. Pure.

A value is right exactly, or right by its letters and digits (NFKC, case folded), which is what the scores count.
Numbers are compared as numbers and fields typed `date` as days. A label may give alternatives ({"any_of": [...]}).
What a label does not mention is not scored; a null where it has a value is a miss, and where it has none counts
nowhere. Lists are matched as sets, one label to one value, so that the most is right; the items of object lists are
scored field by field.
"""

from __future__ import annotations

from pipeline.evaluation.comparing import Comparison, Difference, compare
from pipeline.evaluation.labels import Gold, load_fields, load_gold, value_types
from pipeline.evaluation.scores import Interval, Score
from pipeline.evaluation.scoring import FieldScore, Miss, Report, evaluate

__all__ = [
    "Comparison",
    "Difference",
    "FieldScore",
    "Gold",
    "Interval",
    "Miss",
    "Report",
    "Score",
    "compare",
    "evaluate",
    "load_fields",
    "load_gold",
    "value_types",
]

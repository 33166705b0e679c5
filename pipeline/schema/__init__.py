"""One normal form for what a task asks for, whether written as Pydantic or as JSON Schema.

From it come the JSON Schema text for the grammar, the one rendering of answers, parsing and the shortest
ending.
Knows nothing of models, tokens or SQL.
"""

from __future__ import annotations

from pipeline.schema.answers import check_example, parse, render
from pipeline.schema.closing import Closed, close, shortest_answer
from pipeline.schema.folding import Folded, as_label, fold, label_pattern
from pipeline.schema.loading import TaskSchema
from pipeline.schema.nodes import (
    ANNOTATION,
    ITEM_SEPARATOR,
    KEY_SEPARATOR,
    Boolean,
    Choice,
    Extractive,
    Field,
    HeldTo,
    InOrder,
    List,
    Merge,
    MergeBy,
    Node,
    Number,
    Object,
    Summary,
    Text,
    Typed,
    Unit,
    ValueType,
    Within,
    any_extractive,
)

__all__ = [
    "ANNOTATION",
    "ITEM_SEPARATOR",
    "KEY_SEPARATOR",
    "Boolean",
    "Choice",
    "Closed",
    "Extractive",
    "Field",
    "Folded",
    "HeldTo",
    "InOrder",
    "List",
    "Merge",
    "MergeBy",
    "Node",
    "Number",
    "Object",
    "Summary",
    "TaskSchema",
    "Text",
    "Typed",
    "Unit",
    "ValueType",
    "Within",
    "any_extractive",
    "as_label",
    "check_example",
    "close",
    "fold",
    "label_pattern",
    "parse",
    "render",
    "shortest_answer",
]

"""What the tests of extractive grammars share: vocabularies of bytes, nasty texts, and walks through a mask."""

from __future__ import annotations

import json
from random import Random

import numpy as np
from hypothesis import strategies as st

from pipeline.data import ConstraintSpec, Vocabulary
from pipeline.errors import NightdeskError
from pipeline.grammars.llguidance import Engine
from pipeline.schema import TaskSchema

BYTES = Vocabulary((*(bytes([i]) for i in range(256)), b""), frozenset({256}), list)
ENGINE = Engine(BYTES)
PIECES = (
    '"', "\\", '\\"', "\\n", "\\u0041", "\n", " ", "\t", "\x07", "-", "A", "b", "null", "don't", "1.234,56", "co-\nop",
    "👩\u200d👧", "🇵🇹", "שלום", "مرحبا", "東京都", "สวัสดี", "नमस्ते", "e\u0301", "ﬁ",
    "Ver\u00ad\ntrag", 'בע"מ', "\n\n", "]",
)  # fmt: skip
NASTY = st.lists(
    st.one_of(st.text(st.characters(codec="utf-8"), max_size=4), st.sampled_from(PIECES)), max_size=12
).map("".join)


def field(*, max_length: int | None = None, **notes: object) -> dict[str, object]:
    """The JSON Schema of an extractive text."""
    length = {} if max_length is None else {"maxLength": max_length}
    return {"type": "string", **length, "x-nightdesk": {"extractive": True, **notes}}


def schema_of(node: dict[str, object], *, nullable: bool = False) -> TaskSchema:
    """A schema of one field, `v`."""
    node = {"anyOf": [node, {"type": "null"}]} if nullable else node
    return TaskSchema.from_json({"type": "object", "properties": {"v": node}, "required": ["v"]})


def answer(value: object) -> str:
    """What a task of one field answers."""
    return json.dumps({"v": value}, ensure_ascii=False)


def accepts(task: TaskSchema, source: str, text: str, engine: Engine = ENGINE, vocabulary: Vocabulary = BYTES) -> bool:
    """Whether the grammar over `source` takes `text` for a whole answer."""
    cursor = engine.compile(ConstraintSpec(task.json_schema, source)).start()
    try:
        for token in vocabulary.encode(text.encode()):
            cursor.commit(token)
    except NightdeskError:
        return False
    return cursor.done()


def walk(
    task: TaskSchema,
    source: str,
    random: Random,
    engine: Engine = ENGINE,
    vocabulary: Vocabulary = BYTES,
    *,
    endless: bool = False,
    most: int = 5_000,
) -> str:
    """An answer by tokens that the mask allows, chosen by chance; `endless`: such that null is said and no list ends
    where the mask allows it. It is whole within `most` tokens."""
    cursor, out = engine.compile(ConstraintSpec(task.json_schema, source)).start(), bytearray()
    for _ in range(most):
        if cursor.done():
            return out.decode()
        tokens = list(cursor.forced())
        if not tokens:
            allowed = np.flatnonzero(np.unpackbits(cursor.mask().view(np.uint8), bitorder="little")).tolist()
            on = [token for token in allowed if not vocabulary.pieces[token].startswith(b"]")] or allowed
            null = [token for token in on if vocabulary.pieces[token].startswith(b"n")] or on
            tokens = [random.choice(null if endless else allowed)]
        for token in tokens:
            cursor.commit(token)
            out += vocabulary.pieces[token]
    raise AssertionError(f"The answer does not end within {most} tokens.")

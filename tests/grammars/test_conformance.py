"""One suite for every member of the grammar room: what a cursor allows is what the schema allows.

An independent validator (jsonschema) judges. A schema that a member refuses by name is no fault of it; a schema
that it takes and gets wrong is.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from functools import cache

import numpy as np
import pytest
from published import Published, published, sample

from pipeline.data import ConstraintSpec, Vocabulary
from pipeline.errors import EngineError, NightdeskError, SchemaError
from pipeline.grammars import Constraint, Cursor, Grammar, grammar, members

# Published patterns are not ours to mend; jsonschema hands them to `re`.
pytestmark = pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")

HOLDING = [name for name in members() if name != "free"]  # `free` holds nothing, by its name
SAMPLE = 60
FLOOR = {"llguidance": 47, "outlines_core": 8}
"""How many of the sample each member takes: it may rise, not fall."""

OWN = [
    {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "number"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {"é q": {"type": ["string", "null"], "maxLength": 4}, "z": {"type": "boolean"}},
        "additionalProperties": False,
    },
    {"type": "array", "items": {"enum": ["x", 1, True, None]}, "maxItems": 3},
    {"type": "integer"},
    {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 2}, {"type": "null"}]},
    {"type": "string", "pattern": "^[A-Z]{2}[0-9]+$"},
]


def allowed(cursor: Cursor, vocabulary: Vocabulary) -> np.ndarray:
    """One truth a token."""
    mask = cursor.mask()
    assert mask.dtype == np.int32
    assert mask.shape == (-(-len(vocabulary.pieces) // 32),)
    return np.unpackbits(mask.view(np.uint8), bitorder="little")[: len(vocabulary.pieces)].astype(bool)


@cache
def ends(pieces: tuple[bytes, ...]) -> np.ndarray:
    """Ends are made likelier, so that most answers end."""
    return 4.0 * np.array([piece[:1] in (b'"', b"]", b"}", b",") for piece in pieces])


def walk(
    constraint: Constraint, vocabulary: Vocabulary, rng: np.random.Generator, *, forced: bool, limit: int
) -> bytes | None:
    """Random logits through mask and commit; None where the answer would be longer than `limit` tokens."""
    cursor, out, likelier = constraint.start(), bytearray(), ends(vocabulary.pieces)
    for _ in range(limit):
        if cursor.done():
            return bytes(out)
        following = list(cursor.forced()) if forced else []
        if not following:
            choices = allowed(cursor, vocabulary)
            assert choices.any(), "an empty mask before the end"
            logits = rng.gumbel(size=len(vocabulary.pieces)) + likelier
            following = [int(np.where(choices, logits, -np.inf).argmax())]
        for token in following:
            assert allowed(cursor, vocabulary)[token], "a forced token that the mask does not allow"
            cursor.commit(token)
            if token in vocabulary.eog:
                return bytes(out)
            out += vocabulary.pieces[token]
    return bytes(out) if cursor.done() else None


def accepts(constraint: Constraint, vocabulary: Vocabulary, text: str) -> bool:
    cursor = constraint.start()
    try:
        for token in vocabulary.encode(text.encode()):
            cursor.commit(token)
    except NightdeskError:
        return False
    return cursor.done() or bool(allowed(cursor, vocabulary)[list(vocabulary.eog)].any())


def check(engine: Grammar, vocabulary: Vocabulary, one: Published, counts: Counter[str], limit: int) -> None:
    try:
        constraint = engine.compile(ConstraintSpec(one.text))
    except SchemaError:
        counts["refused"] += 1
        return
    counts["taken"] += 1
    for value, valid in one.instances:
        assert accepts(constraint, vocabulary, one.rendered(value)) is valid, (one.id, valid, one.rendered(value))
        counts["instances"] += 1
    rng = np.random.default_rng(len(one.id))
    for forced in (True, False):
        text = walk(constraint, vocabulary, rng, forced=forced, limit=limit)
        if text is None:
            counts["unfinished"] += 1
        else:
            assert one.valid(json.loads(text)) is not False, (one.id, text)
            counts["walked"] += 1


@pytest.mark.parametrize("name", HOLDING)
@pytest.mark.parametrize("schema", OWN)
def test_random_logits_give_what_the_schema_asks_for(name, schema, byte_vocabulary):
    one = Published(json.dumps(schema), schema)
    counts = Counter()
    check(grammar(name, byte_vocabulary), byte_vocabulary, one, counts, 200)
    assert counts["taken"] == 1


@pytest.mark.parametrize("name", HOLDING)
def test_published_schemas_are_held_or_refused(name, byte_vocabulary):
    engine, counts = grammar(name, byte_vocabulary), Counter()
    for one in sample(SAMPLE):
        check(engine, byte_vocabulary, one, counts, 200)
    print(name, dict(counts))
    assert counts["walked"] > counts["unfinished"]
    assert counts["taken"] >= FLOOR[name]


@pytest.mark.parametrize("name", HOLDING)
def test_published_schemas_are_held_or_refused_on_a_real_vocabulary(name, real_vocabulary):
    engine, counts = grammar(name, real_vocabulary), Counter()
    for one in sample(6):
        check(engine, real_vocabulary, one, counts, 40)
    print(name, dict(counts))
    assert counts["walked"]


@pytest.mark.long
@pytest.mark.parametrize("name", HOLDING)
def test_every_published_schema_is_held_or_refused(name, byte_vocabulary):
    engine, counts = grammar(name, byte_vocabulary), Counter()
    for one in published():
        check(engine, byte_vocabulary, one, counts, 400)
    print(name, dict(counts), f"takes {counts['taken'] / len(published()):.1%}")


def test_llguidance_takes_seven_of_ten_published_schemas(byte_vocabulary):
    engine, taken = grammar("llguidance", byte_vocabulary), 0
    for one in published():
        with contextlib.suppress(SchemaError):
            engine.compile(ConstraintSpec(one.text))
            taken += 1
    print(f"llguidance takes {taken} of {len(published())} schemas")
    assert taken >= 0.7 * len(published())


@pytest.mark.parametrize("name", members())
def test_a_token_that_the_mask_forbids_is_an_engine_error(name, byte_vocabulary):
    cursor = grammar(name, byte_vocabulary).compile(ConstraintSpec(json.dumps(OWN[0]))).start()
    if allowed(cursor, byte_vocabulary).all():
        cursor.commit(256)
    with pytest.raises(EngineError):
        cursor.commit(255)


@pytest.mark.parametrize("name", members())
def test_cursors_of_one_constraint_know_nothing_of_each_other(name, byte_vocabulary):
    constraint = grammar(name, byte_vocabulary).compile(ConstraintSpec(json.dumps(OWN[0])))
    first, second = constraint.start(), constraint.start()
    for token in b'{"a": "x':
        first.commit(token)
    for token in b'{"a": "':
        second.commit(token)
    first.commit(ord('"'))
    second.commit(ord("y"))


def test_free_text_ends_with_an_end_token_only(byte_vocabulary):
    cursor = grammar("free", byte_vocabulary).compile(ConstraintSpec("{}")).start()
    assert allowed(cursor, byte_vocabulary).all()
    cursor.commit(65)
    assert not cursor.done()
    cursor.commit(256)
    assert cursor.done()
    with pytest.raises(EngineError):
        cursor.commit(65)


@pytest.mark.parametrize("name", HOLDING)
def test_equal_specs_are_compiled_once(name, byte_vocabulary):
    engine = grammar(name, byte_vocabulary)
    spec = ConstraintSpec(json.dumps(OWN[0]))
    assert engine.compile(spec) is engine.compile(ConstraintSpec(json.dumps(OWN[0])))

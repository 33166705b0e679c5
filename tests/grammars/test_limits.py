"""No schema and no text hangs the night: llguidance compiles it within some seconds and 400 MB, or refuses it."""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from published import published

from pipeline.data import ConstraintSpec, Vocabulary
from pipeline.errors import AnswerError, SchemaError
from pipeline.grammars import grammar
from pipeline.schema import TaskSchema
from pipeline.supervise import Worker

SECONDS = 20  # of processor time: the machine may be busy
MEMORY = 400 << 20
LONGEST = 950_000  # characters of a schema
BYTES = Vocabulary((*(bytes([byte]) for byte in range(256)), b""), frozenset({256}), list)
COPIED = {"type": ["string", "null"], "maxLength": 200, "x-nightdesk": {"extractive": True}}
DATE = {"type": "string", "maxLength": 200, "x-nightdesk": {"type": "date"}}


def members(number: int, *kinds: object) -> dict[str, object]:
    properties = {f"field{i}": kinds[i % len(kinds)] for i in range(number)}
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def nested(depth: int) -> dict[str, object]:
    schema = members(1, {"type": "boolean"})
    for _ in range(depth):
        schema = members(1, schema)
    return schema


HEAVY = {
    "a large enum": members(1, {"enum": [f"{i * 7919:012}" for i in range(LONGEST // 16)]}),
    "many members": members(LONGEST // 70, {"type": "string", "maxLength": 200}),
    "large counts": members(
        9, {"type": "array", "minItems": 9000, "maxItems": 9000, "items": members(9, {"enum": [1]})}
    ),
    "a long string": members(1, {"type": "string", "minLength": 90_000, "maxLength": 90_000}),
    "many patterns": members(500, {"type": "string", "pattern": "^[a-z]{1,50}[0-9]{3}-(x|y|zz){1,9}$"}),
    "objects in objects": nested(8),
}
SOURCES = {
    "one letter": "a" * 100_000,
    "one word": "a " * 50_000,
    "lines": "\n".join(f"item {i} {i * 7919 % 1000}.50 EUR 2024-0{i % 9 + 1}-11" for i in range(3000))[:100_000],
}


def cost(spec: ConstraintSpec) -> tuple[str, float, int]:
    """Runs in a worker: compiles and takes the first steps. How it ended, processor seconds, most bytes held."""
    engine, began, ended = grammar("llguidance", BYTES), time.process_time(), "taken"
    try:
        cursor = engine.compile(spec).start()
        for _ in range(40):
            if cursor.done():
                break
            allowed = np.flatnonzero(np.unpackbits(cursor.mask().view(np.uint8), bitorder="little"))
            cursor.commit(int(allowed[len(allowed) // 2]))
    except (AnswerError, SchemaError) as error:
        ended = type(error).__name__
    return ended, time.process_time() - began, most_held()


def most_held() -> int:
    """The most memory of this process so far, in bytes. On Linux `ru_maxrss` begins with what its parent held."""
    if sys.platform == "linux":
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.fixture(scope="module")
def worker():
    """The most that it held is the most of any so far."""
    with closing(Worker(cost, name="grammar", timeout=250, memory=1 << 30)) as worker:
        yield worker


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_schema_is_bounded_in_time_and_memory(worker, name):
    schema = TaskSchema.from_json(HEAVY[name]).json_schema

    ended, seconds, most = worker.ask(ConstraintSpec(schema))

    print(f"{name}: {ended}, {seconds:.1f} s, {most >> 20} MB")
    assert (seconds < SECONDS, most < MEMORY) == (True, True)


@pytest.mark.parametrize("name", SOURCES)
def test_a_long_text_is_bounded_in_time_and_memory(worker, name):
    schema = TaskSchema.from_json(members(4, COPIED, DATE)).json_schema

    ended, seconds, most = worker.ask(ConstraintSpec(schema, SOURCES[name]))

    print(f"{name}: {ended}, {seconds:.1f} s, {most >> 20} MB")
    assert (seconds < SECONDS, most < MEMORY) == (True, True)


def test_a_schema_that_is_longer_is_refused():
    with pytest.raises(SchemaError, match="characters; 1,000,000 are the most"):
        TaskSchema.from_json(members(1, {"enum": [f"{i:012}" for i in range(100_000)]}))


@pytest.mark.parametrize(
    "pattern",
    ["^((((a{1,50}){1,50}){1,50}){1,50})$", pytest.param("^(a|b)*a(a|b){20}$", marks=pytest.mark.long)],
    ids=["counts in counts", "to look ahead in"],
)
def test_a_pattern_that_is_too_much_is_refused_by_its_keyword_in_time(pattern):
    began = time.process_time()

    with pytest.raises(SchemaError, match="`pattern`"):
        TaskSchema.from_json(members(1, {"type": "string", "pattern": pattern}))

    assert time.process_time() - began < SECONDS


def test_what_is_nested_too_deep_is_refused(byte_vocabulary):
    with pytest.raises(SchemaError, match="llguidance does not take this schema: recursion limit exceeded"):
        grammar("llguidance", byte_vocabulary).compile(ConstraintSpec(json.dumps(nested(400))))


def test_an_answer_that_goes_beyond_the_grammars_limits_costs_itself_only(byte_vocabulary):
    schema = members(2000, {"type": "string"}) | {"required": []}
    cursor = grammar("llguidance", byte_vocabulary).compile(ConstraintSpec(json.dumps(schema))).start()

    with pytest.raises(AnswerError, match="beyond its limits"):
        cursor.commit(ord("{"))


def test_a_schema_that_no_answer_fits_costs_its_answers_only(byte_vocabulary):
    cursor = grammar("llguidance", byte_vocabulary).compile(ConstraintSpec('{"allOf": [{"$ref": "#"}]}')).start()

    with pytest.raises(AnswerError, match="nothing may come next"):
        cursor.mask()


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_published_schema_is_bounded_in_time_and_memory(worker):
    costs = [worker.ask(ConstraintSpec(one.text)) for one in published()]
    slowest, most = max(seconds for _, seconds, _ in costs), max(held for _, _, held in costs)
    print(f"{len(costs)} schemas; the slowest took {slowest:.1f} s, the process had {most >> 20} MB at most")
    assert (slowest < SECONDS, most < MEMORY) == (True, True)

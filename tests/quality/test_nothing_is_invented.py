"""Over all labelled sets, every document: no value of an extractive field that is not in the document.

The model is scripted noise that sees no document, so nothing but the grammar keeps its answers to the text. The check
does not use the folding that made the values.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline.data import ConstraintSpec, Prompt, Segment, Stop
from pipeline.engines import Engine
from pipeline.engines.batched import HOLDERS
from pipeline.engines.shape import FORK_CELLS, FORKS, Resolved
from pipeline.engines.sizes import Sizes
from pipeline.engines.spec import EngineSpec
from pipeline.evaluation import load_gold
from pipeline.models.byte_tokenizer import ByteTokenizer
from pipeline.readers.request import Request, answer
from pipeline.schema import Extractive, Field, List, Object, TaskSchema, Text
from tests.quality.cells import bare, pointing

DATA = os.environ.get("NIGHTDESK_TEST_DATA")
SETS = sorted(path.name for path in (Path(DATA) / "kie").iterdir() if path.is_dir()) if DATA else []
CHARS = 2000  # of a document
ITEM = Object(
    (
        Field("a", Text(max_length=30, extractive=Extractive())),
        Field("b", Text(max_length=30, type="number", extractive=Extractive("number")), nullable=True),
    )
)
SCHEMA = Object(
    (
        Field("word", Text(max_length=40, extractive=Extractive()), nullable=True),
        Field("line", Text(max_length=90, extractive=Extractive(unit="line"))),
        Field("date", Text(max_length=40, type="date", extractive=Extractive("date"))),
        Field("money", Text(max_length=30, type="money", extractive=Extractive("money"))),
        Field("all", List(Text(max_length=30, extractive=Extractive()), max_items=3)),
        Field("items", List(ITEM, max_items=3, in_order=True)),
    )
)


@pytest.fixture(scope="module")
def engine() -> Engine:
    sizes = Sizes(64 * 1024, HOLDERS + 8 + FORKS, 2048, 256, 2048, threads=1)
    with_forks = Resolved(8, FORKS, FORK_CELLS, sizes)
    engine = EngineSpec(None, "batched", "llguidance", with_forks).build()
    yield engine
    engine.close()


@pytest.mark.skipif(DATA is None, reason="NIGHTDESK_TEST_DATA is not set")
@pytest.mark.parametrize("name", SETS)
def test_every_extractive_value_of_every_document_stands_in_it(engine, name):
    folder = Path(DATA, "kie", name)
    files = [folder / one.file for one in load_gold(folder / "gold.jsonl")]
    texts = [answer(Request(str(file))).text[:CHARS] for file in files]
    schema = TaskSchema(SCHEMA)
    prompts = [
        Prompt(str(i), (Segment.of([i % 256, i // 256]),), ConstraintSpec(schema.json_schema, text), 900, seed=i)
        for i, text in enumerate(texts)
        if text.strip()
    ]
    decode = ByteTokenizer().vocabulary.decode

    values = outside = 0
    for completion in engine.run(iter(prompts)):
        assert completion.stop is Stop.END
        said = [*pointing(SCHEMA, json.loads(decode(completion.tokens)))]
        text = bare(texts[int(completion.work_key)])
        values += len(said)
        outside += sum(bare(value) not in text for value in said)

    assert outside == 0
    assert values >= 3 * len(prompts)

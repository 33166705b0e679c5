"""What the chunks of a document say becomes one record, read as that document writes dates and amounts."""

from __future__ import annotations

import pytest

from pipeline.data import Chunk, Document, Extraction, Page
from pipeline.prompting import load_task
from pipeline.run.records import Answers, build_record


@pytest.mark.parametrize(("elsewhere", "conflicts"), [("03/25/2018", 0), ("25/03/2018", 1)])
def test_chunks_agree_on_a_date_where_it_is_one_in_their_document(tmp_path, elsewhere, conflicts):
    (tmp_path / "deal.toml").write_text('instructions = "Copy."\nschema = "deal.json"')
    (tmp_path / "deal.json").write_text(
        '{"type": "object", "additionalProperties": false, "required": ["day"], "properties": {'
        '"day": {"type": "string", "x-nightdesk": {"type": "date"}, "maxLength": 20}}}'
    )
    said = ("03/04/2018", "March 4, 2018")
    text = f"{said[0]}\n{said[1]}\n{elsewhere}"
    document = Document("d", text, (Page(1, 0, len(text)),), "text", "1")
    starts = [text.index(day) for day in said]
    chunks = [
        (Chunk("d", number, start, start + len(day), day), Extraction(str(number), {"day": day}))
        for number, (start, day) in enumerate(zip(starts, said, strict=True))
    ]

    record, _ = build_record(Answers(document, load_task(str(tmp_path / "deal.toml")), chunks, [{}, {}], pointed=False))

    assert len(record.conflicts) == conflicts

"""What langextract itself makes of our export. It brings 280 MB along, so no extra installs it; tried with 1.7.1."""

from __future__ import annotations

import html
import io

import pytest

from pipeline.data import Document, Page, Record
from pipeline.grounding import ground
from pipeline.schema import Field, List, Object, Text
from pipeline.sinks import export
from pipeline.store import FileRow, RunInfo, Store

langextract = pytest.importorskip("langextract", reason="langextract is not installed")

SCHEMA = Object((Field("shop", Text(), nullable=True), Field("items", List(Object((Field("name", Text()),))))))
DOCUMENTS = {
    "quotes": ('Say "hello" & <b>bye</b>', '"hello"', ["<b>bye</b>", "nowhere", None]),
    "beyond the BMP": ("😀 👩‍👩‍👧 Shop 🇩🇪 \r\n 12", "👩‍👩‍👧 Shop", ["🇩🇪", "12"]),
    "right to left": ("المبلغ: ١٢٫٥٠\n\u202bשלום עולם\u202c 9 ₪", "المبلغ", ["שלום עולם", "9 ₪"]),
    "han": ("株式会社山田商店\n合計：￥１２，３４５", "山田商店", ["¥12,345"]),
    "marks": ("Cafe\u0301 Kost\u00adbar ﬁrma Hyphen-\nated a\0b", "café", ["Kostbar", "firma", "Hyphenated", "a\0b"]),
    "nothing": ("Nothing here.", None, []),
}


@pytest.fixture
def file(tmp_path):
    with Store.open(tmp_path / "night.db") as store:
        run = store.begin_run(RunInfo("nightdesk run"))
        recipe = store.recipe("slips", {"chunking": "whole"})
        store.define_task(run, "slips", SCHEMA, recipe)
        for name, (text, shop, items) in DOCUMENTS.items():
            values = {"shop": shop, "items": [{"name": item} for item in items]}
            document = Document(name, text, (Page(1, 0, len(text)),), "text", "1")
            store.save_files(run, [FileRow(name, None, name, 1, 1, name)])
            store.link_inputs(run, "slips", [name])
            store.save_document(run, document)
            record = Record(name, "slips", values, evidence=ground(values, SCHEMA, document))
            store.save_record(run, record, recipe, {})
        out = io.StringIO(newline="")
        export(store, "slips", "langextract", out)
    file = tmp_path / "night.jsonl"
    file.write_text(out.getvalue(), "utf-8", newline="")
    return file


def test_langextract_reads_each_value_at_its_words_and_shows_it(file):
    loaded = list(langextract.io.load_annotated_documents_jsonl(file, show_progress=False))

    assert [document.document_id for document in loaded] == list(DOCUMENTS)
    for document in loaded:
        text, shop, items = DOCUMENTS[document.document_id]
        assert document.text == text
        said = [value for value in (shop, *items) if value is not None]
        assert [one.extraction_text for one in document.extractions] == said
        page = langextract.visualize(document)
        for one in document.extractions:
            if one.char_interval is None:
                assert (one.extraction_text, one.alignment_status) == ("nowhere", None)
                continue
            words = text[one.char_interval.start_pos : one.char_interval.end_pos]
            is_exact = one.alignment_status is langextract.data.AlignmentStatus.MATCH_EXACT
            assert is_exact == (words.lower() == one.extraction_text.lower())
            assert f">{html.escape(words)}</span>" in page


def test_langextract_shows_the_first_document_of_a_file(file):
    assert "hello" in langextract.visualize(file)

"""A store without texts writes no word of a document but the values; one that had texts can overwrite them."""

from __future__ import annotations

import json

import pytest

from pipeline.data import (
    Completion,
    Conflict,
    Counts,
    Document,
    Evidence,
    Extraction,
    Found,
    Page,
    Place,
    Record,
    Stop,
    Word,
)
from pipeline.store import OcrPage

MARKS = ("marktext", "markplace", "markheading", "markquote", "markkept", "markother", "markthought", "markpicture")


def save_all(night):
    """Everything that a run can keep of a document, each with a mark of its own."""
    store = night.store
    document = Document(
        "d" * 64,
        "marktext of a slip",
        (Page(1, 0, 18),),
        "pdf",
        "1",
        places=(Place(0, 8, "markplace"),),
        ocr="eng",
        words=(Word(1, 0, 8, 1.0, 2.0, 3.0, 4.0, 0.5),),
    )
    night.look({"/in/slip.pdf": "x"})
    store.save_ocr_page(night.run, document.sha256, 1, "eng", OcrPage("markpicture", [(0, 8, 1, 2, 3, 4, 0.5)]))
    store.save_document(night.run, document)
    night.read("marktext")
    night.look({"/in/slip.txt": "marktext"})
    (work,) = night.pending()
    completion = Completion(work.work_key, (1,), (0.0,), (0.0,), (1.5,), Counts(1, 0, 0, 1), Stop.END)
    extraction = Extraction(work.work_key, {"company": "A"}, samples=({"company": "B"},))
    store.save_extraction(night.run, night.recipe, work.work_key, completion, "{}", extraction, "markthought")
    evidence = (Evidence("company", "markquote", Found.EXACT, 0, 8, 1, 1, place="markheading"),)
    conflicts = (Conflict("company", "A", "B", 1, "markkept", "markother"),)
    for _ in range(2):  # the second one sends the first to the history
        record = Record(document.sha256, night.task, {"company": "A"}, evidence=evidence, conflicts=conflicts)
        store.save_record(night.run, record, night.recipe, {})


def marks_in(path):
    kept = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    return [mark for mark in MARKS if mark.encode() in kept]


def what_stays(store):
    return (
        store._all("SELECT path, found, start_char, end_char, page FROM _evidence"),
        store._all("SELECT start_char, end_char, x0, confidence FROM _words"),
        store._all("SELECT answer, samples FROM _extractions"),
        [[c["path"], c["kept"], c["other"]] for (cell,) in store._all("SELECT conflicts FROM _records")
         for c in json.loads(cell)],
    )  # fmt: skip


@pytest.mark.parametrize("when", ["from the first run on", "later"])
def test_no_text_of_any_kind_is_in_the_file_and_offsets_and_values_are(words, reopened, path, when):
    with reopened() as store:
        save_all(words.Night(store))
        assert marks_in(path) == list(MARKS)
        stays = what_stays(store)
        if when == "later":
            assert store.forget_texts()
            assert not store.forget_texts()
            assert what_stays(store) == stays
            assert marks_in(path) == []
            return
    path.unlink()
    with reopened(keep_text=False) as store:
        save_all(words.Night(store))
        assert what_stays(store) == stays
        assert not store.forget_texts()
        assert marks_in(path) == []
    assert marks_in(path) == []

"""Work: what is asked, once; what is answered, kept; what failed, counted; and documents that are complete."""

import tracemalloc

import pytest

from pipeline.data import Completion, Counts, Document, Extraction, Failure, Page, Stop, fingerprint
from pipeline.store import FileRow, recipe_id, work_key
from pipeline.store.work import COMPLETED, ENTER_NEW_WORK, FIRST_PLACE, NEXT_WORK, UNMERGED, WORK_ORDER


def failure(work, task="receipts", stage="decode"):
    return Failure(
        f"{work.document} chunk {work.index}",
        stage,
        "PromptTooLong",
        "too long",
        document=work.document,
        work_key=work.work_key,
        task=task,
    )


def test_a_key_is_the_hash_of_the_text_and_the_recipe(store, night, words):
    night.look({"/in/a": "one two"})
    sha = night.read("one two", cut=[3])
    first, second = night.pending()

    assert night.recipe == recipe_id("receipts", words.parts) == fingerprint("receipts", words.parts)
    assert first.work_key == work_key(fingerprint("one"), night.recipe)
    assert (first.document, first.index, first.start, first.end, first.tokens) == (sha, 0, 0, 3, 3)
    assert (second.document, second.index, second.start, second.end, second.tokens) == (sha, 1, 3, 7, 4)


def test_equal_texts_are_asked_once_in_the_order_they_were_first_seen(store, night):
    texts = {"/in/1": "zz|same", "/in/2": "aa|same", "/in/3": "mm|same"}
    night.look(texts)
    for text in texts.values():
        night.read(text, cut=[3])

    assert [store.document(w.document).text[w.start : w.end] for w in night.pending()] == ["zz|", "same", "aa|", "mm|"]


def test_every_task_brings_the_documents_in_one_order_whenever_it_saw_them(store, night, begin):
    """As after a new task, `--limit` or a deadline."""
    texts = {"/in/1": "a1|a2", "/in/2": "b1|b2", "/in/3": "c1|c2"}
    other = begin(task="minutes")
    for one in (night, other):
        one.look(texts)
    for text in texts.values():
        night.read(text, cut=[3])
    late = begin()
    store.link_inputs(late.run, "receipts", ["/in/3"])
    assert len(list(store.pending("receipts", night.recipe, run_id=late.run))) == 2  # it has seen the last one only

    first, second = night.pending(), other.pending()

    assert [(w.document, w.index, w.place) for w in first] == [(w.document, w.index, w.place) for w in second]
    assert [w.place for w in first] == sorted({w.place for w in first})
    night.answer(first[2])
    assert [w.place for w in night.pending()] == [w.place for i, w in enumerate(second) if i != 2]


def test_an_answered_key_is_never_asked_again(store, night, begin):
    night.all({"/in/a": "a", "/in/b": "b"})

    assert night.pending() == []
    assert begin().pending() == []


def test_a_changed_recipe_asks_again(store, night, begin, words):
    night.all({"/in/a": "a"})
    later = begin(parts={**words.parts, "prompt": "p2"})

    assert len(later.pending()) == 1


def test_work_of_files_that_are_gone_or_of_other_tasks_is_not_asked(store, night, begin):
    night.look({"/in/a": "a", "/in/b": "b"})
    night.read("a"), night.read("b")
    night.pending()
    later = begin()
    later.look({"/in/b": "b"})
    other = begin(task="minutes")

    assert [store.document(w.document).text for w in later.pending()] == ["b"]
    assert other.pending() == []


def test_a_run_may_ask_only_for_the_files_it_reads(store, night, begin):
    night.look({"/in/a": "a", "/in/b": "b"})
    night.read("a"), night.read("b")
    later = begin()
    store.link_inputs(later.run, "receipts", ["/in/b"])

    only = store.pending("receipts", later.recipe, run_id=later.run)
    assert [store.document(w.document).text for w in only] == ["b"]
    assert len(later.pending()) == 2


def test_an_answer_comes_back_bit_for_bit(store, night):
    night.look({"/in/a": "a"})
    night.read("a")
    (work,) = night.pending()
    completion = Completion(
        work.work_key,
        (5, 2**31 - 1, 0),
        (-0.1, 0.0, -1e-300),
        (1 / 3, 0.0, 1.0),
        (0.1 + 0.2, float("inf"), 0.0),
        Counts(1, 2, 3, 4),
        Stop.LENGTH,
    )
    extraction = Extraction(work.work_key, {"company": 'q"\n🙂', "n": [1, None, 2.5, {"x": True}]}, ("items[2].a",))
    store.save_extraction(night.run, night.recipe, work.work_key, completion, '{"raw', extraction)

    answer = store.answer(work.work_key)
    assert (answer.completion, answer.extraction, answer.raw) == (completion, extraction, '{"raw')
    assert store.answer("nothing") is None


def test_the_text_of_an_answer_is_in_no_repr(store, night):
    night.look({"/in/a": "secret"})
    night.read("secret")
    (work,) = night.pending()
    night.answer(work, {"company": "secret"})

    assert "secret" not in repr(store.answer(work.work_key)) + repr(store.document(work.document))
    assert "secret" not in repr(store.extractions(work.document, night.recipe))


def test_a_second_answer_to_a_key_is_refused(store, night):
    import sqlite3

    night.look({"/in/a": "a"})
    night.read("a")
    (work,) = night.pending()
    night.answer(work)

    with pytest.raises(sqlite3.IntegrityError):
        night.answer(work)


def test_a_document_is_complete_with_its_last_chunk(store, night):
    night.look({"/in/a": "one two"})
    sha = night.read("one two", cut=[3])
    first, second = night.pending()

    assert night.answer(first) == []
    assert [e and dict(e.values) for _, e in store.extractions(sha, night.recipe)] == [{}, None]
    assert night.answer(second, {"company": "x"}) == [sha]
    assert [(c.text, dict(e.values)) for c, e in store.extractions(sha, night.recipe)] == [
        ("one", {}),
        (" two", {"company": "x"}),
    ]


def test_one_answer_completes_all_documents_it_was_the_last_of(store, night):
    texts = {"/in/1": "a|same", "/in/2": "b|same", "/in/3": "c|same"}
    night.look(texts)
    first, second, third = (night.read(text, cut=[2]) for text in texts.values())
    a, same, b, _c = night.pending()
    night.answer(a), night.answer(b)

    assert sorted(night.answer(same)) == sorted([first, second])
    assert third not in [document for (document,) in store._all("SELECT document FROM _records")]


def test_a_failed_chunk_does_not_hold_its_document_back(store, night):
    night.look({"/in/a": "one two"})
    sha = night.read("one two", cut=[3])
    first, second = night.pending()
    night.answer(first)
    store.save_failure(night.run, failure(second))

    assert store.completed_documents("receipts", night.recipe, second.work_key) == [sha]
    assert [e is None for _, e in store.extractions(sha, night.recipe)] == [False, True]


def test_a_document_of_which_every_chunk_failed_makes_no_record(store, night):
    night.look({"/in/a": "a"})
    night.read("a")
    (work,) = night.pending()
    store.save_failure(night.run, failure(work))

    assert store.completed_documents("receipts", night.recipe, work.work_key) == []
    assert list(store.unmerged("receipts", night.recipe)) == []


def test_a_new_file_whose_texts_were_all_answered_before_still_gets_its_record(store, night, begin):
    night.all({"/in/a": "same"})
    later = begin()
    later.look({"/in/a": "same", "/in/b": "b"})
    store.save_document(later.run, Document(store.file("/in/b").sha256, "same", (Page(1, 0, 4),), "html", "1"))
    chunk = store.chunks(store.file("/in/a").sha256, "whole")[0]
    store.save_chunks(store.file("/in/b").sha256, "whole", [chunk])

    assert later.pending() == []
    assert list(store.unmerged("receipts", later.recipe)) == [store.file("/in/b").sha256]


def test_a_failure_is_tried_twice_and_then_only_when_asked_for(store, night, begin):
    night.look({"/in/a": "a"})
    night.read("a")
    (work,) = night.pending()

    assert store.save_failure(night.run, failure(work)) == 1
    assert len(night.pending()) == 1
    later = begin()
    assert store.save_failure(later.run, failure(work)) == 2
    assert night.pending() == []
    assert store.failed_out(work.work_key, "decode", task="receipts")
    (kept,) = store.failures()
    assert (kept.tries, kept.first_run, kept.last_run, kept.failure) == (2, night.run, later.run, failure(work))

    assert store.retry(subjects=["/in/other"]) == 0
    assert store.retry(subjects=["/in/a"]) == 1
    assert len(night.pending()) == 1
    night.answer(work)
    assert list(store.failures()) == []


def test_failures_of_a_task_include_those_of_reading_its_files(store, night):
    night.look({"/in/a": "a"})
    night.read("a")
    (work,) = night.pending()
    store.save_failure(night.run, failure(work))
    store.save_failure(night.run, Failure("/in/a", "read", "encrypted", "no"))
    store.save_failure(night.run, Failure("/elsewhere", "read", "encrypted", "no"))

    assert [f.failure.stage for f in store.failures("receipts")] == ["decode", "read"]
    assert len(list(store.failures())) == 3
    assert list(store.failures("minutes")) == []
    assert store.retry(task="receipts") == 2


def test_reading_a_document_at_last_clears_its_failure(store, night):
    night.look({"/in/a": "a"})
    store.save_failure(night.run, Failure("/in/a", "read", "timeout", "no", document=store.file("/in/a").sha256))
    night.read("a")

    assert list(store.failures()) == []


def many(store, night, number):
    """Documents of one chunk each, straight into the tables."""
    store._many(
        """INSERT INTO _files (path, name, size, mtime_ns, sha256, first_run, seen_run)
           VALUES (?, 'n', 1, 1, ?, 1, 1)""",
        [(f"/in/{i:06}", f"{i:064}") for i in range(number)],
    )
    store._do("INSERT INTO _inputs (task, file, run) SELECT 'receipts', id, 1 FROM _files")
    store._many(
        """INSERT INTO _documents (sha256, text, reader, reader_version, run, saved)
           VALUES (?, 'x', 'text', '1', 1, 'now')""",
        [(f"{i:064}",) for i in range(number)],
    )
    store._do("INSERT INTO _chunks SELECT sha256, 'whole', 0, 0, 1, 1, 'h' || sha256 FROM _documents")


def test_pending_work_streams_while_answers_are_saved_and_memory_stays_flat(store, night):
    number = 20_000
    with store.atomic():
        many(store, night, number)
    completion = Completion("", (), (), (), (), Counts(), Stop.END)
    work = store.pending("receipts", night.recipe)
    tracemalloc.start()
    try:
        seen = 0
        for item in work:
            if seen % 1000 == 0:  # enough to write in the middle of the stream
                store.save_extraction(night.run, night.recipe, item.work_key, completion, "", Extraction("", {}))
            if seen == 1000:
                tracemalloc.reset_peak()
                settled, _ = tracemalloc.get_traced_memory()
            seen += 1
            if seen == 6000:  # tracing is slow
                _, peak = tracemalloc.get_traced_memory()
                tracemalloc.stop()
    finally:
        tracemalloc.stop()

    assert seen == number
    assert peak - settled < 500_000
    assert len(night.pending()) == number - 20


def plan_of(store, sql, parameters):
    return [row[3] for row in store._all("EXPLAIN QUERY PLAN " + sql, parameters)]


@pytest.mark.parametrize(
    ("sql", "walks"),
    [
        (ENTER_NEW_WORK, {"c", "d"}),  # every chunk is looked at once a run
        (NEXT_WORK, {"json_each"}),  # a page of ids
        (WORK_ORDER, {"c", "place"}),  # once a run, as the first
        (FIRST_PLACE, set()),
        (COMPLETED, set()),
        (UNMERGED, set()),
    ],
)
def test_no_query_walks_a_table_once_for_each_document(store, night, sql, walks):
    """With 100,000 documents in a task, a step that looks at all its files (or work) must not be repeated."""
    with store.atomic():
        many(store, night, 200)
    store.db.conn.create_function("work_key", 2, work_key, deterministic=True)
    names = ("task", "recipe", "chunking", "only", "last", "tries", "page", "text_hash", "key", "numbers")
    steps = [step.split(" USING ") for step in plan_of(store, sql, dict.fromkeys(names))]
    walked = {step[0].split()[1] for step in steps if step[0].startswith("SCAN")}

    assert {name for name in walked if not name.startswith("(")} <= walks
    assert ["SEARCH i", "PRIMARY KEY (task=?)"] not in steps
    if sql in (NEXT_WORK, UNMERGED):
        assert ["USE TEMP B-TREE FOR ORDER BY"] not in [[" USING ".join(step)] for step in steps]


def test_a_recipe_keeps_its_parts(store, night, words):
    import json

    assert [json.loads(p) for (p,) in store._all("SELECT parts FROM _recipes")] == [words.parts]
    assert store.recipe("receipts", dict(reversed(words.parts.items()))) == night.recipe
    assert store.recipe("minutes", words.parts) != night.recipe
    with pytest.raises(KeyError):
        list(store.pending("receipts", "no recipe"))


def test_tokens_of_a_crashed_run_are_counted_from_its_answers(store, night, begin):
    night.look({"/in/a": "a"})
    night.read("a")
    night.answer(night.pending()[0])
    begin()

    assert store._one("SELECT state, prefilled, reused, forced, sampled FROM _runs WHERE id = ?", (night.run,)) == (
        "crashed",
        10,
        5,
        1,
        1,
    )


def test_totals_count_documents_and_open_work(store, night):
    night.look({"/in/a": "one two", "/in/b": "one"})
    night.read("one two", cut=[3]), night.read("one")
    before = store.totals("receipts", night.recipe)
    night.answer(night.pending()[0])
    after = store.totals("receipts", night.recipe)

    assert (before.documents, before.current, before.work, before.tokens) == (2, 0, 2, 7)
    assert (after.documents, after.current, after.work, after.tokens) == (2, 1, 1, 4)


def test_a_path_of_a_document_is_one_that_is_there(store, night, begin):
    night.look({"/in/a": "x", "/in/b": "x"})
    begin().look({"/in/b": "x"})

    assert store.path_of(store.file("/in/b").sha256) == "/in/b"
    assert store.path_of("unknown") == "unknown"


def test_a_file_row_is_frozen():
    with pytest.raises(AttributeError):
        FileRow("/a", None, "a", 1, 1, None).path = "/b"

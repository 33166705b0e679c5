"""Where documents stand: the numbers add up, and one document's story is told."""

from pipeline.data import Document, Failure, Page
from pipeline.store import FileRow, TaskStatus


def told(store, subject, **recipes):
    (verdict,) = store.explain(subject, recipes or None).verdicts
    return verdict.state, verdict.reason


def test_documents_in_are_records_and_failures_and_pending(store, night, begin):
    night.all({"/in/done": "done", "/in/gone": "gone", "/in/edited": "old"})
    later = begin()
    later.look(
        {name: name for name in ("/in/encrypted", "/in/unread", "/in/uncut", "/in/waits", "/in/failed", "/in/part")}
        | {"/in/done": "done", "/in/twin": "done", "/in/edited": "new"}
    )
    store.save_files(later.run, [FileRow("/in/unreadable", None, "x", 0, 0, None)])
    store.link_inputs(later.run, "receipts", ["/in/unreadable"])
    store.save_failure(later.run, Failure("/in/unreadable", "read", "unreadable", "no"))
    encrypted = store.file("/in/encrypted").sha256
    store.save_failure(later.run, Failure("/in/encrypted", "read", "encrypted", "no", document=encrypted))
    uncut = store.file("/in/uncut").sha256
    store.save_document(later.run, Document(uncut, "x", (Page(1, 0, 1),), "text", "1"))
    later.read("/in/waits"), later.read("/in/failed"), later.read("/in/part", cut=[3])
    for work in later.pending():
        text = store.document(work.document).text[work.start : work.end]
        if text in ("/in/failed", "/in"):
            key = Failure("s", "decode", "x", "x", document=work.document, work_key=work.work_key, task="receipts")
            store.save_failure(later.run, key)

    assert store.status() == (
        TaskStatus(
            "receipts", documents=9, done=1, failed=3, pending=5, incomplete=0, gone=2, replaced=0
        ),
    )  # fmt: skip
    assert {name: told(store, name)[0] for (name,) in store._all("SELECT path FROM _files")} == {
        "/in/done": "done",
        "/in/twin": "done",
        "/in/gone": "gone",
        "/in/edited": "pending",
        "/in/encrypted": "failed",
        "/in/unreadable": "failed",
        "/in/failed": "failed",
        "/in/unread": "pending",
        "/in/uncut": "pending",
        "/in/waits": "pending",
        "/in/part": "pending",
    }


def test_a_file_nobody_has_seen_is_unknown(store, night):
    explanation = store.explain("/in/a")

    assert (explanation.paths, explanation.document, explanation.verdicts) == ((), None, ())


def test_a_document_may_be_asked_for_by_its_hash_and_names_all_its_files(store, night):
    night.all({"/in/a": "same", "/in/b": "same"})
    explanation = store.explain(store.file("/in/a").sha256)

    assert explanation.paths == ("/in/a", "/in/b")
    assert explanation.verdicts == store.explain("/in/b").verdicts
    assert explanation.verdicts[0].row == 1


def test_the_parts_of_a_recipe_that_changed_are_named(store, night, words):
    night.all({"/in/a": "a"})
    changed = {**words.parts, "prompt": "p2", "model": "m2"}
    (verdict,) = store.explain("/in/a", {"receipts": changed}).verdicts

    assert (verdict.state, verdict.changed, verdict.row) == ("changed", ("model", "prompt"), 1)
    assert verdict.reason == "Changed since: model, prompt."
    assert told(store, "/in/a", receipts=words.parts) == ("done", "Its row is up to date.")


def test_each_task_has_its_own_verdict(store, night, begin):
    night.all({"/in/a": "a"})
    other = begin(task="minutes")
    store.link_inputs(other.run, "minutes", ["/in/a"])

    assert [(v.task, v.state) for v in store.explain("/in/a").verdicts] == [
        ("minutes", "pending"),
        ("receipts", "done"),
    ]


def test_a_failure_says_whether_it_will_be_tried_again(store, night):
    night.look({"/in/a": "a"})
    failure = Failure("/in/a", "read", "encrypted", "no", document=store.file("/in/a").sha256)
    store.save_failure(night.run, failure)
    assert told(store, "/in/a") == ("failed", "The next run tries once more.")

    store.save_failure(night.run, failure)
    after = "A run that would read it otherwise tries it again, or `nightdesk retry`."
    assert told(store, "/in/a") == ("failed", after)
    assert [kept.failure for kept in store.explain("/in/a").failures] == [failure]


def test_an_incomplete_row_says_so(store, night):
    from pipeline.data import Completeness

    night.look({"/in/a": "a"})
    night.record(night.read("a"), {"company": "C"}, {}, state=Completeness.INCOMPLETE)

    assert store.status()[0].incomplete == 1
    assert told(store, "/in/a") == (
        "done",
        "Its row is up to date, but incomplete: a part of the document has no answer.",
    )


def test_a_reader_may_ask_everything_while_a_writer_works(store, night, path):
    from pipeline.store import Store

    night.all({"/in/a": "a"})
    with Store.open(path, write=False) as reader:
        assert reader.status() == store.status()
        assert reader.explain("/in/a") == store.explain("/in/a")
        assert list(reader.nested("receipts")) == list(store.nested("receipts"))
        assert list(reader.records("receipts")) == list(store.records("receipts"))
        assert list(reader.failures()) == []

"""The ledger of files: what is seen, what changes, what goes, and what belongs to which task."""

from pipeline.data import Document, Failure, Page
from pipeline.store import FileRow


def row(path, sha256, parent=None):
    return FileRow(path, parent, path.rsplit("/", 1)[-1], 5, 7, sha256)


def test_a_file_comes_back_as_it_was_saved(store, night):
    saved = FileRow("/in/ä b.pdf", None, "ä b.pdf", 2**40, 2**60, "a" * 64)
    store.save_files(night.run, [saved])

    assert store.file("/in/ä b.pdf") == saved
    assert store.file("/in/other") is None


def test_a_name_that_is_no_utf_8_can_be_saved_and_found(store, night):
    path = b"/in/caf\xe9.pdf".decode("utf-8", "surrogateescape")
    store.save_files(night.run, [row(path, "a")])

    assert store.file(path).sha256 == "a"
    assert store._all("SELECT path FROM _files") == [("/in/caf\\udce9.pdf",)]


def test_files_not_seen_at_or_below_a_root_are_gone_and_others_are_not(store, night, begin):
    old = {name: name for name in ("/in/a", "/in/sub/b", "/input/c", "/in-2/d", "/in", "/in.txt", "/in/kept")}
    night.look(old, roots=[])
    night.end()
    later = begin()

    assert later.look({"/in/kept": "/in/kept"}) == 3
    assert {p for (p,) in store._all("SELECT path FROM _files WHERE gone = 1")} == {"/in/a", "/in/sub/b", "/in"}
    assert store.file("/in/a") is None


def test_a_root_may_be_written_with_a_slash_at_its_end(store, night, begin):
    night.look({"/in/a": "a"}, roots=[])

    assert begin().look({}, roots=["/in/"]) == 1


def test_a_file_that_is_seen_again_is_there_again(store, night, begin):
    night.look({"/in/a": "a"})
    begin().look({})
    begin().look({"/in/a": "a"})

    assert store.file("/in/a") is not None


def test_attachments_of_an_unchanged_mail_stay_with_it(store, night, begin):
    night.look({"/in/m.eml": "mail"})
    mail = store.file("/in/m.eml")
    store.save_files(night.run, [row("/in/m.eml!/1", "b", mail.path), row("/in/m.eml!/1!/1", "c", "/in/m.eml!/1")])
    later = begin()

    assert later.look({"/in/m.eml": "mail"}) == 0
    assert store.file("/in/m.eml!/1!/1") is not None


def test_attachments_of_a_changed_or_gone_mail_are_gone_until_saved_again(store, night, begin):
    night.look({"/in/m.eml": "mail", "/in/n.eml": "other"})
    store.save_files(night.run, [row("/in/m.eml!/1", "b", "/in/m.eml"), row("/in/n.eml!/1", "c", "/in/n.eml")])

    assert begin().look({"/in/m.eml": "new mail"}) == 2
    assert store._all("SELECT path, gone FROM _files WHERE gone > 0 ORDER BY path") == [
        ("/in/m.eml!/1", 2),
        ("/in/n.eml", 1),
        ("/in/n.eml!/1", 1),
    ]


def test_attachments_belong_to_the_tasks_of_their_mail_in_either_order(store, night, words):
    store.save_files(night.run, [row("/in/m.eml", "m"), row("/in/m.eml!/1", "b", "/in/m.eml")])
    store.link_inputs(night.run, "receipts", ["/in/m.eml"])
    store.save_files(night.run, [row("/in/m.eml!/2", "c", "/in/m.eml")])

    linked = store._all("SELECT path FROM _files JOIN _inputs ON file = id WHERE task = 'receipts' ORDER BY path")
    assert linked == [("/in/m.eml",), ("/in/m.eml!/1",), ("/in/m.eml!/2",)]


def test_a_file_that_cannot_be_read_today_keeps_its_document(store, night, begin):
    night.look({"/in/a": "a"})
    later = begin()
    store.save_failure(later.run, Failure("/in/a", "read", "unreadable", "no"))
    store.save_files(later.run, [FileRow("/in/a", None, "a", 0, 0, None)])

    assert store.file("/in/a").sha256 is not None
    assert [failed.failure.error for failed in store.failures()] == ["unreadable"]


def test_a_changed_file_loses_its_old_failures_unless_the_bytes_lie_elsewhere(store, night, begin):
    store.save_files(night.run, [row("/in/a", "x"), row("/in/b", "y"), row("/in/c", "y")])
    store.save_failure(night.run, Failure("/in/a", "read", "encrypted", "no", document="x"))
    store.save_failure(night.run, Failure("/in/b", "read", "encrypted", "no", document="y"))
    later = begin()

    store.save_files(later.run, [row("/in/a", "x2"), row("/in/b", "y2")])
    assert [failed.failure.document for failed in store.failures()] == ["y"]


def test_failures_of_a_file_that_is_gone_are_gone(store, night, begin):
    night.look({"/in/a": "a", "/in/b": "b"})
    store.save_failure(night.run, Failure("/in/a", "read", "encrypted", "no", document=store.file("/in/a").sha256))
    store.save_failure(night.run, Failure("/in/b", "read", "unreadable", "no"))
    store.save_failure(night.run, Failure("/elsewhere", "read", "missing", "no"))
    begin().look({})

    assert [failed.failure.subject for failed in store.failures()] == ["/elsewhere"]


def test_a_file_is_linked_only_after_it_was_saved(store, night):
    import pytest

    with pytest.raises(ValueError):
        store.link_inputs(night.run, "receipts", ["/in/never"])


def test_a_document_comes_back_as_it_was_read(store, night):
    text = "naïve\r\n\0 表 🙂 \u202e end"
    pages = (Page(1, 0, 5), Page(2, 5, len(text), "no text layer"))
    document = Document("a" * 64, text, pages, "pdf", "pypdf 6")
    store.save_document(night.run, document)

    assert store.document("a" * 64) == document
    assert store.reader_version("a" * 64) == "pypdf 6"
    assert store.reader_version("b" * 64) is None


def test_lone_surrogates_do_not_move_offsets(store, night):
    store.save_document(night.run, Document("a", "x\ud83d\ude42\udfffy", (Page(1, 0, 5),), "text", "1"))

    assert store.document("a").text == "x\ufffd\ufffd\ufffdy"


def test_a_document_read_anew_keeps_its_chunks_only_where_its_text_is_the_same(store, night):
    sha = night.read("hello")
    store.save_document(night.run, Document(sha, "hello", (Page(1, 0, 5),), "text", "2"))
    assert len(store.chunks(sha, "whole")) == 1

    store.save_document(night.run, Document(sha, "hullo", (Page(1, 0, 5),), "text", "3"))
    assert store.chunks(sha, "whole") == []
    assert store.document(sha).text == "hullo"


def test_chunks_are_slices_of_their_document(store, night):
    sha = night.read("one two", cut=[3])

    assert [(c.index, c.start, c.end, c.text, c.tokens) for c in store.chunks(sha, "whole")] == [
        (0, 0, 3, "one", 3),
        (1, 3, 7, " two", 4),
    ]


def test_only_documents_of_the_task_that_are_there_wait_to_be_cut(store, night, begin):
    from pipeline.store import FileRow

    night.look({"/in/a": "a", "/in/b": "b"})
    for name in "abc":
        text = Document(store.file(f"/in/{name}").sha256 if name != "c" else "c", name, (Page(1, 0, 1),), "text", "1")
        store.save_document(night.run, text)
    store.save_files(night.run, [FileRow("/other/c", None, "c", 1, 1, "c")])
    store.link_inputs(night.run, "minutes", ["/other/c"])

    assert list(store.unchunked("receipts", "whole")) == [store.file("/in/a").sha256, store.file("/in/b").sha256]
    assert list(store.unchunked("minutes", "whole")) == ["c"]
    later = begin()
    later.look({"/in/b": "b"})
    assert list(store.unchunked("receipts", "whole")) == [store.file("/in/b").sha256]
    assert list(store.unchunked("minutes", "whole", run_id=later.run)) == []


def test_documents_are_cut_while_they_stream(store, night, words):
    texts = {f"/in/{i}": f"text {i}" for i in range(300)}
    night.look(texts)
    with store.atomic():
        for text in texts.values():
            store.save_document(night.run, Document(words.sha(text), text, (Page(1, 0, 6),), "text", "1"))

    seen = []
    for sha in store.unchunked("receipts", "whole"):
        seen.append(sha)
        night.read(store.document(sha).text)
    assert seen == [words.sha(text) for text in texts.values()]


def test_a_document_that_cannot_be_cut_waits_no_more_after_two_tries(store, night):
    night.look({"/in/a": "   "})
    sha = store.file("/in/a").sha256
    store.save_document(night.run, Document(sha, "   ", (Page(1, 0, 3),), "text", "1"))
    failure = Failure("/in/a", "chunk", "empty", "no text", document=sha, task="receipts")

    assert store.save_failure(night.run, failure) == 1
    assert list(store.unchunked("receipts", "whole")) == [sha]
    assert store.save_failure(night.run, failure) == 2
    assert list(store.unchunked("receipts", "whole")) == []
    assert store.retry() == 1
    assert list(store.unchunked("receipts", "whole")) == [sha]

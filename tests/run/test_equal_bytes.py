"""Equal bytes under several names, and files that hold others: every copy keeps what it holds, and nothing twice."""

from __future__ import annotations

import pytest

from pipeline.run import run
from pipeline.run.events import FileRead, PageDone
from pipeline.store import Store
from tests.run.test_changes import packed
from tests.run.test_scans import needs_tesseract, scan

LETTER = "Dear Ana, the weather was fine."


def rows(nights):
    files = nights.sql("SELECT file, gone FROM tone ORDER BY file")
    return [(file.removeprefix(str(nights.path / "docs") + "/"), gone) for file, gone in files]


def read(outcome):
    return [event.path.rpartition("/")[2] for event in outcome.all(FileRead)]


def quiet(nights):
    """A run that has nothing to do."""
    again = nights.run()
    return (again.looked.to_read, again.answered, again.recorded, again.summary.gone, again.failures) == (
        *(0, 0, 0, 0),
        [],
    )


# --- names


@pytest.mark.parametrize("names", [("letter.bak", "letter.txt"), ("letter", "letter.txt"), ("a.pdf", "b.txt")])
def test_equal_bytes_are_read_under_the_name_that_says_what_they_are(nights, names):
    for name in names:
        nights.write(name, LETTER)

    first = nights.run()

    assert (first.looked.to_read, first.recorded, first.failures) == (1, 1, [])
    assert quiet(nights)


def test_a_good_name_for_bytes_that_failed_twice_is_tried(nights):
    nights.write("letter.bak", LETTER)
    nights.run()
    nights.run()
    assert quiet(nights)
    nights.write("letter.txt", LETTER)

    again = nights.run()

    assert (again.recorded, again.failures) == (1, [])
    assert nights.count("_failures") == 0
    assert quiet(nights)


def test_a_file_that_gets_the_suffix_of_its_content_is_read_the_same_night(nights):
    file = nights.write("letter.pdf", LETTER)
    nights.run()
    nights.run()
    file.rename(file.with_suffix(".txt"))

    assert nights.run().recorded == 1
    assert nights.count("_failures") == 0


def test_bytes_that_no_name_makes_readable_are_one_failure_and_left_alone(nights):
    for name in ("a.csv", "b.txt", "c.bak"):
        nights.write(name, b"")

    first, second = nights.run(), nights.run()

    assert [(f.failure.error, f.tries) for f in (*first.failures, *second.failures)] == [("empty", 1), ("empty", 2)]
    assert quiet(nights)


@pytest.mark.parametrize("names", [("x.csv", "x.txt"), ("p.html", "p.txt")])
def test_equal_bytes_of_two_formats_are_read_by_one_reader(nights, names):
    for name in names:
        nights.write(name, "weather,fine\nroof,mended\n")
    nights.run()

    assert quiet(nights)
    assert quiet(nights)


def test_a_file_of_another_format_by_its_new_name_is_read_by_that(nights):
    file = nights.write("page.txt", "<html><body><p>The weather was fine.</p></body></html>")
    nights.run()
    file.rename(file.with_suffix(".html"))

    assert read(nights.run()) == ["page.html"]
    assert nights.sql("SELECT reader FROM _documents") == [("html",)]
    assert quiet(nights)


def test_equal_bytes_in_an_archive_under_two_names_are_no_failure(nights):
    nights.write("box.zip", packed(a_txt=LETTER, b_pdf=LETTER))

    assert nights.run().failures == []
    assert quiet(nights)


# --- files that hold others


def test_what_left_an_archive_stays_gone(nights):
    nights.write("box.zip", packed(a_txt="Letter A.", b_txt="Letter B.", c_zip=packed(d_txt="Letter D.")))
    nights.run()
    nights.write("box.zip", packed(a_txt="Letter A.", b_txt="Letter E."))
    nights.run()
    after = [("box.zip!/1", 0), ("box.zip!/2", 0), ("box.zip!/3!/1", 1)]
    assert rows(nights) == after

    assert quiet(nights)
    assert rows(nights) == after
    with Store.open(nights.database) as store:  # and it goes with the archive
        store.purge(store.documents_at(str(nights.path / "docs/box.zip")))
    assert nights.count("tone") == 0


def test_what_an_archive_holds_moves_with_it(nights):
    box = nights.write("box.zip", packed(a_txt="Letter A.", inner_zip=packed(b_txt="Letter B.")))
    nights.run()
    box.rename(box.with_name("chest.zip"))

    again = nights.run()

    assert again.answered == 0
    assert rows(nights) == [("chest.zip!/1", 0), ("chest.zip!/2!/1", 0)]
    assert quiet(nights)


def test_what_an_archive_holds_stays_where_its_name_goes_to_a_newer_one(nights):
    box = nights.write("box.zip", packed(a_txt="Letter A."))
    nights.run()
    box.rename(box.with_name("old.zip"))
    nights.write("box.zip", packed(b_txt="Letter B."))

    assert nights.run().answered == 1
    assert rows(nights) == [("box.zip!/1", 0), ("old.zip!/1", 0)]
    assert quiet(nights)


def test_each_of_two_equal_archives_holds_its_files(nights):
    one = nights.write("a.zip", packed(a_txt="Letter A.", b_txt="Letter B."))
    nights.write("b.zip", one.read_bytes())
    first = nights.run()
    assert (first.looked.to_read, first.answered) == (1, 2)
    assert quiet(nights)
    one.unlink()

    assert nights.run().answered == 0
    assert rows(nights) == [("b.zip!/1", 0), ("b.zip!/2", 0)]
    assert quiet(nights)


def test_a_task_reads_the_files_in_an_archive_that_another_task_has_read(nights):
    nights.task("other")
    one, two = nights.write("one/box.zip", packed(a_txt="Letter A.")), nights.path / "elsewhere" / "box.zip"
    two.parent.mkdir()
    two.write_bytes(one.read_bytes())
    nights.run()
    [entry] = nights.job(["other"]).tasks
    job = nights.job().model_copy(update={"tasks": (entry.model_copy(update={"inputs": (two.parent,)}),)})

    list(run(job))

    assert nights.sql("SELECT file, gone FROM other") == [(f"{two}!/1", 0)]


def test_what_left_an_archive_comes_back_with_it(nights):
    whole = packed(a_txt="Letter A.", b_txt="Letter B.")
    for content in (whole, packed(a_txt="Letter A."), whole):
        nights.write("box.zip", content)
        last = nights.run()

    assert last.answered == 0
    assert rows(nights) == [("box.zip!/1", 0), ("box.zip!/2", 0)]
    assert quiet(nights)


def test_an_archive_that_takes_the_bytes_of_another_holds_its_files(nights):
    nights.write("a.zip", packed(a_txt="Letter A."))
    other = nights.write("b.zip", packed(b_txt="Letter B."))
    nights.run()
    nights.write("a.zip", other.read_bytes())
    nights.run()

    assert rows(nights) == [("a.zip!/1", 0)]
    paths = nights.sql("SELECT count(DISTINCT sha256), sum(gone > 0) FROM _files WHERE parent IS NOT NULL")
    assert paths == [(1, 0)]
    assert quiet(nights)


# --- other readers


@pytest.mark.parametrize("where", ["box.zip", "outer.zip"])
def test_a_file_in_an_archive_is_read_again_by_a_newer_reader(nights, monkeypatch, where):
    box = packed(a_txt="Letter A.", empty_txt=b"")
    nights.write(where, box if where == "box.zip" else packed(box_zip=box))
    nights.run()
    nights.run()
    monkeypatch.setattr("pipeline.readers.text.VERSION", "newer")

    assert read(nights.run()) == [where]
    assert nights.sql("SELECT reader_version FROM _documents WHERE reader = 'text'") == [("text newer",)]
    assert quiet(nights)


@needs_tesseract
def test_a_scan_in_an_archive_is_read_again_under_other_settings(nights):
    nights.write("box.zip", packed(photo_png=scan("A letter about the weather", kind="PNG"), a_txt="Letter A."))
    nights.run(ocr="off")
    assert nights.count("tone") == 1

    assert len(nights.run(ocr="eng").all(PageDone)) == 1
    assert nights.count("tone") == 2
    assert not nights.run(ocr="eng").all(FileRead)

"""Equal bytes under several names, and files that hold others: every copy keeps what it holds, and nothing twice."""

from __future__ import annotations

import pytest

from pipeline.run.events import FileRead
from pipeline.store import Store
from tests.run.test_changes import packed

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

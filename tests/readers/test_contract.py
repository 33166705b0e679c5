"""What holds for every format, whoever wrote it."""

import hashlib
import pickle
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import readers
from pipeline.errors import ReadError

SUFFIXES = readers.suffixes()
PICTURES = {".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
SCANS = readers.ReadOptions(scans=True)  # a picture has no text of its own
ONE_EACH = sorted({readers.version(f"a{suffix}").split()[0]: suffix for suffix in reversed(SUFFIXES)}.values())
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(document, content):
    assert document.sha256 == hashlib.sha256(content).hexdigest()
    waits = any(page.note in readers.SCANNED for page in document.pages)
    assert document.text.strip() or document.attachments or waits
    assert document.pages
    assert [page.number for page in document.pages] == list(range(1, len(document.pages) + 1))
    assert document.pages[0].start == 0
    assert document.pages[-1].end == len(document.text)
    for page, following in zip(document.pages, document.pages[1:], strict=False):
        assert page.start <= page.end <= following.start
        assert document.text[page.end : following.start] == readers.PAGE_BREAK
    for page in document.pages:
        inside = document.text[page.start : page.end]
        assert not any(unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t" for c in inside)
        assert unicodedata.is_normalized("NFC", inside) or len(inside) > 64
    document.text.encode("utf-8")
    for attachment in document.attachments:
        assert attachment.name
        assert "/" not in attachment.name


def read_or_refuse(content, name):
    """Whatever the bytes are: a sound Document or a ReadError that says what to do, and nothing else."""
    try:
        document = readers.read(content, name, SCANS)
    except ReadError as refusal:
        error = refusal
    else:
        check(document, content)
        return
    assert error.code
    assert error.hint
    assert name in error.message


@pytest.mark.parametrize("suffix", ONE_EACH)
def test_pages_have_a_limit_in_every_format(valid_files, suffix, monkeypatch):
    monkeypatch.setattr(readers, "MOST_PAGES", 0)

    with pytest.raises(ReadError, match=r"has [\d,]+ pages; 0 are the most") as caught:
        readers.read(valid_files[suffix], f"file{suffix}", SCANS)

    assert (caught.value.code, caught.value.hint[:8]) == ("limits", "Split it")


def test_every_suffix_has_a_valid_example(valid_files):
    assert set(valid_files) == set(SUFFIXES)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_valid_file_is_read_by_the_contract(suffix, valid_files):
    document = readers.read(valid_files[suffix], f"file{suffix}", SCANS)

    check(document, valid_files[suffix])
    assert {page.note for page in document.pages} == {readers.NO_TEXT if suffix in PICTURES else ""}
    assert document.reader_version == readers.version(f"other{suffix.upper()}")
    assert document.reader_version.startswith(document.reader + " ")
    assert pickle.loads(pickle.dumps(document)) == document
    assert not document.changes or suffix in {".doc", ".dot"}  # the sample has some


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_reading_twice_gives_the_same(suffix, valid_files):
    first, second = (readers.read(valid_files[suffix], f"{folder}/a{suffix}", SCANS) for folder in ("x", "/y/z"))
    assert first == second


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_is_empty(suffix):
    with pytest.raises(ReadError) as caught:
        readers.read(b"", f"file{suffix}")

    assert caught.value.code == "empty"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_name_is_never_a_path(suffix, valid_files):
    document = readers.read(valid_files[suffix], f"/no/such/../folder\x00/é\n{suffix}", SCANS)

    check(document, valid_files[suffix])


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix not in PICTURES])
def test_a_picture_under_the_wrong_suffix_is_named(suffix):
    with pytest.raises(ReadError) as caught:
        readers.read(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10, f"photo{suffix}")

    assert caught.value.code == "wrong_suffix"
    assert "a PNG image" in caught.value.message


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix != ".pdf"])
def test_a_pdf_under_the_wrong_suffix_is_named(suffix, valid_files):
    with pytest.raises(ReadError, match="looks like a PDF") as caught:
        readers.read(valid_files[".pdf"], f"scan{suffix}")

    assert caught.value.code == "wrong_suffix"


@pytest.mark.parametrize("suffix", [".pdf", ".eml"])
def test_a_page_saved_under_the_wrong_suffix_is_named(suffix, valid_files):
    with pytest.raises(ReadError, match="looks like an HTML page") as caught:
        readers.read(valid_files[".html"], f"invoice{suffix}")

    assert caught.value.code == "wrong_suffix"


@pytest.mark.parametrize("start", [b"<!-- -->", b"a: b\n", b"<?xml >", b" ", b"From a\n", b"a:b\n c\n"])
def test_looking_at_a_strange_beginning_takes_no_time(start):
    with pytest.raises(ReadError):
        readers.read(start * 100_000, "file.pdf")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_binary_garbage_is_refused(suffix):
    garbage = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(100))

    with pytest.raises(ReadError) as caught:
        readers.read(garbage, f"file{suffix}")

    assert caught.value.code == "binary"


@pytest.mark.parametrize("name", ["letter.xyz", "letter", ".pdf", "letter.pdf.exe", ""])
def test_an_unknown_format_names_those_that_are_read(name):
    with pytest.raises(ReadError) as caught:
        readers.read(b"text", name)

    assert caught.value.code == "unknown_format"
    assert ".pdf" in caught.value.hint
    assert ".eml" in caught.value.hint


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ReadError, match=r"gone\.txt cannot be opened") as caught:
        readers.read_file(tmp_path / "gone.txt")

    assert caught.value.code == "missing"


def test_a_folder_in_place_of_a_file_is_unreadable(tmp_path):
    with pytest.raises(ReadError) as caught:
        readers.read_file(tmp_path)

    assert caught.value.code == "unreadable"


def test_a_file_is_read_from_its_path(tmp_path):
    (tmp_path / "note.txt").write_bytes(b"hello")

    assert readers.read_file(tmp_path / "note.txt").text == "hello"


def test_document_text_is_in_no_repr(valid_files):
    assert "Total" not in repr(readers.read(valid_files[".eml"], "a.eml"))
    assert "secret" not in repr(readers.ReadOptions(passwords=("secret",)))


@pytest.mark.parametrize("suffix", ONE_EACH)
@MANY
@given(content=st.binary(min_size=1, max_size=300))
def test_random_bytes_never_crash(suffix, content):
    read_or_refuse(content, f"file{suffix}")


@pytest.mark.parametrize("suffix", ONE_EACH)
@MANY
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_random_text_never_crashes(suffix, text):
    read_or_refuse(text.encode(), f"file{suffix}")


@pytest.mark.parametrize("suffix", ONE_EACH)
@MANY
@given(data=st.data())
def test_a_damaged_file_never_crashes(suffix, valid_files, data):
    """Cut short, with a stretch taken out, doubled or overwritten."""
    whole = valid_files[suffix]
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    put = data.draw(st.one_of(st.just(b""), st.just(whole[start:end] * 2), st.binary(max_size=20)))
    tail = data.draw(st.booleans())

    read_or_refuse(whole[:start] + put + (whole[end:] if tail else b""), f"file{suffix}")


@pytest.mark.parametrize("suffix", ONE_EACH)
def test_a_file_cut_anywhere_never_crashes(suffix, valid_files):
    whole = valid_files[suffix]
    for end in range(1, len(whole), max(1, len(whole) // 60)):
        read_or_refuse(whole[:end], f"file{suffix}")


@pytest.mark.parametrize(
    ("name", "cure"),
    [("a.wpd", "convert-to docx"), ("a.PPT", "pptx"), ("a.xlsb", "xlsx"), ("a.rar", "zip"), ("winmail.dat", "tnef")],
)
def test_a_format_that_is_not_read_names_the_way(name, cure):
    with pytest.raises(ReadError) as caught:
        readers.read(b"x", name)

    assert caught.value.code == "unknown_format"
    assert cure in caught.value.hint


def test_the_versions_of_all_readers_change_when_tesseract_or_a_language_of_it_is_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("TESSDATA_PREFIX", raising=False)
    languages = tmp_path / "share/tesseract-ocr/5/tessdata"
    for folder in (tmp_path / "bin", languages):
        folder.mkdir(parents=True)
    without = readers.versions()
    (tmp_path / "bin/tesseract").touch(mode=0o755)
    with_none = readers.versions()
    (languages / "por.traineddata").touch()

    assert len({without, with_none, readers.versions()}) == 3
    assert readers.versions() == readers.versions()

"""Files that nobody here wrote: what their manifest expects of a good reader."""

import json
import os
import re
import time
import unicodedata
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest

from pipeline import readers
from pipeline.errors import ReadError
from pipeline.readers.request import MEMORY, TIMEOUT, Request, answer
from pipeline.supervise import Worker

FOLDER = os.environ.get("NIGHTDESK_TEST_DATA")
CORPORA = Path(FOLDER or ".") / "corpora"

# What is not read, or in part, and the reader says so.
KNOWN = {
    "legacy/testMSChart-govdocs-428996-6c44c2.ppt": "PowerPoint before 2007 is to be converted first",
    "mail-msg/blank-b9e5b5.msg": "it has a date and nothing else",
    "office-encrypted/bug53475-password-is-pass-c182f7.docx": "msoffcrypto makes no key of 256 bits from SHA-1",
    "office-encrypted/testPPT_protected_passtika-152e24.ppt": "PowerPoint before 2007 is to be converted first",
    "pptx/51187-a1728e.pptx": "its only text is the number of a slide",
    "rtf/testBinControlWord-f26538.rtf": "it holds a picture and no text",
    "xlsx/testEXCEL_diagramData-1da990.xlsb": "binary workbooks are to be converted first",
    "pdf-cjk/jo-cd5590.pdf": "glyph numbers of Adobe-Japan1, which pypdf has no map for: a garbage text layer",
    "pdf-encrypted/unfilterable-with-crypt-8c3bb2.pdf": "pypdf and qpdf ask for a password, PDFium does not",
    "pdf-reftext/PDFBOX-4532-reduced-600a82.pdf": "pypdf gives two of its three characters",
}

# Where fewer than 80 % of the words of the reference text are found, repeated ones counted.
FEWER_WORDS = {
    "html/example_04-47f970.html": "the reference repeats a merged cell in each row and column; it is read once",
}

SLOW = {
    "long/pdf2image-memory-error-test-400p-c4685c.pdf",
    "pdf-text/issue-301-4b5204.pdf",
}


def cases():
    for entry in entries():
        name = entry["file"].removeprefix("files/")
        yield pytest.param(entry, id=name, marks=[pytest.mark.long] if name in SLOW else [])


def entries():
    if FOLDER is None:
        return []
    lines = (CORPORA / "manifest.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def visible(text):
    return len("".join(text.split()))


@pytest.mark.skipif(FOLDER is None, reason="NIGHTDESK_TEST_DATA does not name the folder with corpora/")
def test_the_corpora_are_there():
    assert len(entries()) == 140


@pytest.mark.parametrize("entry", list(cases()))
def test_a_file_behaves_as_its_manifest_expects(entry):
    path = CORPORA / entry["file"]
    expect = entry["expect"]
    started = time.monotonic()
    text, code = attempt(path, entry.get("password"))

    if entry["file"].removeprefix("files/") in KNOWN:
        refused = {"no_text", "encrypted", "unknown_format"}
        assert code in refused or visible(text) < 0.8 * entry["facts"].get("ref_chars", 100)
    elif expect == "text":
        assert visible(text) >= 0.8 * entry["facts"]["ref_chars"]
    elif expect == "text-or-partial":
        assert visible(text) > 0
    elif expect == "no-text":
        assert code == "no_text"
    elif expect == "password":
        assert attempt(path, None) == ("", "encrypted")
        assert visible(text) > 0
    elif expect == "password-unknown":
        assert code == "encrypted"
    else:
        assert expect == "survive"
    assert time.monotonic() - started < 60


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.skipif(FOLDER is None, reason="NIGHTDESK_TEST_DATA does not name the folder with corpora/")
def test_no_file_needs_more_time_or_memory_than_a_night_gives_it():
    slowest = 0.0
    with closing(Worker(answer, name="reader", timeout=TIMEOUT, memory=MEMORY)) as worker:
        for entry in entries():
            path, password = CORPORA / entry["file"], entry.get("password")
            started = time.monotonic()
            options = readers.ReadOptions(passwords=(password,) if password else ())
            with suppress(ReadError):  # a lost worker is no ReadError
                worker.ask(Request(str(path), options=options))
            slowest = max(slowest, time.monotonic() - started)
    print(f"{len(entries())} files within {TIMEOUT:.0f} s and {MEMORY >> 20} MB; the slowest took {slowest:.1f} s")


@pytest.mark.parametrize("entry", [case for case in cases() if "ref_text" in case.values[0]])
def test_the_words_of_a_reference_text_are_read(entry):
    text, _ = attempt(CORPORA / entry["file"], entry.get("password"))
    reference = Counter(words((CORPORA / entry["ref_text"]).read_text("utf-8")))
    found = Counter(words(text))

    if entry["file"].removeprefix("files/") in FEWER_WORDS:
        assert reference.keys() <= found.keys()
        assert (reference & found).total() < 0.8 * reference.total()
    else:
        assert (reference & found).total() >= 0.8 * reference.total()


def words(text):
    """Runs of letters and digits, compared without case and form; a word hyphenated at a line's end is one."""
    return re.findall(r"\w+", unicodedata.normalize("NFKC", re.sub(r"[-\u00ad]\n", "", text)).casefold())


def attempt(path, password):
    """The text of a file and of all that is in it, or the code of the refusal."""
    options = readers.ReadOptions(passwords=(password,) if password else ())
    try:
        document = readers.read_file(path, options)
    except ReadError as error:
        assert error.hint  # noqa: PT017 - any error that comes must have one
        return "", error.code
    return document.text + "".join(within(document, options, 8)), ""


def within(document, options, depth):
    for one in document.attachments if depth else ():
        try:
            inner = readers.read(one.content, one.name, options)
        except ReadError as error:
            assert error.hint  # noqa: PT017 - as above
        else:
            yield inner.text
            yield from within(inner, options, depth - 1)

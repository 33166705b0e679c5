"""Files that nobody here wrote: what their manifest expects of a good reader."""

import json
import os
import time
from pathlib import Path

import pytest

from pipeline import readers
from pipeline.errors import ReadError

FOLDER = os.environ.get("NIGHTDESK_TEST_DATA")
CORPORA = Path(FOLDER or ".") / "corpora"

# pypdf cannot, and the reader says so or gives a part.
KNOWN = {
    "pdf-cjk/jo-cd5590.pdf": "glyph numbers of Adobe-Japan1, which pypdf has no map for: a garbage text layer",
    "pdf-encrypted/unfilterable-with-crypt-8c3bb2.pdf": "pypdf and qpdf ask for a password, PDFium does not",
    "pdf-reftext/PDFBOX-4532-reduced-600a82.pdf": "pypdf gives two of its three characters",
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
    return [entry for line in lines if Path((entry := json.loads(line))["file"]).suffix in readers.suffixes()]


def visible(text):
    return len("".join(text.split()))


@pytest.mark.skipif(FOLDER is None, reason="NIGHTDESK_TEST_DATA does not name the folder with corpora/")
def test_the_corpora_are_there():
    assert len(entries()) > 80


@pytest.mark.parametrize("entry", list(cases()))
def test_a_file_behaves_as_its_manifest_expects(entry):
    path = CORPORA / entry["file"]
    expect = entry["expect"]
    started = time.monotonic()
    text, code = attempt(path, entry.get("password"))

    if entry["file"].removeprefix("files/") in KNOWN:
        assert code in {"no_text", "encrypted"} or visible(text) < 0.8 * entry["facts"]["ref_chars"]
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


def attempt(path, password):
    options = readers.ReadOptions(passwords=(password,) if password else ())
    try:
        return readers.read_file(path, options).text, ""
    except ReadError as error:
        assert error.hint  # noqa: PT017 - any error that comes must have one
        return "", error.code

"""A mixed folder goes through one command, and every value says where it stands. No weights: answers are rehearsed."""

import json
import re
import shutil
import sqlite3
import zipfile
from pathlib import Path

import pytest

from pipeline.cli import call
from tests.samples.test_mixed import FOUND, READABLE, SCANS

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
PDF = SAMPLES / "receipts/ballyfern-garden.pdf"
FAMILIES = {
    "page": {".pdf", ".jpg"},
    "cells": {".xlsx", ".xls", ".ods", ".csv"},
    "slide": {".odp", ".pptx"},
    "chapter": {".epub"},
    "mail": {".eml", ".msg"},
    "outline": {".docx", ".odt", ".rtf"},
    "line": {".txt"},
}


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """The samples in mixed formats, a PDF, and an archive of all of them, run by one command. Without Tesseract there
    are no scans among them."""
    folder = tmp_path_factory.mktemp("mixed")
    unreadable = () if FOUND else SCANS
    shutil.copytree(SAMPLES / "mixed", folder / "in", ignore=shutil.ignore_patterns(*unreadable))
    shutil.copy(PDF, folder / "in")
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for path in sorted((folder / "in").iterdir()):
            archive.writestr(f"copies/{path.name}", _other_bytes(path))
    shutil.move(folder / "all.zip", folder / "in/all.zip")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        assert call(["run", "receipts", "in", "--db", "night.db", "--model", "scripted", "-q"]) == 0
        yield folder


def _other_bytes(path):
    """A copy that is no copy to the ledger, so that it is read from within the archive."""
    content = path.read_bytes()
    if path.name in SCANS:
        return content  # one reading is enough
    return content + b"\n" if path.suffix in {".pdf", ".rtf", ".mbox"} else content


def test_every_document_of_the_folder_is_answered(night):
    db = sqlite3.connect(night / "night.db")
    failures = db.execute("SELECT subject, message FROM _failures").fetchall()
    unread = db.execute(
        "SELECT path FROM _files WHERE sha256 NOT IN (SELECT document FROM receipts) AND sha256 NOT IN"
        " (SELECT sha256 FROM _documents WHERE text = '')"
    ).fetchall()

    assert failures == []
    assert unread == []
    assert any("all.zip!/" in file for (file,) in db.execute("SELECT path FROM _files"))


def test_every_value_that_was_found_says_where_it_stands(night, capsys):
    assert call(["export", "receipts", "--db", str(night / "night.db"), "--with-evidence"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = dict(sqlite3.connect(night / "night.db").execute("SELECT path, name FROM _files"))

    seen = set()
    for row in rows:
        suffix = Path(names[row["file"]]).suffix
        found = [one for one in row["evidence"] if one["start_char"] is not None]
        for one in found:
            assert one["quote"]
            assert one["page"] >= 1
            expected = [family for family, suffixes in FAMILIES.items() if suffix in suffixes]
            assert [_family(one["place"])] == (expected or [None]), (row["file"], one["place"])
            seen.update(expected)
    assert seen == set(FAMILIES)


def _family(place):
    if place is None:
        return None
    if place in {"header", "body", "quoted"}:
        return "mail"
    if numbered := re.fullmatch(r"(page|slide|chapter|line) \d+", place):
        return numbered[1]
    return "cells" if re.search(r"^sheet |[A-Z]\d+$", place) else "outline"  # else it may be a heading


def test_labels_of_files_within_files_are_scored(night, capsys):
    gold = night / "gold.jsonl"
    lines = "".join(json.dumps(label) + "\n" for label in READABLE)
    gold.write_text(lines.replace("../mixed/", "in/"), "utf-8")

    assert call(["eval", "receipts", "--labels", str(gold), "--db", str(night / "night.db"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["report"]

    assert report["documents"] == len(gold.read_text("utf-8").splitlines())
    assert report["unanswered"] == []


def test_labels_of_what_is_not_in_a_file_are_not_scored(night, capsys):
    gold = night / "more.jsonl"
    fields = {"company": "Nobody", "date": None, "address": None, "total": None}
    lines = [{"id": str(n), "file": f"in/shoebox.zip!/{n}", "fields": fields} for n in (1, 9)]
    gold.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")

    assert call(["eval", "receipts", "--labels", str(gold), "--db", str(night / "night.db"), "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["report"]["documents"] == 1

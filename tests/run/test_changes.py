"""Another choice of tracked changes reads the files again that have some, and only those."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from pipeline.run.events import FileRead

FILES = Path(__file__).resolve().parents[1] / "readers/files"


def texts(nights):
    return [text for (text,) in nights.sql("SELECT text FROM _documents WHERE changes <> '' ORDER BY id")]


def packed(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return out.getvalue()


def test_files_with_changes_are_read_again_when_the_choice_changes_and_no_others(nights):
    nights.letters(2)
    file = nights.write("z.docx", (FILES / "changes.docx").read_bytes())
    nights.run()
    assert "60 days" in texts(nights)[0]

    again = nights.run(changes="original")

    assert [event.path for event in again.all(FileRead)] == [str(file)]
    assert "30 days" in texts(nights)[0]
    assert again.recorded == 1
    assert nights.sql("SELECT changes FROM _documents ORDER BY id") == [("",), ("",), ("original",)]
    assert not nights.run(changes="original").all(FileRead)


def test_a_contract_in_an_archive_is_read_again_too(nights):
    nights.write("box.zip", packed(contract_odt=(FILES / "changes.odt").read_bytes(), letter_txt="It rained."))
    nights.run()

    again = nights.run(changes="all")

    assert "[Deleted by Ana Reis: 30 days]" in texts(nights)[0]
    assert again.recorded == 1
    assert not nights.run(changes="all").all(FileRead)

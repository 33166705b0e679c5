"""A marker stands in documents and passwords. It is in no byte that is written outside the database."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import stat
import time
from pathlib import Path

import pytest
from pypdf import PdfWriter

MARK = "XQZMARKERQZX"
SECRET = "XQZPASSWORDQZX"
INSIDE = ("docs", "prompts", "schemas", "password.txt")


class Watched:
    """A desk whose commands see a home and a temp folder of their own; all that they say is kept."""

    def __init__(self, desk, path: Path) -> None:
        self.desk = desk
        self.home, self.temp = path / "home", path / "temp"
        self.said = b""
        for folder in (self.home, self.temp):
            folder.mkdir()
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        self.environment = {
            **kept,
            "HOME": str(self.home),
            "TMPDIR": str(self.temp),
            "SQLITE_TMPDIR": str(self.temp),
            "TERM": "xterm",
        }

    def start(self, *args: str, **how):
        environment = {**self.environment, **how.pop("env", {})}
        return self.desk.start(*args, env=environment, umask=0, **how)

    def call(self, *args: str, **how) -> int:
        process = self.start(*args, **how)
        for block in process.communicate(timeout=250):
            self.said += block
        return process.returncode

    def run(self, *args: str, **how) -> int:
        return self.call("run", "tone", "docs", "--db", "night.db", "--model", "scripted", *args, **how)

    def written(self) -> list[Path]:
        """Every file and folder that is there and was not put there by the test."""
        roots = (self.desk.path, self.home, self.temp)
        found = [path for root in roots for path in root.rglob("*")]
        ours = [self.desk.path / name for name in INSIDE] + [self.home, self.temp]
        return [path for path in found if path not in ours and not any(one in path.parents for one in ours[:4])]

    def check(self) -> None:
        assert self.said
        for word in (MARK, SECRET):
            assert word.encode() not in self.said, self.said[self.said.index(word.encode()) - 300 :][:600]
        for path in self.written():
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), f"{path} has mode {mode:04o}"
            if path.is_file():
                content = path.read_bytes()
                assert SECRET.encode() not in content, path
                assert MARK.encode() not in content or path.name.startswith("night.db"), path
        assert list(self.temp.iterdir()) == []


@pytest.fixture
def watched(desk, tmp_path_factory):
    return Watched(desk, tmp_path_factory.mktemp("around"))


def encrypted(password: str) -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.add_metadata({"/Title": MARK})
    writer.encrypt(password, algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def marked_documents(desk) -> None:
    desk.write("docs/plain.txt", f"{MARK} is what they call him. " * 20)
    desk.write("docs/page.html", f"<title>{MARK}</title><p>{MARK}</p><script>{MARK}</script>")
    desk.write("docs/table.csv", f"name,{MARK}\n{MARK},2\n")
    desk.write(
        "docs/mail.eml",
        f"From: a@example.org\nSubject: {MARK}\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
        f"--b\nContent-Type: text/plain\n\n{MARK}\n--b\nContent-Type: application/pdf\n"
        f"Content-Disposition: attachment; filename=in.pdf\n\n%PDF-1.4 {MARK}\n--b--\n",
    )
    for name, content in {
        "broken.pdf": f"%PDF-1.7\n1 0 obj << /Title ({MARK}) /Kids [ {MARK} >>\nstream\n{MARK}\n".encode(),
        "broken.docx": b"PK\x03\x04" + MARK.encode() * 40,
        "broken.xlsx": b"PK\x03\x04" + MARK.encode() * 40,
        "broken.rtf": b"{\\rtf1 " + MARK.encode(),
        "locked.pdf": encrypted("another one"),
        "opened.pdf": encrypted(SECRET),
        "empty.txt": b"",
        "binary.txt": b"\x00\x01" + MARK.encode() + bytes(range(256)),
        "unknown.zzz": MARK.encode(),
    }.items():
        desk.write(f"docs/{name}", content)


def test_no_word_of_a_document_and_no_password_leaves_the_database(watched):
    desk = watched.desk
    marked_documents(desk)
    desk.write("password.txt", f"{SECRET}2\n")

    code = watched.run("--password", SECRET, "--password-file", "password.txt")
    assert code == 3, watched.said.decode()
    watched.run("--dry-run")
    for verb in (["status"], ["failures"], ["failures", "--json"], ["explain", "docs/plain.txt"], ["retry"]):
        watched.call(*verb, "--db", "night.db")
    watched.call("explain", "docs/broken.pdf", "--db", "night.db")
    watched.call("doctor", "--db", "night.db")

    assert MARK in str(desk.sql("SELECT group_concat(text) FROM _documents"))
    assert SECRET not in str(desk.sql("SELECT command, settings FROM _runs"))
    assert (stat.S_IMODE((desk.path / "night.db").stat().st_mode)) == 0o600
    watched.check()


BUG = f"""
import pipeline.run.extract as module
def build(answers, *rest):
    text = answers.document.text
    raise RuntimeError(text) from ValueError({{"{MARK}": text}})
module.build_record = build
from pipeline.cli import main
main()
"""
BUG_IN_A_CHILD = f"""
import pipeline.readers.request as module
def answer(*request):
    print("{MARK}", flush=True)
    raise RuntimeError("{MARK}")
answer.__module__, answer.__qualname__ = module.__name__, "answer"
module.answer = answer
"""


def test_a_bug_of_ours_says_where_and_not_what(watched):
    watched.desk.write("docs/plain.txt", f"{MARK} is what they call him.")

    assert watched.run(code=BUG) == 1
    assert b"A bug in Nightdesk: RuntimeError at pipeline" in watched.said or b"RuntimeError" in watched.said
    watched.check()


def test_a_bug_in_a_child_says_where_and_not_what(watched, tmp_path_factory):
    watched.desk.write("docs/plain.txt", f"{MARK} is what they call him.")
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(BUG_IN_A_CHILD)
    root = Path(__file__).resolve().parents[2]

    code = watched.run(env={"PYTHONPATH": f"{site}{os.pathsep}{root}"})
    watched.call("failures", "--db", "night.db")

    assert code in (1, 3), watched.said.decode()
    assert b"plain.txt" in watched.said
    watched.check()


def test_what_a_command_or_a_library_creates_is_for_its_owner_alone(watched):
    code = (
        "import atexit, pathlib; atexit.register(pathlib.Path('made').mkdir);"
        "atexit.register(pathlib.Path('made.txt').touch); from pipeline.cli import main; main()"
    )

    assert watched.call("--version", code=code) == 0
    assert {path.name for path in watched.written()} == {"made", "made.txt"}
    watched.check()


def test_a_killed_run_leaves_nothing_behind_but_the_database(watched):
    for i in range(12):
        watched.desk.write(f"docs/{i}.txt", f"{MARK} number {i}. " * 30)
    process = watched.start("run", "tone", "docs", "--db", "night.db", "--model", "scripted", "--slots", "1")
    deadline = time.monotonic() + 200
    answered = 0
    while not answered and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
        try:
            answered = watched.desk.sql("SELECT count(*) FROM _extractions")[0][0]
        except sqlite3.Error:  # not there yet
            continue
    process.send_signal(signal.SIGKILL)
    watched.said += b"".join(process.communicate()) + b"-"

    assert answered
    watched.check()
    assert watched.run() == 0
    assert watched.desk.sql("SELECT count(*) FROM tone") == [(12,)]
    watched.check()

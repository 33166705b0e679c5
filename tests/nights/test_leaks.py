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
ROOT = Path(__file__).resolve().parents[2]
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
            "PYTHONPATH": str(ROOT),
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

    code = watched.run(env={"PYTHONPATH": f"{site}{os.pathsep}{ROOT}"})
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


LABELS = '{"id": "plain", "file": "docs/0.txt", "fields": {"tone": "good"}}\n'
EXAMPLES = f"""
[[examples]]
text = "{MARK} was kind."
answer = {{ tone = "good" }}
"""
KILLED_WHEN_SCORED = """
import os, signal
import pipeline.run.examples as module
module.evaluate = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from pipeline.cli import main
main()
"""
KILLED_WHILE_WRITING = """
import os, signal
import pipeline.sinks.langextract as module
write = module.write
def killed(export, out):
    write(export, out)
    out.flush()
    os.kill(os.getpid(), signal.SIGKILL)
module.write = killed
from pipeline.cli import main
main()
"""


def evaluated(watched, **how) -> int:
    options = ("--labels", "gold.jsonl", "--db", "night.db", "--examples", "--model", "scripted")
    return watched.call("eval", "tone", *options, **how)


def marked_letters(desk, number: int) -> None:
    for i in range(number):
        desk.write(f"docs/{i}.txt", f"{MARK} number {i}. " * 30)


def test_texts_that_an_evaluation_needs_lie_beside_the_database_and_go_with_the_next_run(watched):
    desk = watched.desk
    marked_letters(desk, 2)
    desk.write("gold.jsonl", LABELS).chmod(0o600)
    desk.write("prompts/tone.toml", (desk.path / "prompts/tone.toml").read_text() + EXAMPLES)

    assert evaluated(watched) == 0, watched.said.decode()
    watched.check()
    assert not list(desk.path.glob(".night.db*"))

    assert evaluated(watched, code=KILLED_WHEN_SCORED) == -signal.SIGKILL
    (left,) = (path for path in desk.path.glob(".night.db*") if path.is_dir())
    assert MARK.encode() in b"".join(path.read_bytes() for path in left.rglob("*") if path.is_file())
    assert not list(watched.temp.iterdir())

    assert watched.run() == 0
    assert not left.exists()
    watched.check()


def test_an_encrypted_evaluation_writes_no_text_that_can_be_read(watched):
    pytest.importorskip("sqlcipher3", reason="the extra `encrypted` is not installed")
    desk = watched.desk
    marked_letters(desk, 2)
    desk.write("gold.jsonl", LABELS).chmod(0o600)
    desk.write("key", "a key").chmod(0o600)
    desk.write("prompts/tone.toml", (desk.path / "prompts/tone.toml").read_text() + EXAMPLES.replace(MARK, "He"))

    options = ("--labels", "gold.jsonl", "--db", "night.db", "--examples", "--model", "scripted", "--key-from", "key")
    assert watched.call("eval", "tone", *options, code=KILLED_WHEN_SCORED) == -signal.SIGKILL

    assert list(desk.path.glob(".night.db*/all/night.db"))
    assert not [path for path in watched.written() if path.is_file() and MARK.encode() in path.read_bytes()]


def test_an_export_that_is_killed_leaves_nothing_of_what_it_had_written(watched):
    marked_letters(watched.desk, 3)
    assert watched.run() == 0
    options = ("export", "tone", "--db", "night.db", "-f", "langextract", "-o", "out.jsonl")

    assert watched.call(*options, code=KILLED_WHILE_WRITING) == -signal.SIGKILL
    watched.check()
    assert not list(watched.desk.path.glob("*out.jsonl*"))

    assert watched.call(*options) == 0
    out = watched.desk.path / "out.jsonl"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert MARK in out.read_text()
    out.unlink()
    watched.check()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_watching_leaves_nothing_behind_but_the_database(watched, number):
    marked_letters(watched.desk, 3)
    process = watched.start("watch", "tone", "docs", "--db", "night.db", "--model", "scripted", "--settle", "0.2")
    deadline = time.monotonic() + 200
    rows = 0
    while rows < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
        try:
            rows = watched.desk.sql("SELECT count(*) FROM tone")[0][0]
        except sqlite3.Error:  # not there yet
            continue
    process.send_signal(number)
    watched.said += b"".join(process.communicate(timeout=100)) + b"-"

    assert rows == 3, watched.said.decode()
    watched.check()

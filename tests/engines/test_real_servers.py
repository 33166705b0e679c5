"""Whole runs, guard and all, against real servers with the demo model."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pipeline.models.locate import find_model

pytestmark = pytest.mark.model

SCHEMA = """{
  "type": "object",
  "properties": {
    "town": {"type": ["string", "null"], "maxLength": 20, "x-nightdesk": {"extractive": true}},
    "tone": {"enum": ["good", "bad"]}
  },
  "required": ["town", "tone"],
  "additionalProperties": false
}"""
TASK = """
instructions = "Copy the town, and say the tone of the letter."
[options]
chunk_tokens = 60
max_answer_tokens = 40
[[examples]]
text = "Lisbon, Monday. We had a fine week."
answer = { town = "Lisbon", tone = "good" }
"""
LLAMA_SERVER = os.environ.get("NIGHTDESK_LLAMA_SERVER", "")


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A server, from when it has loaded its model."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "OMP_WAIT_POLICY": "passive"})
    try:
        until = time.monotonic() + 120
        while not _answers(port):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < until
            time.sleep(0.2)
        yield
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v1/models")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def llama_cpp_python(port: int) -> list[str]:
    pytest.importorskip("fastapi", reason="pip install 'llama-cpp-python[server]'")
    options = ["--model", str(find_model("demo")), "--n_ctx", "2048", "--n_threads", "1"]
    return [sys.executable, "-m", "llama_cpp.server", *options, "--host", "127.0.0.1", "--port", str(port)]


def llama_server(port: int) -> list[str]:
    if not LLAMA_SERVER:
        pytest.skip("NIGHTDESK_LLAMA_SERVER names no llama-server (tests/benchmarks/build_llama_server.sh makes one)")
    options = ["-m", str(find_model("demo")), "-c", "2048", "-np", "2", "-t", "1"]
    return [LLAMA_SERVER, *options, "--host", "127.0.0.1", "--port", str(port)]


@pytest.mark.parametrize("command", [llama_cpp_python, llama_server])
def test_a_run_over_a_real_server(tmp_path, command: Callable[[int], list[str]]):
    for name, text in (
        ("prompts/letter.toml", TASK),
        ("schemas/letter.json", SCHEMA),
        ("in/1.txt", "Porto, Tuesday. The roof leaks again. <|im_end|>"),
        ("in/2.txt", "Évora, Friday. Thank you for the lovely flowers!"),
        ("in/3.txt", "Faro. " + "The weather is fine. " * 16),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    port = free_port()
    database = tmp_path / "night.db"
    run = [sys.executable, "-c", "from pipeline.cli import main; main()", "run", "letter", "in", "--db", str(database)]
    run += ["--engine", f"http://localhost:{port}", "--slots", "2"]

    def night() -> subprocess.CompletedProcess[str]:
        return subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=250, check=False)

    with served(command(port), port, tmp_path / "log"):
        first, again = night(), night()
    gone = night()

    assert first.returncode == 0, first.stdout + first.stderr
    with closing(sqlite3.connect(database)) as db:
        rows = dict(db.execute("SELECT file, tone FROM letter"))
        found = {row[0] for row in db.execute("SELECT found FROM _evidence WHERE path = 'town'")}
        raws = [json.loads(raw) for (raw,) in db.execute("SELECT raw FROM _extractions")]
        model = db.execute("SELECT model FROM _runs").fetchone()[0]
    assert len(rows) == 3
    assert {*rows.values()} <= {"good", "bad"}
    assert found <= {"exact", "folded", "fuzzy", "from_example", "not_found"}  # looked up, not pointed at
    assert all(list(raw) == ["town", "tone"] for raw in raws)
    assert len(raws) > 3  # the long letter is several chunks
    assert re.fullmatch(rf".+ \((llama-server|llama-cpp-python) at http://localhost:{port}\)", model)
    assert again.returncode == 0
    assert "prefilled" not in again.stdout  # nothing was asked again
    assert gone.returncode == 4
    assert "No server answers" in gone.stderr

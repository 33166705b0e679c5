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
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
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


process_of: dict[int, subprocess.Popen[bytes]] = {}


@contextmanager
def served(command: list[str], port: int, log: Path, cwd: Path | None = None) -> Iterator[None]:
    """A server, from when it has loaded its model."""
    with log.open("wb") as out:
        passive = {**os.environ, "OMP_WAIT_POLICY": "passive"}
        process = subprocess.Popen(command, stdout=out, stderr=out, env=passive, cwd=cwd)
    process_of[port] = process
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
    """Whether it is ready; 401 is a server that wants its key first."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v1/models")
        return connection.getresponse().status in (200, 401)
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
    return [
        LLAMA_SERVER,
        "-m",
        str(find_model("demo")),
        *["-c", "2048", "-np", "2", "-t", "1", "--host", "127.0.0.1", "--port"],
        str(port),
    ]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")


def nightdesk(folder: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", *args]
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("command", [llama_cpp_python, llama_server])
def test_a_run_over_a_real_server(tmp_path, command: Callable[[int], list[str]]):
    letters = {
        "in/1.txt": "Porto, Tuesday. The roof leaks again. <|im_end|>",
        "in/2.txt": "Évora, Friday. Thank you for the lovely flowers!",
        "in/3.txt": "Faro. " + "The weather is fine. " * 16,
    }
    write(tmp_path, {"prompts/letter.toml": TASK, "schemas/letter.json": SCHEMA, **letters})
    port = free_port()
    database = tmp_path / "night.db"

    def night() -> subprocess.CompletedProcess[str]:
        server = f"http://localhost:{port}"
        return nightdesk(tmp_path, "run", "letter", "in", "--db", str(database), "--engine", server, "--slots", "2")

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


def test_a_server_that_is_killed_in_the_middle_costs_nothing_that_was_answered(tmp_path):
    """It may come back started otherwise: with another context and another number of slots it is the same model."""
    letters = {f"in/{i}.txt": f"Porto {i}. The roof leaks." for i in range(6)}
    write(tmp_path, {"prompts/letter.toml": TASK, "schemas/letter.json": SCHEMA, **letters})
    port = free_port()
    database = tmp_path / "night.db"
    engine = ("--engine", f"http://127.0.0.1:{port}")

    def answered() -> dict[str, int]:
        with closing(sqlite3.connect(database)) as db:
            return dict(db.execute("SELECT work, run FROM _extractions"))

    with served(llama_server(port), port, tmp_path / "log"):
        killer = threading.Thread(target=_kill_when, args=(process_of[port], answered))
        killer.start()
        first = nightdesk(tmp_path, "run", "letter", "in", "--db", str(database), *engine)
        killer.join()
    kept = answered()
    otherwise = ["1024" if word == "2048" else "1" if word == "2" else word for word in llama_server(port)]
    with served(otherwise, port, tmp_path / "log"):
        second = nightdesk(tmp_path, "run", "letter", "in", "--db", str(database), *engine)
        explained = nightdesk(tmp_path, "explain", "in/0.txt", "--db", str(database))

    assert first.returncode == 4, first.stderr
    assert "does not answer any more" in first.stderr
    assert 0 < len(kept) < 6
    assert second.returncode == 0, second.stderr
    assert answered().items() >= kept.items()
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("SELECT count(*) FROM letter").fetchone() == (6,)
    assert "letter: done. Its row is up to date." in explained.stdout
    assert "The server is not asked" in explained.stderr


def _kill_when(process: subprocess.Popen[bytes], answered: Callable[[], dict[str, int]]) -> None:
    until = time.monotonic() + 200
    while time.monotonic() < until:
        with suppress(sqlite3.Error):
            if answered():
                break
        time.sleep(0.05)
    process.kill()


def test_a_router_with_a_key_is_asked_what_it_makes_of_a_task(tmp_path):
    """A llama-server that was started without a model loads the one that is asked for."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "small.gguf").symlink_to(find_model("demo"))
    write(tmp_path, {"prompts/letter.toml": TASK, "schemas/letter.json": SCHEMA})
    port = free_port()
    server = [word for word in llama_server(port) if word not in ("-m", str(find_model("demo")))]
    engine = ("--engine", f"http://127.0.0.1:{port}")
    with served([*server, "--models-dir", "models", "--api-key", "open"], port, tmp_path / "log", cwd=tmp_path):
        key = {"NIGHTDESK_SERVER_KEY": "open"}
        without = nightdesk(tmp_path, "check", "letter", *engine)
        shown = nightdesk(tmp_path, "check", "letter", *engine, "--show-prompt", **key)
        fits = nightdesk(tmp_path, "fit", "letter", *engine, **key)

    assert without.returncode == 4
    assert "asks for a key" in without.stderr
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "2 requests at a time, 1,024 tokens each" in shown.stdout
    assert '<|im_start|>assistant\n{"town": "Lisbon", "tone": "good"}<|im_end|>' in shown.stdout
    assert fits.returncode == 0
    assert "Fits its context" in fits.stdout

"""Whatever bytes come, what reads them answers or raises the error that it promises. The executions are printed."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import readers

pytest.importorskip("atheris", reason="atheris has no wheel for this machine: nothing is fuzzed")

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 15  # a target: a minute in all
LONG = 900


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def seeds(target: str) -> list[bytes]:
    if target == "read":
        order = {suffix: bytes([number]) for number, suffix in enumerate(readers.suffixes())}
        files = [path for path in (ROOT / "samples").rglob("*") if path.is_file() and path.suffix in order]
        return [order[path.suffix] + path.read_bytes() for path in files if path.stat().st_size < 20_000]
    if target == "task":
        return [path.read_bytes() for path in (ROOT / "prompts").glob("*.toml")]
    if target == "schema":
        text = (
            b'{"type": "object", "properties": {"a": {"type": ["string", "null"], "maxLength": 9, "x-nightdesk": '
            b'{"type": "money"}}, "b": {"type": "array", "items": {"$ref": "#/$defs/c"}, "maxItems": 2}}, "required": '
            b'["a", "b"], "additionalProperties": false, "$defs": {"c": {"enum": [1, "x", null]}}}'
        )
        return [text, b'{"type": "integer", "minimum": 0, "maximum": 9}', b"[]", b'{"anyOf": [{"const": 1}, true]}']
    pairs = [
        string("general.architecture") + struct.pack("<I", 8) + string("llama"),
        string("llama.context_length") + struct.pack("<II", 4, 2048),
        string("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + string("a") + string("b"),
    ]
    tensor = string("token_embd.weight") + struct.pack("<IQQIQ", 2, 32, 2, 0, 0)
    numbers = {"block_count": 2, "embedding_length": 8, "attention.head_count": 2, "attention.shared_kv_layers": 1}
    lists = {
        "attention.head_count_kv": (0, 2),
        "feed_forward_length": (9, 0),
        "attention.sliding_window_pattern": (1, 0),
    }
    layers = [string("general.architecture") + struct.pack("<I", 8) + string("nemotron")]
    layers += [string(f"nemotron.{key}") + struct.pack("<II", 4, value) for key, value in numbers.items()]
    layers += [string(f"nemotron.{key}") + struct.pack("<IIQ2i", 9, 5, 2, *values) for key, values in lists.items()]
    layers += [string("nemotron.ssm.inner_size") + struct.pack("<II", 4, 8)]
    layers += [string("nemotron.ssm.state_size") + struct.pack("<II", 4, 4)]
    return [
        b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor + bytes(512),
        b"GGUF" + struct.pack("<IQQ", 3, 1, len(layers)) + b"".join(layers) + tensor + bytes(512),
        b"GGUF" + struct.pack("<IQQ", 2, 0, 1) + pairs[0],
    ]


def fuzz(target: str, folder: Path, seconds: int) -> int:
    """Executions in this time. Fails where one of them found something, with the input's place."""
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds(target)):
        (corpus / str(number)).write_bytes(seed)
    limits = (f"-max_total_time={seconds}", "-timeout=60", "-rss_limit_mb=2048", "-max_len=20000")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/fuzz/fuzz.py"), target, str(corpus), *limits, "-print_final_stats=1"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\nThe input lies in {folder}"
    return int(re.search(r"number_of_executed_units: (\d+)", done.stderr)[1])


@pytest.mark.parametrize("target", ["read", "task", "schema", "gguf"])
def test_a_minute_of_fuzzing_finds_nothing(target, tmp_path, capsys):
    count = fuzz(target, tmp_path, SECONDS)

    with capsys.disabled():
        print(f"\nfuzzed {target}: {count:,} executions in {SECONDS} s")
    assert count > len(seeds(target))


@pytest.mark.long
@pytest.mark.timeout(LONG + 300)
@pytest.mark.parametrize("target", ["read", "task", "schema", "gguf"])
def test_a_longer_time_of_fuzzing_finds_nothing(target, tmp_path, capsys):
    count = fuzz(target, tmp_path, LONG)

    with capsys.disabled():
        print(f"\nfuzzed {target}: {count:,} executions in {LONG} s")

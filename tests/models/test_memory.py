"""Estimates against what a real load of the demo model takes, and the formula against llama.cpp's own numbers."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.engines.dry_run import dry_runs, read_log
from pipeline.engines.sizes import Sizes
from pipeline.models.gguf import read_header
from pipeline.models.locate import find_model
from pipeline.models.memory import Memory, estimate

SHAPES = [
    Sizes(1024, 4, 512, 8, 512, 1),
    Sizes(2048, 20, 2048, 257, 256, 1),
    Sizes(8192, 12, 512, 32, 512, 1, kv_type="q8_0"),
    Sizes(4096, 9, 512, 32, 512, 1, kv_type="q4_0"),
    Sizes(8192, 9, 3072, 32, 512, 1, prefill_cells=3072),
    Sizes(8192, 9, 3072, 32, 512, 1, prefill_cells=3072, flash_attention=False),
    Sizes(8192, 45, 3072, 96, 512, 1, prefill_cells=3072, comparison_cells=3584),
]
# Loads, fills the pool, and tells the most memory the process ever had. What a call works on grows with the cells that
# are in use, so all are: one sequence is decoded, its state loaded into others, and the last call, of as many tokens
# and outputs as there may be, sees them all. It takes what decoding every cell takes (one shape: 0.04 % apart).
LOAD = """
import re, sys, tempfile
from pathlib import Path
from pipeline.batching import Row
from pipeline.engines import pools
from pipeline.engines.sizes import Sizes
sizes = Sizes(**eval(sys.argv[2]))
model = pools.load(Path(sys.argv[1]), sizes)
size, last = min(sizes.ubatch, sizes.cells), model.max_sequences - 1
if sizes.prefill_cells:
    model.decode([Row(100 + i, i, (0,)) for i in range(sizes.prefill_cells)])
    model.drop(0)
if sizes.comparison_cells:
    rows, fork = 96, model.max_sequences - 1
    for start in range(0, sizes.prefill_cells, 512):
        model.decode([Row(100 + i, start + i, (0,)) for i in range(512)])
    for start in range(sizes.prefill_cells, sizes.comparison_cells - rows, rows):
        model.copy(0, fork)
        model.decode([Row(100 + i, start + i, (fork,), True) for i in range(rows)])
        model.copy(fork, 0, start + rows)
        model.drop(fork)
    model.drop(0)
def decode(owner, start, count, outputs=0):
    model.decode([Row(100 + i, start + i, (owner,), logits=count - i <= outputs) for i in range(count)])
last -= 33 if sizes.comparison_cells else 0
each = (sizes.cells - size) // last
for start in range(0, each, size):
    decode(0, start, min(size, each - start))
with tempfile.TemporaryDirectory() as folder:
    kept, tokens = Path(folder, "kept"), [100 + i % size for i in range(each)]
    model.save_sequence(kept, 0, tokens)
    for owner in range(1, last):
        assert model.load_sequence(kept, owner, tokens)
decode(last, 0, size, model.max_outputs)
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024)
"""


@pytest.mark.model
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_estimates_are_within_five_percent_of_what_a_load_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    demo = read_header(find_model("demo"))
    with dry_runs() as dry:
        for sizes in SHAPES:
            estimated = dry(demo, sizes)
            command = [sys.executable, "-c", LOAD, str(demo.path), repr(asdict(sizes))]
            taken = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

            assert estimated.exact
            assert estimated.total == pytest.approx(taken, rel=0.05), sizes


@pytest.mark.model
def test_the_formula_gives_the_demo_models_cache_exactly() -> None:
    demo = read_header(find_model("demo"))
    with dry_runs() as dry:
        for sizes in SHAPES:
            assert estimate(demo, sizes).cache == pytest.approx(dry(demo, sizes).cache, rel=0.001)


@pytest.mark.model
def test_what_llama_cpp_cannot_lay_out_is_estimated_by_the_formula(tmp_path: Path) -> None:
    demo = find_model("demo")
    header = read_header(demo)
    broken = tmp_path / "broken.gguf"
    raw = bytearray(demo.read_bytes()[: 8 << 20])
    broken.write_bytes(re.sub(rb"general\.architecture", b"general.architectura", bytes(raw)))
    object.__setattr__(header, "path", broken)
    with dry_runs() as dry:
        memory = dry(header, SHAPES[0])

    assert not memory.exact
    assert memory == estimate(header, SHAPES[0])


FORMULA = Memory(100, 200, 300, 400)


def test_a_log_in_other_words_falls_back_to_the_formula() -> None:
    assert read_log(["llama: all is well, size = 5.0 MiB of tea"], FORMULA) == FORMULA


def test_a_log_is_added_up_over_caches_and_devices() -> None:
    lines = [
        "llama_kv_cache:        CPU KV buffer size =     0.00 MiB",
        "llama_kv_cache: size =  1.00 MiB (  8192 cells,  30 layers, 20/1 seqs), K (f16): 1 MiB",
        "llama_kv_cache: size =  2.00 MiB (  1024 cells,   5 layers, 20/1 seqs), K (f16): 1 MiB",
        "llama_memory_recurrent: size =    4.00 MiB (     8 cells,  24 layers,  8 seqs  0 rs_seq)",
        "sched_reserve:        CPU compute buffer size =    10.00 MiB",
        "sched_reserve:      CUDA0 compute buffer size =    1.00 GiB",
    ]
    memory = read_log(lines, FORMULA)

    assert memory.cache == 7 << 20
    assert memory.compute == (10 << 20) + (1 << 30)
    assert (memory.weights, memory.outputs, memory.exact) == (100, 400, True)

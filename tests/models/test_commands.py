"""`nightdesk models`, `inspect` and `fit` as a new user calls them, on a made-up home folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import call
from pipeline.cli.fit import LONGEST, PREFIX
from pipeline.config import Shape
from pipeline.data import Counts
from pipeline.engines import dry_run
from pipeline.engines.shape import RESERVE, Demand, Machine, resolve
from pipeline.models import locate, speed
from pipeline.models.gguf import read_header
from pipeline.models.memory import estimate
from pipeline.run import model as run_model
from pipeline.store import RunEnd, RunInfo, Store

Files = Any  # GgufFiles of conftest.py
USUAL = Demand(PREFIX, LONGEST, PREFIX + LONGEST, ranked=True)


@pytest.fixture
def home(tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OLLAMA_MODELS", "HF_HUB_CACHE", "HF_HOME", "LLAMA_CACHE", "LLM_USER_PATH", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NIGHTDESK_MODELS", str(tmp_path / "home" / "koboldcpp"))
    monkeypatch.setenv("NO_COLOR", "1")
    folder = tmp_path / "home" / "koboldcpp"
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(files.whole())
    (folder / "torn.gguf").write_bytes(files.whole()[:-600])
    return folder


def test_the_list_names_models_and_says_what_is_wrong_with_others(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["models"]) == 0
    out = capsys.readouterr().out

    assert "folder:tiny" in out
    assert "F32 (full)" in out
    assert "folder:torn cannot be used" in out
    assert "cut short" in out


def test_a_listed_name_can_be_inspected(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["models", "inspect", "folder:tiny"]) == 0
    assert f"{home / 'tiny.gguf'}: a GGUF model, F32 (full)" in capsys.readouterr().out
    assert call(["models", "inspect", "nothing.gguf"]) == 4
    assert "nothing.gguf cannot be read" in capsys.readouterr().err


def test_a_home_with_the_models_of_every_program_is_listed_whole(
    home: Path, files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    top, blob = home.parent, "a" * 64
    layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{blob}"}]
    for place in (
        f".ollama/models/blobs/sha256-{blob}",
        ".lmstudio/models/pub/Qwen3/Qwen3-Q4_K_M.gguf",
        ".cache/huggingface/hub/models--org--repo/snapshots/1/m.gguf",
        ".cache/llama.cpp/m.gguf",
        "text-generation-webui/user_data/models/m.gguf",
        "jan/models/phi/model.gguf",
        ".local/share/nomic.ai/GPT4All/orca.gguf",
        ".config/io.datasette.llm/gguf/models/m.gguf",
    ):
        (top / place).parent.mkdir(parents=True, exist_ok=True)
        (top / place).write_bytes(files.whole())
    manifest = top / ".ollama/models/manifests/registry.ollama.ai/library/gemma3/4b"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"layers": layers}))

    assert call(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {each["from"] for each in listed} == {
        "GPT4All", "Hugging Face", "Jan", "LM Studio", "NIGHTDESK_MODELS", "Ollama", "llama.cpp", "llm",
        "text-generation-webui",
    }  # fmt: skip
    for each in listed:
        if "problem" not in each:
            assert call(["models", "inspect", each["name"]]) == 0
    assert call(["fit"]) == 0
    assert "ollama:gemma3:4b" in capsys.readouterr().out


def test_the_list_as_json_holds_every_fact(home: Path, files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["models", "--json"]) == 0
    tiny, torn = json.loads(capsys.readouterr().out)

    assert tiny["path"] == str(home / "tiny.gguf")
    assert tiny["fits"] is True
    assert tiny["context"] == 128
    assert (tiny["name"], tiny["from"]) == ("folder:tiny", "NIGHTDESK_MODELS")
    assert (tiny["architecture"], tiny["parameters"], tiny["size"]) == ("llama", 384, len(files.whole()))
    assert (tiny["quantisation"], tiny["quality"], tiny["template"]) == ("F32", "full", True)
    assert "cut short" in torn["problem"]


def test_the_list_says_roughly_how_fast_a_model_is(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setattr(locate, "_cache_file", lambda: home / "cache" / "models.json")
    monkeypatch.setattr(speed, "bandwidth", lambda: 12_000 * 1536.0)
    tiny = home / "tiny.gguf"
    assert call(["models", "--json"]) == 0
    guessed = json.loads(capsys.readouterr().out)[0]

    with Store.open(home / "nightdesk.db") as store:
        run = store.begin_run(RunInfo("x", model="tiny", model_sha256=locate.sha256_of(tiny)))
        store.end_run(run, RunEnd("done", Counts(900, 0, 50, 50), done=1, failed=0, skipped=0, seconds=10.0))
    monkeypatch.setattr(Store, "speed", lambda self, sha256: (100.0, 5.0) if sha256 == locate.sha256_of(tiny) else None)
    assert call(["models", "--json"]) == 0
    known = json.loads(capsys.readouterr().out)[0]
    assert call(["models"]) == 0

    assert (guessed["tokens_per_second"], guessed["measured"]) == (12_000.0, False)
    assert (known["tokens_per_second"], known["measured"]) == (100.0, True)
    assert "with ~ an estimate" in capsys.readouterr().out


def test_a_mixture_reads_only_the_experts_it_uses(home: Path) -> None:
    header = read_header(home / "tiny.gguf")
    mixture = replace(header, metadata={"llama.expert_count": 8, "llama.expert_used_count": 2})

    assert speed.tokens_a_second(mixture, 1e6) == 4 * speed.tokens_a_second(header, 1e6)
    assert speed.bandwidth() > 1e6


def test_an_empty_machine_is_told_where_to_put_models(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIGHTDESK_MODELS", "")
    assert call(["models"]) == 0

    assert "NIGHTDESK_MODELS" in capsys.readouterr().out
    assert call(["fit", "nothing_of_this_name"]) == 2


def test_inspect_says_what_a_file_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "w.bin").write_bytes(b"PK\x03\x04" + bytes(20))
    assert call(["models", "inspect", str(home / "w.bin")]) == 0

    assert "pickle" in capsys.readouterr().out


def test_the_table_names_the_best_that_fits(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["fit"]) == 0

    assert "The best that fits: folder:tiny" in capsys.readouterr().out


def test_what_does_not_fit_gets_cures_in_order_of_harm(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = replace(run_model.machine(), free_memory=40 << 20)
    monkeypatch.setattr(run_model, "machine", lambda: small)

    assert call(["fit", "--model", "tiny"]) == 4
    out = capsys.readouterr().out
    cures = [line for line in out.splitlines() if line.startswith("  - ")]
    assert "close other programs" in cures[0]
    assert "chunk_tokens" in cures[-2]
    assert "--allow-swap" in cures[-1]


def test_every_cure_that_helps_stands_in_its_place(
    home: Path, files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, side, kind in (("big", 1024, 0), ("half", 1024, 1), ("small", 512, 0)):
        path = files.write(f"{name}.gguf", {"general.file_type": kind}, tensors=[("w", (side, side), kind)])
        path.rename(home / path.name)
    header = read_header(home / "big.gguf")
    one = resolve(Shape(slots=1, allow_swap=True), header, Machine(2, 0), USUAL)
    room = int((estimate(header, one.sizes).total - (64 << 10)) / (1 - RESERVE))
    monkeypatch.setattr(run_model, "machine", lambda: Machine(2, free_memory=room))

    assert call(["fit", "--model", "folder:big"]) == 4
    cures = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  - ")]
    said = ("close other", 'kv_type = "q8_0"', "quantised more: folder:half (F16)", "smaller model that is here: ")
    assert len(cures) == 6
    assert all(part in cure for part, cure in zip((*said, "chunk_tokens", "--allow-swap"), cures, strict=True))


def test_the_memory_of_a_gpu_is_named_with_what_would_be_moved_there(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dry_run, "free_vram", lambda: 8 << 30)

    assert call(["fit", "--model", "tiny"]) == 0
    assert "8.00 GiB free: 0 layers would be moved there; the speed is unmeasured" in capsys.readouterr().out


def test_adapters_count_in_the_sizes_and_in_the_cures(
    home: Path, files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    header = read_header(home / "tiny.gguf")
    adapter = files.write(
        "style.gguf",
        {"general.architecture": header.architecture, "general.type": "adapter", "adapter.type": "lora"},
        tensors=[("blk.0.attn_q.weight.lora_a", (4096, 4096), 0)],
    )
    monkeypatch.setattr(run_model, "machine", lambda: Machine(2, free_memory=1 << 40))
    fit = ["fit", "--model", "tiny", "--lora", str(adapter)]
    assert call(fit) == 0
    assert "adapters  0.06 GiB" in capsys.readouterr().out

    one = Shape(slots=1, allow_swap=True)
    sizes = resolve(one, header, Machine(2, 0), USUAL).sizes
    room = int((estimate(header, sizes).total + (32 << 20)) / (1 - RESERVE))  # for the model, and half of the adapter
    monkeypatch.setattr(run_model, "machine", lambda: Machine(2, free_memory=room))

    assert call(fit[:3]) == 0
    capsys.readouterr()
    assert call(fit) == 4
    assert "  - leave the adapters out: another recipe" in capsys.readouterr().out


def test_a_name_that_may_be_two_models_lists_them(home: Path, files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["fit", "--model", "folder:t"]) == 4

    assert "folder:tiny, folder:torn" in capsys.readouterr().err

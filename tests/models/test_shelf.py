"""Models are found where every program keeps them, under names a person can type."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ModelFileError
from pipeline.models.locate import find_adapters, find_model
from pipeline.models.shelf import shelf

Files = Any  # GgufFiles of conftest.py
_VARIABLES = (
    "OLLAMA_MODELS HF_HUB_CACHE HF_HOME LLAMA_CACHE LLM_USER_PATH NIGHTDESK_MODELS XDG_CACHE_HOME XDG_DATA_HOME "
    "XDG_CONFIG_HOME"
)


class Home:
    """A home folder in which programs have left their models."""

    def __init__(self, path: Path, model: bytes) -> None:
        self.path, self.model, self._blobs = path, model, 0

    def put(self, place: str, content: bytes | None = None) -> Path:
        file = self.path / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.model if content is None else content)
        return file

    def ollama(self, name: str, *, folder: str = ".ollama/models", kind: str = "model", adapter: str = "") -> Path:
        """`registry/namespace/model/tag`, with its blob, and the digest of an adapter that is laid over it."""
        self._blobs += 1
        blob = f"{self._blobs:064x}"
        layers = [
            {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "f" * 64},
            {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{blob}"},
        ]
        if adapter:
            layers.append({"mediaType": "application/vnd.ollama.image.adapter", "digest": f"sha256:{adapter}"})
        self.put(f"{folder}/manifests/{name}", json.dumps({"schemaVersion": 2, "layers": layers}).encode())
        return self.put(f"{folder}/blobs/sha256-{blob}")


@pytest.fixture
def home(tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in _VARIABLES.split():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home", files.whole())


def names() -> dict[str, Path]:
    return {model.name: model.path for model in shelf()}


def test_an_empty_home_has_an_empty_shelf(home: Home) -> None:
    assert names() == {}


def test_ollama_models_go_by_the_names_that_ollama_shows(home: Home) -> None:
    plain = home.ollama("registry.ollama.ai/library/gemma3/4b")
    users = home.ollama("registry.ollama.ai/someone/tuned/latest")
    other = home.ollama("hf.co/bartowski/Qwen3-4B-GGUF/Q4_K_M")

    assert names() == {
        "ollama:gemma3:4b": plain,
        "ollama:someone/tuned:latest": users,
        "ollama:hf.co/bartowski/Qwen3-4B-GGUF:Q4_K_M": other,
    }
    assert find_model("ollama:gemma3:4b") == plain
    assert find_model("gemma3:4b") == plain
    assert find_model("ollama:someone/tuned") == users


def test_ollama_tags_of_one_file_are_all_names_of_it(home: Home) -> None:
    blob = home.ollama("registry.ollama.ai/library/gemma3/4b")
    manifest = home.path / ".ollama/models/manifests/registry.ollama.ai/library/gemma3"
    (manifest / "latest").write_bytes((manifest / "4b").read_bytes())

    assert names() == {"ollama:gemma3:4b": blob, "ollama:gemma3:latest": blob}
    assert find_model("gemma") == blob


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"layers": [{"mediaType": 5}]}', b"\xff", b'{"layers": {}}'])
def test_what_is_no_manifest_is_passed_over(home: Home, content: bytes) -> None:
    home.put(".ollama/models/manifests/registry.ollama.ai/library/x/latest", content)

    assert names() == {}


def test_an_adapter_that_ollama_lays_over_a_model_goes_with_its_name(home: Home) -> None:
    digest = "a" * 64
    blob = home.ollama("registry.ollama.ai/me/letters/latest", adapter=digest)
    plain = home.ollama("registry.ollama.ai/library/llama3/8b")

    assert find_model("ollama:me/letters") == blob
    assert find_adapters("ollama:me/letters") == (blob.with_name(f"sha256-{digest}"),)
    assert find_adapters("llama3:8b") == find_adapters(str(plain)) == find_adapters(str(blob)) == ()


def test_one_blob_with_and_without_an_adapter_is_two_models(home: Home) -> None:
    blob = home.ollama("registry.ollama.ai/library/llama3/8b")
    manifest = home.path / ".ollama/models/manifests/registry.ollama.ai/library/llama3"
    layers = json.loads((manifest / "8b").read_bytes())["layers"]
    layers.append({"mediaType": "application/vnd.ollama.image.adapter", "digest": "sha256:" + "b" * 64})
    (manifest / "mine").write_text(json.dumps({"layers": layers}))

    with pytest.raises(ModelFileError, match="ollama:llama3:8b, ollama:llama3:mine"):
        find_model("llama3")
    assert find_model("llama3:mine") == find_model("llama3:8b") == blob
    assert len(find_adapters("llama3:mine")) == 1


def test_lm_studios_folder_is_followed_where_a_person_moved_it(home: Home) -> None:
    home.put("disk/lmstudio/models/pub/m/m.gguf")
    home.put(".lmstudio-home-pointer", f"{home.path / 'disk/lmstudio'}\n".encode())
    assert [*names()] == ["lmstudio:pub/m/m"]

    home.put(".lmstudio-home-pointer", b"\xff\xfe")
    assert names() == {}


def test_a_model_that_only_ollamas_cloud_holds_is_not_here(home: Home) -> None:
    home.ollama("registry.ollama.ai/library/big/cloud", kind="license")

    assert names() == {}


def test_hugging_face_models_go_by_their_repository(home: Home) -> None:
    blob = home.put(".cache/huggingface/hub/models--org--repo-GGUF/blobs/abc")
    for revision in ("1111", "2222"):
        link = home.path / f".cache/huggingface/hub/models--org--repo-GGUF/snapshots/{revision}/q4/model-q4.gguf"
        link.parent.mkdir(parents=True)
        link.symlink_to(blob)

    assert [*names()] == ["hf:org/repo-GGUF/q4/model-q4"]
    assert find_model("repo-gguf").resolve() == blob


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (".lmstudio/models/pub/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M.gguf", "lmstudio:pub/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M"),
        (".cache/lm-studio/models/pub/m/m.gguf", "lmstudio:pub/m/m"),
        (".cache/llama.cpp/ggml-org_gemma.gguf", "llama.cpp:ggml-org_gemma"),
        ("Library/Caches/llama.cpp/m.gguf", "llama.cpp:m"),
        ("text-generation-webui/user_data/models/m.gguf", "textgen:m"),
        ("text-generation-webui/models/m.gguf", "textgen:m"),
        ("jan/models/phi/model.gguf", "jan:phi/model"),
        (".local/share/Jan/data/llamacpp/models/phi/model.gguf", "jan:phi/model"),
        ("Library/Application Support/Jan/data/models/phi/model.gguf", "jan:phi/model"),
        (".local/share/nomic.ai/GPT4All/orca.Q4_0.gguf", "gpt4all:orca.Q4_0"),
        (".config/io.datasette.llm/gguf/models/m.gguf", "llm:m"),
    ],
)
def test_each_program_has_its_places(home: Home, place: str, name: str) -> None:
    path = home.put(place)

    assert names() == {name: path}
    assert find_model(name) == path


@pytest.mark.parametrize(
    ("variable", "place", "name"),
    [
        ("HF_HUB_CACHE", "models--o--r/snapshots/1/m.gguf", "hf:o/r/m"),
        ("HF_HOME", "hub/models--o--r/snapshots/1/m.gguf", "hf:o/r/m"),
        ("LLAMA_CACHE", "m.gguf", "llama.cpp:m"),
        ("LLM_USER_PATH", "gguf/models/m.gguf", "llm:m"),
        ("XDG_CACHE_HOME", "llama.cpp/m.gguf", "llama.cpp:m"),
        ("NIGHTDESK_MODELS", "koboldcpp/m.gguf", "folder:koboldcpp/m"),
    ],
)
def test_what_moves_a_programs_folder_moves_the_search(
    home: Home, monkeypatch: pytest.MonkeyPatch, variable: str, place: str, name: str
) -> None:
    monkeypatch.setenv(variable, str(home.path / "elsewhere"))
    home.put(f"elsewhere/{place}")

    assert [*names()] == [name]


def test_ollama_models_may_lie_elsewhere(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(home.path / "big-disk"))
    home.ollama("registry.ollama.ai/library/gemma3/4b", folder="big-disk")

    assert [*names()] == ["ollama:gemma3:4b"]


def test_several_own_folders_are_separated_as_in_path(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_MODELS", os.pathsep.join([str(home.path / "a"), "", "~/b"]))
    home.put("a/one.gguf")
    home.put("b/two.gguf")

    assert [*names()] == ["folder:one", "folder:two"]


def test_later_parts_and_picture_projectors_are_not_models(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_MODELS", str(home.path / "m"))
    home.put("m/big-00001-of-00003.gguf")
    home.put("m/big-00002-of-00003.gguf")
    home.put("m/big-00003-of-00003.gguf")
    home.put("m/mmproj-big.gguf")
    home.put("m/notes.txt")

    assert [*names()] == ["folder:big-00001-of-00003"]


def test_links_in_a_circle_end(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_MODELS", str(home.path / "m"))
    home.put("m/deep/one.gguf")
    (home.path / "m/deep/again").symlink_to(home.path / "m")

    assert [*names()] == ["folder:deep/one"]


def test_a_part_of_a_name_must_be_the_part_of_one(home: Home) -> None:
    home.put(".lmstudio/models/p/Qwen3-4B/Qwen3-4B-Q4_K_M.gguf")
    eight = home.put(".lmstudio/models/p/Qwen3-4B/Qwen3-4B-Q8_0.gguf")

    assert find_model("qwen3-4b-q8") == eight
    with pytest.raises(ModelFileError, match=r"Q4_K_M, lmstudio:p/Qwen3-4B/Qwen3-4B-Q8_0\.$"):
        find_model("qwen3")
    with pytest.raises(ModelFileError) as raised:
        find_model("lmstudio:p/Qwen3-4B/Qwen3-4B-Q6")
    assert "Did you mean lmstudio:p/Qwen3-4B/Qwen3-4B-Q8_0?" in raised.value.hint
    with pytest.raises(ModelFileError) as raised:
        find_model("xx")
    assert raised.value.hint.startswith("`nightdesk models` lists what is here")


def test_an_exact_name_wins_over_names_that_hold_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_MODELS", str(home.path / "m"))
    short = home.put("m/qwen3.gguf")
    home.put("m/qwen3-long.gguf")

    assert find_model("qwen3") == short


def test_a_file_here_wins_over_a_name_on_the_shelf(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.put(".cache/llama.cpp/m.gguf")
    monkeypatch.chdir(home.path)
    home.put("m")

    assert find_model("m") == Path("m")

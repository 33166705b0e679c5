"""Model files that other programs have put on this disk, and the folders of NIGHTDESK_MODELS.

Every place is a documented or observed default of its program; what a person moved elsewhere is named in
NIGHTDESK_MODELS (folders, separated as in PATH), and so is KoboldCpp's folder, which has no default.
Looks, never writes, opens no model file but Ollama's manifests.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LATER_PART = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$")
_OLLAMA_MODEL = "application/vnd.ollama.image.model"
_OLLAMA_ADAPTER = "application/vnd.ollama.image.adapter"
_BLOB = re.compile(r"sha256[:-]([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Found:
    """A model file and the name that says where it came from."""

    name: str  # `ollama:gemma3:4b`, `lmstudio:publisher/model/file`
    path: Path
    program: str
    adapters: tuple[Path, ...] = ()  # that Ollama lays over it


def shelf() -> list[Found]:
    """Every model file of every program, by name. One file may have several names in Ollama, and one elsewhere."""
    found = [model for look in _PROGRAMS for model in look()]
    seen: set[Path] = set()
    kept: dict[str, Found] = {}
    for model in found:
        real = model.path.resolve()
        if real in seen and not model.name.startswith("ollama:"):
            continue
        seen.add(real)
        kept.setdefault(model.name, model)
    return sorted(kept.values(), key=lambda model: model.name.lower())


def _home(*parts: str) -> Path:
    return Path.home().joinpath(*parts)


def _from_environment(*names: str) -> list[Path]:
    return [Path(value).expanduser() for name in names if (value := os.environ.get(name))][:1]


def _cache() -> Path:
    return next(iter(_from_environment("XDG_CACHE_HOME")), _home(".cache"))


def _data() -> Path:
    return next(iter(_from_environment("XDG_DATA_HOME")), _home(".local", "share"))


def _files(folder: Path) -> Iterator[Path]:
    """The GGUF models below a folder: first parts only, no picture projectors. Links are followed once."""
    walked: set[Path] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        if real in walked:
            folders.clear()
            continue
        walked.add(real)
        folders.sort()
        for name in sorted(names):
            lower = name.lower()
            if lower.endswith(".gguf") and "mmproj" not in lower and not _LATER_PART.search(lower):
                yield Path(place, name)


def _named(prefix: str, program: str, folders: list[Path]) -> Iterator[Found]:
    for folder in folders:
        for path in _files(folder):
            yield Found(f"{prefix}:{path.relative_to(folder).with_suffix('').as_posix()}", path, program)


def _ollama() -> Iterator[Found]:
    """Manifests say which blob is the weights of `name:tag`. Models that only Ollama's cloud holds have none."""
    default = [_home(".ollama", "models"), Path("/usr/share/ollama/.ollama/models")]
    for folder in _from_environment("OLLAMA_MODELS") or default:
        manifests = folder / "manifests"
        for place, folders, names in os.walk(manifests):
            folders.sort()
            for tag in sorted(names):
                manifest = Path(place, tag)
                layers = _layers(manifest)
                if not layers.get(_OLLAMA_MODEL):
                    continue
                (weights, *_), adapters = (
                    [folder / "blobs" / f"sha256-{blob}" for blob in layers.get(kind, [])]
                    for kind in (_OLLAMA_MODEL, _OLLAMA_ADAPTER)
                )
                registry, *namespace, model = manifest.parent.relative_to(manifests).parts
                above = [] if registry == "registry.ollama.ai" else [registry]
                name = "/".join([*above, *(namespace if above or namespace != ["library"] else []), model])
                yield Found(f"ollama:{name}:{tag}", weights, "Ollama", tuple(adapters))


def _layers(manifest: Path) -> dict[str, list[str]]:
    """The sha256s of a manifest's layers by media type. A file that is no manifest has none."""
    if len(manifest.parts) < 3 or manifest.name.startswith("."):
        return {}
    found: dict[str, list[str]] = {}
    try:
        for layer in json.loads(manifest.read_text("utf-8"))["layers"]:
            if match := _BLOB.fullmatch(layer["digest"]):
                found.setdefault(layer["mediaType"], []).append(match[1])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found


def _lmstudio() -> Iterator[Found]:
    """A person who moved LM Studio's folder has named the new one in a file (lmstudio-bug-tracker issue 553)."""
    try:
        moved = _home(".lmstudio-home-pointer").read_text("utf-8").strip()
    except (OSError, ValueError):
        moved = ""
    homes = [*([Path(moved)] if moved else []), _home(".lmstudio"), _home(".cache", "lm-studio")]
    yield from _named("lmstudio", "LM Studio", [home / "models" for home in homes])


def _hugging_face() -> Iterator[Found]:
    """`models--org--repo/snapshots/<revision>/...`, where the files are links to blobs."""
    hub = _from_environment("HF_HUB_CACHE") or [home / "hub" for home in _from_environment("HF_HOME")]
    for folder in hub or [_cache() / "huggingface" / "hub"]:
        for repository in sorted(folder.glob("models--*")):
            owner = repository.name.removeprefix("models--").replace("--", "/")
            for revision in sorted(repository.glob("snapshots/*")):
                for path in _files(revision):
                    file = path.relative_to(revision).with_suffix("").as_posix()
                    yield Found(f"hf:{owner}/{file}", path, "Hugging Face")


def _llama_cpp() -> Iterator[Found]:
    default = [_cache() / "llama.cpp", _home("Library", "Caches", "llama.cpp")]
    yield from _named("llama.cpp", "llama.cpp", _from_environment("LLAMA_CACHE") or default)


def _text_generation_webui() -> Iterator[Found]:
    homes = [_home("text-generation-webui"), _home("oobabooga", "text-generation-webui")]
    folders = [home / place for home in homes for place in ("user_data/models", "models")]
    yield from _named("textgen", "text-generation-webui", folders)


def _jan() -> Iterator[Found]:
    homes = [_home("jan"), _data() / "Jan" / "data", _home("Library", "Application Support", "Jan", "data")]
    folders = [home / place for home in homes for place in ("models", "llamacpp/models")]
    yield from _named("jan", "Jan", folders)


def _gpt4all() -> Iterator[Found]:
    homes = [_data(), _home("Library", "Application Support")]
    yield from _named("gpt4all", "GPT4All", [home / "nomic.ai" / "GPT4All" for home in homes])


def _llm() -> Iterator[Found]:
    default = [
        next(iter(_from_environment("XDG_CONFIG_HOME")), _home(".config")) / "io.datasette.llm",
        _home("Library", "Application Support", "io.datasette.llm"),
    ]
    homes = _from_environment("LLM_USER_PATH") or default
    yield from _named("llm", "llm", [home / "gguf" / "models" for home in homes])


def _own_folders() -> Iterator[Found]:
    folders = [Path(part).expanduser() for part in os.environ.get("NIGHTDESK_MODELS", "").split(os.pathsep) if part]
    yield from _named("folder", "NIGHTDESK_MODELS", folders)


_PROGRAMS = (
    _own_folders,
    _ollama,
    _lmstudio,
    _hugging_face,
    _llama_cpp,
    _text_generation_webui,
    _jan,
    _gpt4all,
    _llm,
)

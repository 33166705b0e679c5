"""A requantised sibling: beside, never over, the original; used only where it is named."""

from __future__ import annotations

import stat
from pathlib import Path

import platformdirs
import pytest

from pipeline.engines.requantize import requantize
from pipeline.errors import ModelError, UserError
from pipeline.evaluation import load_gold
from pipeline.models.gguf import check_model
from pipeline.models.locate import find_model, sha256_of
from pipeline.run import sibling


def test_the_labelled_samples_are_there() -> None:
    labels = sibling.samples()

    assert all((labels.parent / label.file).exists() for label in load_gold(labels))


def test_what_is_no_model_leaves_nothing_behind(tmp_path: Path) -> None:
    source = tmp_path / "broken.gguf"
    source.write_bytes(b"GGUF and no more")

    with pytest.raises(ModelError):
        requantize(source, tmp_path / "new" / "out.gguf", "Q8_0")
    assert [*(tmp_path / "new").iterdir()] == []


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out.gguf").write_text("mine")

    with pytest.raises(UserError):
        requantize(tmp_path / "in.gguf", tmp_path / "out.gguf", "Q8_0")
    assert (tmp_path / "out.gguf").read_text() == "mine"


@pytest.mark.model
def test_the_sibling_is_a_whole_model_in_the_cache_and_the_original_is_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    original = find_model("demo")
    before = sha256_of(original)

    written = sibling.write(check_model(original))

    assert written.is_relative_to(tmp_path)
    assert check_model(written).quantisation == "Q8_0"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert sibling.write(check_model(original)) == written
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / "fresh" / name))
    assert sha256_of(original) == before

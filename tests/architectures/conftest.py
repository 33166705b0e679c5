"""One tiny model of each family, written once a session."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def _tiny() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tiny_models", Path(__file__).with_name("tiny.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TINY = _tiny()


@pytest.fixture(scope="session", params=[*TINY.FAMILIES])
def family(request: pytest.FixtureRequest) -> str:
    """The name of a family."""
    return str(request.param)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of every family, by name."""
    folder = tmp_path_factory.mktemp("models")
    return {name: TINY.write_model(folder, name) for name in TINY.FAMILIES}


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module that writes the models."""
    return TINY

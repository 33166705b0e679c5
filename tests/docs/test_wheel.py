"""The wheel: what is in it, and that it works outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        ".",
        "--no-deps",
        "--no-build-isolation",
        "--quiet",
        "-w",
        str(out),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (file,) = out.glob("*.whl")
    return file


def test_the_wheel_holds_tasks_schemas_samples_and_help(wheel):
    names = {*zipfile.ZipFile(wheel).namelist()}

    for folder, inside in (("prompts", "pipeline/shipped/prompts"), ("schemas", "pipeline/shipped/schemas")):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert f"{inside}/{file.relative_to(ROOT / folder)}" in names
    assert len([name for name in names if name.startswith("pipeline/shipped/samples/receipts/")]) >= 5
    assert {name for name in names if name.startswith("pipeline/help/")} == {
        f"pipeline/help/{page.name}" for page in (ROOT / "pipeline/help").glob("*.md")
    }
    assert not [name for name in names if name.startswith("tests") or "__pycache__" in name]


def test_the_wheel_works_outside_the_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site), "NIGHTDESK_MODEL": "scripted"}

    def nightdesk(*args: str) -> str:
        code = "from pipeline.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *args], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    samples = site / "pipeline/shipped/samples/receipts"
    number = len([*samples.iterdir()])
    assert str(samples) in nightdesk("help")
    assert f"{number} documents: {number} done" in nightdesk("run", "receipts", str(samples), "--db", "night.db")
    for task in ("receipts", "invoices", "contracts", "mail"):
        assert str(site) in nightdesk("check", task)

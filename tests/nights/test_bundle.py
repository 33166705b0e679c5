"""A bundle is whole, private, and says every byte that changed on the way."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.run import bundle
from pipeline.run.bundle import Wrong

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in ("nightdesk", *bundle._needed()):
        (folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl").write_bytes(name.encode())
    (folder / "notes.txt").write_text("no wheel")
    return folder


@pytest.fixture
def packed(wheels, desk, monkeypatch):
    monkeypatch.chdir(desk.path)
    (desk.path / "schemas/__pycache__").mkdir()
    (desk.path / "schemas/__pycache__/x.py").write_text("")
    desk.write("prompts/chat.jinja", "{{ messages }}")
    desk.write("prompts/examples/letter.eml", "To: us")
    desk.write("prompts/.draft.toml", "")
    model = desk.write("tiny.gguf", b"GGUF" + bytes(3000))
    out = desk.path / "usb/bundle"
    return out, bundle.pack(out, wheels, [model])


def test_what_is_needed_is_what_the_project_asks_for():
    assert {"llama-cpp-python", "pydantic", "sqlite-utils", "pypdf"} <= bundle._needed()
    assert not {"pytest", "xlrd"} & bundle._needed()


def test_a_bundle_holds_wheels_model_tasks_and_how_to_install(packed):
    out, said = packed

    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"INSTALL.txt", "SHA256SUMS", "models/tiny.gguf", "prompts/tone.toml", "schemas/tone.json"} <= names
    assert {"prompts/chat.jinja", "prompts/examples/letter.eml"} <= names
    assert not [name for name in names if "pycache" in name or "draft" in name or name.endswith("notes.txt")]
    assert said.files == len(names) - 1
    assert "--no-index" in (out / "INSTALL.txt").read_text()
    assert "models/tiny.gguf" in (out / "INSTALL.txt").read_text()
    for path in out.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_split_model_is_packed_with_all_its_parts(wheels, desk, monkeypatch):
    monkeypatch.chdir(desk.path)
    parts = [desk.write(f"big-0000{number}-of-00002.gguf", b"GGUF") for number in (1, 2)]
    out = desk.path / "out"

    bundle.pack(out, wheels, parts)

    assert sorted(file.name for file in (out / "models").iterdir()) == [part.name for part in parts]
    assert "--model models/big-00001-of-00002.gguf" in (out / "INSTALL.txt").read_text()


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="no sha256sum here")
def test_the_list_is_one_that_sha256sum_reads(packed):
    out, said = packed

    assert subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=out).returncode == 0
    told = subprocess.run(["sha256sum", "SHA256SUMS"], cwd=out, capture_output=True, text=True).stdout
    assert told.split()[0] == said.list_sha256


def test_verifying_names_what_is_missing_changed_or_new_and_nothing_else(packed):
    out, _ = packed
    (out / "night.db").write_text("a result that lies beside it")
    assert bundle.verify(out)[1] == []

    (out / "prompts/tone.toml").unlink()
    (out / "models/tiny.gguf").write_bytes(b"GGUF" + bytes(2999) + b"\1")
    (out / "wheels/extra-1-py3-none-any.whl").write_bytes(b"")

    assert bundle.verify(out)[1] == [
        Wrong("models/tiny.gguf", "has changed"),
        Wrong("prompts/tone.toml", "is missing or cannot be read"),
        Wrong("wheels/extra-1-py3-none-any.whl", "is not in the list"),
    ]


def test_a_wheel_that_is_missing_is_named_before_anything_is_copied(wheels, desk, monkeypatch):
    monkeypatch.chdir(desk.path)
    next(wheels.glob("llama_cpp_python*")).unlink()
    out = desk.path / "out"

    with pytest.raises(UserError, match="no wheel of llama-cpp-python") as told:
        bundle.pack(out, wheels, [desk.write("tiny.gguf", b"GGUF")])

    assert "GGML_NATIVE=OFF" in told.value.hint
    assert not out.exists()


def test_nothing_that_is_there_is_written_over(packed, wheels, desk):
    out, _ = packed

    with pytest.raises(UserError, match="is there already"):
        bundle.pack(out, wheels, [desk.path / "tiny.gguf"])


@pytest.mark.parametrize("text", [None, b"\xff\xfe", b"no list at all\n"])
def test_a_folder_without_a_list_is_no_bundle(tmp_path, text):
    if text is not None:
        (tmp_path / "SHA256SUMS").write_bytes(text)

    with pytest.raises(UserError, match="not the list of a bundle"):
        bundle.verify(tmp_path)


def test_the_command_says_how_wheels_are_made_and_what_has_changed(packed, desk):
    out, _ = packed

    code, _, err = desk.call("bundle", "other")
    assert (code, "-DGGML_NATIVE=OFF" in err, "pip wheel" in err) == (2, True, True)
    code, said, err = desk.call("bundle", "usb/bundle", "--verify")
    assert (code, said.startswith("As it was packed: ")) == (0, True), err
    (out / "INSTALL.txt").write_text("run this instead")
    code, said, err = desk.call("bundle", "usb/bundle", "--verify")
    assert (code, said) == (2, "INSTALL.txt has changed.\n"), err


def test_this_python_is_the_one_that_is_asked_for(packed):
    assert f"Python {sys.version_info.major}.{sys.version_info.minor} " in (packed[0] / "INSTALL.txt").read_text()


def alone(*command: str | Path, cwd: Path) -> str:
    """Run a command without a network, an index and our environment; what it said."""
    offline = (
        ["unshare", "-n"] if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode == 0 else []
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run([*offline, *command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_real_bundle_installs_and_runs_without_an_index_and_a_network(tmp_path, desk):
    """Makes the wheels, which needs an index; llama-cpp-python is compiled where pip has not kept its wheel."""
    wheels, out = tmp_path / "wheels", tmp_path / "usb"
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--wheel-dir", wheels, ROOT], check=True)
    code, said, err = desk.call("bundle", str(out), "--wheels", str(wheels), "--model", "demo")
    assert code == 0, err
    shutil.copytree(ROOT / "samples", out / "samples")

    alone("sha256sum", "--check", "--quiet", "SHA256SUMS", cwd=out)
    alone(sys.executable, "-m", "venv", ".venv", cwd=out)
    alone(out / ".venv/bin/pip", "install", "--no-index", *sorted((out / "wheels").glob("*.whl")), cwd=out)
    nightdesk, (model,) = out / ".venv/bin/nightdesk", (out / "models").glob("*.gguf")
    digest = next(word for word in said.split() if len(word) == 64)
    assert digest in alone(nightdesk, "bundle", ".", "--verify", cwd=out)
    alone(
        nightdesk, "run", "receipts", "samples/receipts", "--db", "night.db", "--model", model, "--limit", "2", cwd=out
    )

    assert "receipts" in alone(nightdesk, "status", "--db", "night.db", cwd=out)

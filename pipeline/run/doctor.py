"""Is this machine in order for a night: what is there, what holds the network off, and one rehearsal of everything."""

from __future__ import annotations

import ctypes
import errno
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from pydantic import SecretStr

from pipeline.config import EngineSettings, Job, JobTask
from pipeline.errors import NetworkRefused, NightdeskError, StoreError
from pipeline.models.gguf import check_model
from pipeline.models.inspect import model_facts
from pipeline.models.locate import find_model
from pipeline.offline import guard
from pipeline.readers import ocr
from pipeline.run import PACKAGES, Failed, Recorded, run
from pipeline.run.awake import means
from pipeline.run.model import SCRIPTED, machine
from pipeline.run.served import ServerModel
from pipeline.run.surroundings import synchronised
from pipeline.store import Store

_FEATURES = (
    *("sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
"""What llama.cpp has code for, as Linux calls it."""
_LEAST_DISK = 1 << 30

_SAMPLE = "Harbour Books\n12 Jul 2026\nTwo atlases\nAmount due 41.50 EUR\n"
_TASK = 'instructions = "Copy the shop and the total."\n[options]\nchunk_tokens = 200\nmax_answer_tokens = 48\n'
_SCHEMA = """{"type": "object", "additionalProperties": false, "required": ["shop", "total"], "properties": {
    "shop": {"type": "string", "x-nightdesk": {"extractive": true}, "maxLength": 30},
    "total": {"type": ["string", "null"], "x-nightdesk": {"type": "money"}, "maxLength": 20}}}"""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `code` is the exit code that a bad one stands for."""

    name: str
    state: Literal["ok", "note", "bad"]
    said: str
    hint: str = ""
    code: int = 0


def doctor(model: str, database: Path, engine: EngineSettings, key: SecretStr | None = None) -> Iterator[Check]:
    """Look at everything, one after the other. Puts the network guard on."""
    yield from _machine()
    yield from _ocr()
    yield from _model(model) if engine.server is None else _server(model, *engine.server)
    yield from _database(database, key)
    yield from _temporary()
    yield from _network()
    yield from _rehearsal(model, engine)


def _ok(name: str, said: str) -> Check:
    return Check(name, "ok", said)


def _bad(name: str, error: NightdeskError) -> Check:
    return Check(name, "bad", error.message, error.hint, error.exit_code)


def _machine() -> Iterator[Check]:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    yield _ok("versions", f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}")
    yield _ok("system", f"{platform.system()} {platform.release()} on {platform.machine()}")
    here = machine()
    total = psutil.virtual_memory().total
    features = _cpu_features()
    yield _ok("cores", f"{here.cores} may be used; CPU features for llama.cpp: {', '.join(features) or 'not known'}")
    yield _ok("memory", f"{here.free_memory / 2**30:.1f} of {total / 2**30:.1f} GiB are free")
    if (kept_by := means()) is None:
        yield Check("sleep", "note", "Nothing here can keep the machine awake while a run works.", _AWAKE_HINT)
    else:
        yield _ok("sleep", f"kept off while a run works, where the system allows it ({kept_by})")


def _ocr() -> Iterator[Check]:
    """Not having it is no fault: most people's documents have text."""
    found = ocr.find()
    if found is None:
        yield Check("ocr", "note", "Tesseract is not here: scans and photos are not read.", _OCR_HINT)
        return
    said = f"Tesseract {found.version}, languages: {', '.join(found.languages) or 'none'}"
    if not found.detects:
        yield Check("ocr", "note", f"{said}; turned pages are not noticed.", "apt install tesseract-ocr-osd")
    elif missing := [name for name in _OCR_PACKAGES if not importlib.util.find_spec(name)]:
        yield Check("ocr", "note", f"{said}; {', '.join(missing)} not installed.", "pip install 'nightdesk[ocr]'")
    else:
        yield _ok("ocr", said)


_OCR_HINT = "apt install tesseract-ocr (and tesseract-ocr-por for Portuguese, and so on)"
_OCR_PACKAGES = ("PIL", "pillow_heif")
_AWAKE_HINT = "Turn sleep off in the system's settings."


def _cpu_features() -> list[str]:
    try:
        words = set(Path("/proc/cpuinfo").read_text("utf-8", "replace").split())
    except OSError:
        return []
    return [feature for feature in _FEATURES if feature in words]


def _model(name: str) -> Iterator[Check]:
    if name == SCRIPTED:
        yield _ok("model", "scripted: no weights, for rehearsals")
        return
    try:
        path = find_model(name)
        header = check_model(path)
    except NightdeskError as error:
        yield _bad("model", error)
        return
    facts = ", ".join(f"{key} {value}" for key, value in model_facts(header).items())
    yield _ok("model", f"{path}: {header.architecture}, {header.quantisation}, {facts}")


def _server(name: str, host: str, port: int) -> Iterator[Check]:
    try:
        model = ServerModel(name, host, port)
    except NightdeskError as error:
        yield _bad("server", error)
        return
    yield _ok("server", f"{model.name}: {model.says()}")


def _database(database: Path, key: SecretStr | None) -> Iterator[Check]:
    folder = database.absolute().parent
    if service := synchronised(database):
        what = f"{folder} is copied to other machines by {service}."
        yield Check("folder", "note", what, "Keep the database in a folder that stays on this machine.")
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield _bad("database", StoreError(f"{folder} cannot be written.", hint="Check the path and its permissions."))
        return
    free = shutil.disk_usage(folder).free
    if free < _LEAST_DISK:
        yield Check("disk", "note", f"{free / 2**20:.0f} MiB are free in {folder}.", "A night may need more.")
    if not database.exists():
        yield _ok("database", f"{database} is not there yet; a run makes it, for you alone")
        return
    try:
        with Store.open(database, write=False, key=key) as store:
            tasks = ", ".join(store.tasks()) or "none yet"
    except NightdeskError as error:
        yield _bad("database", error)
        return
    mode = database.stat().st_mode & 0o777
    if mode & 0o077:
        said = f"{database} may be read by others (mode {mode:04o})."
        yield Check("database", "note", said, f"chmod 600 {database}")
    else:
        yield _ok("database", f"{database} can be used and is yours alone; tasks: {tasks}")


def _temporary() -> Iterator[Check]:
    folder = tempfile.gettempdir()
    yield _ok("temporary", f"{folder}; a run writes none of your documents there")


def _network() -> Iterator[Check]:
    held = guard()
    if held.kernel:
        yield _ok("guard", str(held))
    else:
        said = f"{held}. C libraries are not held."
        yield Check("guard", "note", said, "On Linux on x86_64 or aarch64 the kernel refuses as well.")
    attempts = {
        "open a socket from Python": _python_socket,
        "look up a host name": _lookup,
        "open a socket from C": _c_socket,
        "open a socket in a program started from here": _other_program,
    }
    for what, attempt in attempts.items():
        if attempt():
            yield _ok("tried to", f"{what}: refused")
        elif held.kernel or attempt in (_python_socket, _lookup):
            hint = "Do not use Nightdesk for private documents here, and report this line."
            yield Check("tried to", "bad", f"{what}: NOT refused", hint, NetworkRefused.exit_code)
        else:
            yield Check("tried to", "note", f"{what}: not refused, for want of a kernel filter")


def _refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (NetworkRefused, PermissionError):
        return True
    except OSError:
        return False  # let through, whatever came of it
    return False


def _python_socket() -> bool:
    return _refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close())


def _lookup() -> bool:
    return _refused(lambda: socket.getaddrinfo("nightdesk.invalid", 80))


def _c_socket() -> bool:
    if sys.platform == "win32":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.socket(int(socket.AF_INET), int(socket.SOCK_DGRAM), 0)
    if descriptor >= 0:
        os.close(descriptor)
    return descriptor < 0 and ctypes.get_errno() == errno.EACCES


def _other_program() -> bool:
    code = "import socket\ntry:\n    socket.socket()\nexcept PermissionError:\n    raise SystemExit(9)"
    return subprocess.run([sys.executable, "-I", "-S", "-c", code], check=False, capture_output=True).returncode == 9


def _rehearsal(model: str, engine: EngineSettings) -> Iterator[Check]:
    """The whole path on a built-in receipt: read, cut, ask, check, ground, merge, save."""
    with tempfile.TemporaryDirectory(prefix="nightdesk-doctor-") as name:
        folder = Path(name)
        for part, text in (("prompts/till.toml", _TASK), ("schemas/till.json", _SCHEMA), ("in/till.txt", _SAMPLE)):
            (folder / part).parent.mkdir()
            (folder / part).write_text(text, "utf-8")
        task = JobTask(task=str(folder / "prompts" / "till.toml"), inputs=(folder / "in",))
        job = Job(database=folder / "night.db", model=model, tasks=(task,), engine=engine)
        try:
            events = [*run(job)]
        except NightdeskError as error:
            yield _bad("rehearsal", error)
            return
    failed = [event.failure for event in events if isinstance(event, Failed)]
    if failed or sum(isinstance(event, Recorded) for event in events) != 1:
        first = failed[0] if failed else None
        said = first.message if first else "The sample made no row."
        yield Check("rehearsal", "bad", said, first.hint if first else "Please report this.", 3 if first else 1)
        return
    whom = model if engine.server is None else engine.engine
    yield _ok(
        "rehearsal",
        f"a sample was read, asked ({whom}), checked and saved with the network refused",
    )

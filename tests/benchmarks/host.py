"""The machine a figure belongs to, and whether it is quiet enough to measure on."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

_PACKAGES = ("nightdesk", "llama-cpp-python", "llguidance", "outlines", "outlines-core", "numba", "numpy")
MOST_BUSY = 0.10  # share of all cores that others may use
MOST_SPREAD = 1.15  # slowest over fastest of equal loops


def facts() -> dict[str, object]:
    """What must stand beside every figure."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": _commit(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "omp": {name: value for name, value in os.environ.items() if name.startswith(("OMP_", "GGML_"))},
    }


def busy(seconds: float = 1.0) -> float:
    """The share of all cores that is in use while we wait."""
    return psutil.cpu_percent(interval=seconds) / 100


def complaints(load: float, used: float, loops: Sequence[float]) -> list[str]:
    """What speaks against measuring now. `load`: the last minute's; `loops`: seconds of equal loops."""
    found = []
    if load > 0.5:
        found.append(f"load average {load:.2f} in the last minute")
    if used > MOST_BUSY:
        found.append(f"{used:.0%} of the cores in use by others")
    if loops and max(loops) > MOST_SPREAD * min(loops):
        found.append(f"equal loops took {min(loops):.3f} to {max(loops):.3f} s")
    return found


def look() -> list[str]:
    """Look at the machine for some seconds; see `complaints`."""
    return complaints(os.getloadavg()[0], busy(2.0), [_loop() for _ in range(8)])


def _loop() -> float:
    """Equal work each time; the median of three, so that one interrupt does not count."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        total = 0
        for number in range(300_000):
            total += number * number
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _commit() -> str:
    try:
        done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"

"""All checks, one after the other, with the seconds of each: `python tests`. The README and .ci/run call this."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent  # of the virtual environment, whether it is activated or not
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]

TIERS = {
    "ruff": [BIN / "ruff", "check"],
    "format": [BIN / "ruff", "format", "--check"],
    "mypy": [sys.executable, "-m", "mypy"],
    "layers": [BIN / "lint-imports"],
    "unit tests": [*PYTEST, "-n", "2", "--dist", "loadfile", "-m", "not model and not long"],
    "model tests": [*PYTEST, "-m", "model and not long"],
}


def main() -> int:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # several processes share the cores
    results = {}
    for name, command in TIERS.items():
        print(f"=== {name}", flush=True)
        started = time.monotonic()
        code = subprocess.run(command, cwd=ROOT).returncode
        results[name] = (code, time.monotonic() - started)
    print("===")
    for name, (code, seconds) in results.items():
        print(f"{name:<12} {seconds:7.1f} s  {'ok' if code == 0 else f'FAILED ({code})'}")
    return int(any(code for code, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main())

"""A llama-server for one cell: started as suits so many requests at a time, and ended with the cell."""

from __future__ import annotations

import shlex
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from pipeline.models import TokenizerLike
from tests.benchmarks.rivals import NotHereError, longest
from tests.benchmarks.server import Server, get
from tests.benchmarks.workloads import Workload

LOADING = 120.0  # seconds


class LlamaServer(Server):
    """As many slots as requests at a time, each with the context of the longest question; its prompt cache is on."""

    def __init__(
        self,
        workload: Workload,
        tokenizer: TokenizerLike,
        program: Path,
        model: Path,
        *,
        at_a_time: int,
        threads: int,
        flash_attention: bool,
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = [
            *("-np", str(at_a_time), "-c", str(at_a_time * longest(workload, tokenizer))),
            *("-t", str(threads), "-tb", str(threads), "-fa", "on" if flash_attention else "off"),
            *("--cache-ram", "0", "--no-webui", "--offline"),  # moving prompts to RAM and back only costs here
        ]
        command = [str(program), "-m", str(model), "--host", "127.0.0.1", "--port", str(port), *options]
        try:
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except OSError as error:
            raise NotHereError(f"{program} cannot be started: {error.strerror}") from error
        try:
            self._wait_for(port)
            super().__init__(workload, f"http://127.0.0.1:{port}", at_a_time=at_a_time)
        except BaseException:
            self.close()
            raise
        self.settings["options"] = shlex.join(options)

    def close(self) -> None:
        """End the server."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_for(self, port: int) -> None:
        until = time.monotonic() + LOADING
        while time.monotonic() < until:
            if (status := self._process.poll()) is not None:
                raise NotHereError(f"llama-server ended with status {status} before it was ready")
            with suppress(NotHereError):
                if get("127.0.0.1", port, "/health") is not None:
                    return
            time.sleep(0.2)
        raise NotHereError(f"llama-server was not ready within {LOADING:.0f} s")

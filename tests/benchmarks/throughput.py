"""Documents an hour of nightdesk and of every alternative, side by side: `python -m tests.benchmarks.throughput`.

Same documents, model file, schema, examples, prompt text and order. One after the other, in rounds (the second in
reverse order), nothing else running. Every cell is saved as it ends; running again does what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import platformdirs

from pipeline.models.locate import find_model, sha256_of
from pipeline.models.tokenizer import Tokenizer
from tests.benchmarks import host, results, workloads
from tests.benchmarks.floor import BETTER
from tests.benchmarks.results import OURS, Cell
from tests.benchmarks.server import address
from tests.benchmarks.validity import micro_f1

DOCUMENTS = {"W1": 97, "W2": 12, "W3": 24, "W3a": 24, "W4": 24}  # more than a cell's time is enough for
SERVERS = ("server x1", "server x4", "server x8")
ALTERNATIVES = (OURS, "floor", "llama-cpp-python", *SERVERS, "outlines", "naive twin", "nightdesk, pointed")
RIVALS = ("llama-cpp-python", *SERVERS, "outlines")  # that are told whether to use flash attention
MEASURED_ON = ("model", "model_sha256", "commit", "versions", "cpu")
STARTING = 300.0  # seconds that loading, compiling a schema and warming up may take before a cell is given up


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing and print the table."""
    wanted = _parse(arguments)
    model = find_model(wanted.model)
    sha256 = sha256_of(model)
    folder = wanted.out or Path(platformdirs.user_cache_dir("nightdesk")) / "benchmarks"
    folder = folder / f"{model.stem}-{sha256[:8]}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    facts = {**host.facts(), "model": str(model), "model_sha256": sha256}
    facts["command"] = "python -m tests.benchmarks.throughput " + " ".join(
        sys.argv[1:] if arguments is None else arguments
    )
    complaints = host.look()
    facts["not quiet"] = complaints
    for complaint in complaints:
        print(f"THE MACHINE IS NOT QUIET: {complaint}", file=sys.stderr)
    (folder / "host.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")

    cells = []
    until = time.monotonic() + 60 * wanted.minutes
    for spec in specs(wanted, facts):
        cell = None if wanted.fresh else _known(spec, folder)
        if cell is None:
            if time.monotonic() >= until:
                _say(f"{spec['workload']}, round {spec['round']}: {spec['alternative']}: not begun, the time is over")
                continue
            _say(f"{spec['workload']}, round {spec['round']}: {spec['alternative']} ...")
            cell = _measure(spec, folder)
            _say(
                f"    {cell.error or f'{len(cell.done)} documents in {cell.seconds:.1f} s after {cell.startup:.1f} s'}"
            )
        cells.append(cell)
    lines = list(results.table(cells, _quality(cells, model, wanted.documents)))
    report = "\n".join(_report(facts, cells, results.markdown(lines)))
    print(report)
    (folder / "table.md").write_text(report, encoding="utf-8")
    (folder / "table.json").write_text(
        json.dumps({"host": facts, "lines": [asdict(line) for line in lines]}, indent=1), encoding="utf-8"
    )
    return 0


def specs(wanted: argparse.Namespace, facts: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """The cells in the order they are measured. Rounds are interleaved; even ones go backwards.

    `facts`: of the model, the code and the machine. A cell of others is another cell.
    """
    served = wanted.server or wanted.llama_server
    left_out = {*(() if served else SERVERS), *(("floor",) if wanted.replicas > 1 else ())}  # the floor is one process
    names = [name for name in ALTERNATIVES if _asked(name, wanted.only) and name not in left_out]
    rivals = [name for name in RIVALS if not (wanted.server and name in SERVERS)]
    for number in range(1, wanted.rounds + 1):
        for workload in wanted.workload:
            order = names if number % 2 else _backwards(names)
            for name in order:
                yield {
                    "workload": workload,
                    "alternative": name,
                    "round": number,
                    **{name: facts[name] for name in MEASURED_ON},
                    "documents": wanted.documents or DOCUMENTS[workload],
                    "seconds": wanted.seconds,
                    "threads": wanted.threads,
                    "slots": wanted.slots,
                    "flash_attention": wanted.flash_attention,
                    "replicas": wanted.replicas,
                    "rivals_flash_attention": wanted.rivals_flash_attention if name in rivals else None,
                    "server": wanted.server if name in SERVERS else None,
                    "llama_server": str(wanted.llama_server) if wanted.llama_server and name in SERVERS else None,
                }


def _backwards(names: Sequence[str]) -> list[str]:
    """Reversed, but the floor stays behind the cell it replays."""
    order = [name for name in reversed(names) if name != "floor"]
    if "floor" in names and OURS in order:
        order.insert(order.index(OURS) + 1, "floor")
    return order


def _asked(name: str, only: Sequence[str] | None) -> bool:
    return only is None or name in only or (name.startswith("server") and "server" in only)


def _known(spec: Mapping[str, object], folder: Path) -> Cell | None:
    """The cell of an earlier run, if it was asked for the same."""
    path = folder / f"{Cell(spec).name}.json"
    if not path.exists():
        return None
    cell = Cell.load(path)
    return cell if cell.spec == spec else None


def _measure(spec: Mapping[str, object], folder: Path) -> Cell:
    """Run a cell in a process of its own. What goes wrong there is the cell's error."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(spec, file)
        file.flush()
        (folder / f"{Cell(spec).name}.json").unlink(missing_ok=True)
        shapes = 1 + len(BETTER) if spec["alternative"] == "floor" else 1
        limit = STARTING + 3 * shapes * float(str(spec["seconds"]))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.cell", file.name, str(folder)],
            cwd=workloads.ROOT,
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that a server it started ends with it
        )
        try:
            _, said = process.communicate(timeout=limit)
            failed = f"exit status {process.returncode}: {_last_line(said)}" if process.returncode else ""
        except subprocess.TimeoutExpired:
            failed = f"not ready within {limit:.0f} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if failed:
        cell = Cell(spec, error=failed)
        cell.save(folder)
    return Cell.load(folder / f"{Cell(spec).name}.json")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no message"


def _quality(cells: Sequence[Cell], model: Path, documents: int | None) -> dict[str, tuple[float | None, float | None]]:
    """F1 of each cell: over the documents it finished, and over those that everybody finished."""
    tokenizer = Tokenizer.load(model)
    found: dict[str, tuple[float | None, float | None]] = {}
    for name in dict.fromkeys(str(cell.spec["workload"]) for cell in cells):
        workload = workloads.load(name, tokenizer, documents or DOCUMENTS[name])
        here = [cell for cell in cells if cell.spec["workload"] == name and cell.answers]
        shared = results.common(here)
        for cell in here:
            pointed = cell.spec["alternative"] == "nightdesk, pointed"
            tasks = workload.pointed() if pointed else workload
            found[cell.name] = (
                micro_f1(tasks, cell.answers, set(cell.done)),
                micro_f1(tasks, cell.answers, shared),
            )
    return found


def _report(facts: Mapping[str, object], cells: Sequence[Cell], table: str) -> Iterator[str]:
    yield f"## {facts['date']}: throughput"
    yield ""
    yield f"Host: {facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, {facts['system']}; "
    yield f"commit {facts['commit']}; {facts['versions']}; environment {facts['omp']}."
    yield f"Model: {facts['model']} ({str(facts['model_sha256'])[:16]})."
    if facts["not quiet"]:
        yield f"THE MACHINE WAS NOT QUIET: {facts['not quiet']}."
    yield ""
    yield f"    {facts['command']}"
    yield ""
    yield table
    yield ""
    for name, settings in _settings(cells).items():
        yield f"- {name}: {settings}"
    yield ""
    for workload in dict.fromkeys(str(cell.spec["workload"]) for cell in cells):
        here = [cell for cell in cells if cell.spec["workload"] == workload]
        lengths = {
            str(cell.spec["alternative"]): round(sum(a.prompt_tokens for a in cell.answers) / len(cell.answers))
            for cell in here
            if cell.answers
        }
        yield f"- {workload}: {len(results.common(here))} documents that all finished; prompt tokens {lengths}"
    if said := results.handed_over(cells):
        yield f"- {said}"


def _settings(cells: Sequence[Cell]) -> dict[str, object]:
    """Each alternative's settings; cells of different workloads differ in their context only."""
    found: dict[str, object] = {}
    for cell in cells:
        if cell.settings:
            found.setdefault(f"{cell.spec['workload']} {cell.spec['alternative']}", dict(cell.settings))
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.throughput", description=__doc__)
    parser.add_argument("--workload", type=_workloads, default=list(workloads.NAMES), help="W1,W2,W3,W3a,W4")
    parser.add_argument("--model", default="demo", help="a GGUF file, or `demo`")
    parser.add_argument("--documents", type=int, help="at most this many scored documents of each workload")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=75.0, help="of one cell")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="no cell is begun after these; run again for the rest"
    )
    server = parser.add_mutually_exclusive_group()
    server.add_argument("--server", type=_loopback, help="an OpenAI-compatible server, http://127.0.0.1:8080")
    server.add_argument("--llama-server", type=Path, metavar="PROGRAM", help="start this llama-server for each cell")
    parser.add_argument(
        "--only", nargs="+", help='alternatives by name, such as nightdesk outlines "naive twin" server'
    )
    parser.add_argument("--threads", type=int, help="for everybody; default: physical cores")
    parser.add_argument("--slots", type=int, help="of nightdesk; the floor tries others too")
    parser.add_argument("--flash-attention", choices=("prompts",), default=True, help="of the same")
    parser.add_argument("--replicas", type=int, default=1, help="processes of nightdesk; several have no floor")
    parser.add_argument(
        "--rivals-flash-attention", choices=("on", "off"), default="on", help="of all others that are started here"
    )
    parser.add_argument("--out", type=Path, help="folder of the cells; default: the user's cache")
    parser.add_argument("--fresh", action="store_true", help="measure again what is there")
    return parser.parse_args(arguments)


def _workloads(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(workloads.NAMES):
        raise argparse.ArgumentTypeError(f"no workload {', '.join(unknown)}; there are {', '.join(workloads.NAMES)}")
    return names


def _loopback(url: str) -> str:
    try:
        address(url)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return url


if __name__ == "__main__":
    sys.exit(main())

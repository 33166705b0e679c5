"""Everything but the model: `python -m tests.benchmarks.bookkeeping [--documents 20000]`.

The scripted backend answers that many small documents. Documents/s of reading, planning and extracting apart (the
backend's own seconds taken out of the last), resident memory on the way (it must stay flat), bytes of database a
document, and a second run that finds nothing to do.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from pipeline.config import Job, JobTask
from pipeline.engines.scripted import Scripted
from pipeline.run import Answered, FileRead, Looked, Opened, Planned, Recorded, Summary, run
from tests.benchmarks import host
from tests.benchmarks.meter import Meter
from tests.benchmarks.results import per_hour
from tests.benchmarks.workloads import TASKS

SAMPLES = 200  # of the resident memory
WORDS = ("apple", "bread", "candle", "dough", "engine", "flour", "garden", "honey", "iron", "jam", "kettle")


@dataclass(slots=True)
class Story:
    """When the stages of a run ended, and the memory on the way. Times are seconds since the beginning."""

    looked: float = 0.0
    read: float = 0.0
    planned: float = 0.0
    opened: float = 0.0
    ended: float = 0.0
    answered: int = 0
    memory: list[tuple[int, int]] = field(default_factory=list)  # documents recorded, bytes resident
    summary: Summary | None = None

    def follow(self, job: Job, clock: Callable[[], float], memory: Callable[[], int], every: int) -> None:
        """Run the job and note what it tells."""
        started = clock()
        recorded = 0
        for event in run(job):
            now = clock() - started
            match event:
                case Looked():
                    self.looked = self.read = now
                case FileRead():
                    self.read = now
                case Planned():
                    self.planned = now
                case Opened() if event.shape:
                    self.opened = now
                case Answered():
                    self.answered += 1
                case Recorded():
                    recorded += 1
                    if recorded % every == 0:
                        self.memory.append((recorded, memory()))
                case Summary():
                    self.ended, self.summary = now, event


def growth(memory: Sequence[tuple[int, int]]) -> float:
    """Bytes a document by which resident memory grows over the second half of a run (least squares)."""
    half = memory[len(memory) // 2 :]
    if len(half) < 2:
        return 0.0
    mean_x = sum(x for x, _ in half) / len(half)
    mean_y = sum(y for _, y in half) / len(half)
    spread = sum((x - mean_x) ** 2 for x, _ in half)
    return sum((x - mean_x) * (y - mean_y) for x, y in half) / spread


def write_documents(folder: Path, count: int) -> None:
    """Small texts, no two alike, a thousand a folder."""
    for number in range(count):
        place = folder / f"{number // 1000:03}"
        if number % 1000 == 0:
            place.mkdir(parents=True)
        words = " ".join(WORDS[(number * step + step) % len(WORDS)] for step in (1, 3, 5, 7))
        (place / f"{number:06}.txt").write_text(f"Note {number}\n{words}\nTotal {number % 977}.{number % 100:02}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bookkeeping", description=__doc__)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--out", type=Path, help="folder for bookkeeping.json and the plot")
    wanted = parser.parse_args(arguments)
    for complaint in host.look():
        print(f"THE MACHINE IS NOT QUIET: {complaint}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="nightdesk-bookkeeping-") as folder:
        figures = measure(Path(folder), wanted.documents)
    if wanted.out:
        wanted.out.mkdir(parents=True, exist_ok=True)
        (wanted.out / "bookkeeping.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
        _plot(figures, wanted.out / "bookkeeping-memory.png")
    print("\n".join(_table(figures)))
    return 0


def measure(folder: Path, documents: int) -> dict[str, object]:
    """Two runs over the same documents."""
    write_documents(folder / "in", documents)
    database = folder / "night.db"
    job = Job(
        database=database,
        model="scripted",
        tasks=(JobTask(task=str(TASKS / "small.toml"), inputs=(folder / "in",)),),
    )
    meter = Meter()
    process = psutil.Process()
    first, second = Story(), Story()
    decode = Scripted.decode
    Scripted.decode = meter.wrap(decode, lambda _backend, rows: len(rows))  # type: ignore[method-assign]
    try:
        first.follow(job, time.perf_counter, lambda: process.memory_info().rss, max(1, documents // SAMPLES))
        model_seconds = meter.seconds
        second.follow(job, time.perf_counter, lambda: process.memory_info().rss, 1)
    finally:
        Scripted.decode = decode  # type: ignore[method-assign]
    if first.summary is None or second.summary is None:
        raise AssertionError("a run ended without a summary")
    size = sum(path.stat().st_size for path in folder.glob("night.db*"))
    extracting = first.ended - first.opened
    return {
        "host": host.facts(),
        "documents": documents,
        "state": first.summary.state,
        "done": first.summary.done,
        "failed": first.summary.failed,
        "looking_seconds": first.looked,
        "reading_seconds": first.read - first.looked,
        "planning_seconds": first.planned - first.read,
        "extracting_seconds": extracting,
        "backend_seconds": model_seconds,
        "decode_calls": first.summary.decode_calls,
        "memory": first.memory,
        "growth_bytes_per_document": growth(first.memory),
        "database_bytes_per_document": size / documents,
        "second_seconds": second.ended,
        "second_done": second.summary.done,
        "second_answered": second.answered,
        "counts": asdict(first.summary.counts),
    }


def _table(figures: dict[str, object]) -> list[str]:
    documents = int(str(figures["documents"]))
    stages = {
        "looking (sizes, times, sha256)": float(str(figures["looking_seconds"])),
        "reading (in worker processes)": float(str(figures["reading_seconds"])),
        "planning (cutting into chunks, pending work)": float(str(figures["planning_seconds"])),
        "extracting, without the scripted backend": float(str(figures["extracting_seconds"]))
        - float(str(figures["backend_seconds"])),
        "second run, nothing to do": float(str(figures["second_seconds"])),
    }
    lines = [f"{documents:,} documents, {figures['done']:,} done, {figures['failed']} failed."]
    lines += ["", "| stage | seconds | documents/s | documents/hour |", "|---|---|---|---|"]
    for name, seconds in stages.items():
        rate = per_hour(documents, seconds)
        lines.append(f"| {name} | {seconds:.1f} | {rate / 3600:,.0f} | {rate:,.0f} |")
    memory = figures["memory"]
    if isinstance(memory, list) and memory:
        first, last = memory[0], memory[-1]
        lines += [
            "",
            f"Resident memory: {first[1] / 2**20:.0f} MiB after {first[0]:,} documents, "
            f"{last[1] / 2**20:.0f} MiB after {last[0]:,}; "
            f"{float(str(figures['growth_bytes_per_document'])):,.0f} bytes a document in the second half.",
        ]
    lines.append(f"Database: {float(str(figures['database_bytes_per_document'])):,.0f} bytes a document.")
    lines.append(f"The second run recorded {figures['second_done']} and asked {figures['second_answered']} questions.")
    return lines


def _plot(figures: dict[str, object], path: Path) -> None:
    try:
        from matplotlib import pyplot
    except ImportError:
        print("no plot: matplotlib is not installed (pip install 'nightdesk[bench]')", file=sys.stderr)
        return
    memory = figures["memory"]
    if not isinstance(memory, list):
        return
    figure, axes = pyplot.subplots()
    axes.plot([count for count, _ in memory], [size / 2**20 for _, size in memory])
    axes.set(xlabel="documents recorded", ylabel="resident memory, MiB", ylim=(0, None))
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())

"""How cost grows: `python -m tests.benchmarks.growth [PART...] --out FOLDER`, plots as PNG and figures as JSON.

    documents   seconds and database bytes a document over 10 ... --most documents; opening; planning and resuming,
                each in a process of its own, with its peak of memory
    memory      resident memory while one run of --most documents, at most 20,000, goes on
    slots       seconds a document over the number of answers written at the same time
    prefix      seconds a document over the length of the shared prompt
    length      seconds a document over the length of the documents

The last three with --documents of them. On the scripted model by default, so it is our own cost that grows or does
not; `--model FILE` measures a real one.
Every run has a folder and a database of its own, in a temporary folder. Needs matplotlib (the extra `bench`). A point
is saved as it ends: the same command goes on where it was stopped, and a larger --most adds its points. --fresh begins
anew.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from pipeline.config import EngineSettings, Job, JobTask, Shape
from pipeline.run import Recorded, Summary, run
from pipeline.store import Store
from tests.benchmarks import host

SCHEMA = """{"type": "object", "additionalProperties": false, "required": ["tone", "word"], "properties": {
    "tone": {"enum": ["good", "bad", "mixed"]}, "word": {"type": "string", "maxLength": 8}}}"""
SENTENCE = "The weather of day {} was fine and the roof of the house was mended before noon. "
LONG_RUN = 20_000  # documents of the memory part
FEW = 200  # documents of the parts that vary something else, by default
SAMPLES = 100  # of memory in a run
A_FOLDER = 1000  # files

Row = dict[str, float]


@dataclass(slots=True)
class Site:
    """A folder with a task, documents and a database."""

    path: Path
    model: str
    shape: Shape = field(default_factory=Shape)

    def prepare(self, documents: int, *, sentences: int = 2, instructions: int = 1) -> None:
        """Write the task and the documents; equal in size, all different."""
        for name in ("prompts", "schemas"):
            (self.path / name).mkdir(parents=True)
        asked = "Say the tone of this letter and one word of it. " * instructions
        options = f"[options]\nchunk_tokens = {max(400, 120 * sentences)}\nmax_answer_tokens = 60\n"
        (self.path / "prompts" / "tone.toml").write_text(f'instructions = "{asked.strip()}"\n{options}', "utf-8")
        (self.path / "schemas" / "tone.json").write_text(SCHEMA, "utf-8")
        for number in range(documents):
            file = self.path / "docs" / str(number // A_FOLDER) / f"{number}.txt"
            if number % A_FOLDER == 0:
                file.parent.mkdir(parents=True)
            text = f"Letter {number}. " + "".join(SENTENCE.format(number + i) for i in range(sentences))
            file.write_text(text, "utf-8")

    @property
    def job(self) -> Job:
        """The job that does them."""
        return Job(
            database=self.path / "night.db",
            model=self.model,
            tasks=(JobTask(task=str(self.path / "prompts" / "tone.toml"), inputs=(self.path / "docs",)),),
            engine=EngineSettings(shape=self.shape),
        )

    def run(self, recorded: Callable[[], None] = lambda: None, *, dry_run: bool = False) -> tuple[float, Summary]:
        """Do it: seconds in all, and what the run says."""
        began = time.perf_counter()
        summary = None
        for event in run(self.job, dry_run=dry_run):
            if isinstance(event, Recorded):
                recorded()
            elif isinstance(event, Summary):
                summary = event
        assert summary is not None
        return time.perf_counter() - began, summary


def documents(root: Path, model: str, most: int, known: frozenset[float]) -> Iterator[Row]:
    """A run for each power of ten, and what its database then costs."""
    for number in (10**power for power in range(1, len(str(most)))):
        if number in known:
            continue
        site = Site(root / f"documents-{number}", model)
        site.prepare(number)
        seconds, summary = site.run()
        assert summary.done == number
        began = time.perf_counter()
        with Store.open(site.job.database):
            opened = time.perf_counter() - began
        planned, most_of_plan, _ = _alone(site, dry_run=True)
        resumed, most_of_resume, done = _alone(site, dry_run=False)
        assert done == 0
        yield {
            "documents": number,
            "seconds a document": seconds / number,
            "extracting, seconds a document": summary.seconds / number,
            "database, bytes a document": site.job.database.stat().st_size / number,
            "open, seconds": opened,
            "plan, seconds": planned,
            "resume, seconds": resumed,
            "plan, peak MiB": most_of_plan / 2**20,
            "resume, peak MiB": most_of_resume / 2**20,
        }


def _alone(site: Site, *, dry_run: bool) -> tuple[float, int, int]:
    """A further run in a fresh process: its seconds, its peak of resident bytes, and the documents it did."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_measured, site, dry_run).result()


def _measured(site: Site, dry_run: bool) -> tuple[float, int, int]:
    seconds, summary = site.run(dry_run=dry_run)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))  # Linux only
    assert peak is not None
    return seconds, 1024 * int(peak[1]), summary.done


def memory(root: Path, model: str, most: int, known: frozenset[float]) -> Iterator[Row]:
    """Resident memory of this process as one run goes on: all or nothing."""
    if known:
        return
    most = min(most, LONG_RUN)
    site = Site(root / "memory", model)
    site.prepare(most)
    rows: list[Row] = []
    done = 0

    def recorded() -> None:
        nonlocal done
        done += 1
        if done % max(1, most // SAMPLES) == 0:
            rows.append({"documents done": done, "resident MiB": _resident() / 2**20})

    site.run(recorded)
    yield from rows


def slots(root: Path, model: str, most: int, known: frozenset[float]) -> Iterator[Row]:
    """The same documents with 1 ... 24 slots."""
    for number in sorted({1, 2, 4, 8, 16, 24} - known):
        yield from _varied(root, model, "slots", number, most, shape=Shape(slots=number))


def prefix(root: Path, model: str, most: int, known: frozenset[float]) -> Iterator[Row]:
    """The same documents behind longer instructions."""
    for times in sorted({1, 4, 16, 64} - known):
        yield from _varied(root, model, "sentences of the prefix", times, most, instructions=times)


def length(root: Path, model: str, most: int, known: frozenset[float]) -> Iterator[Row]:
    """Longer documents behind the same instructions."""
    for sentences in sorted({1, 4, 16, 64} - known):
        yield from _varied(root, model, "sentences a document", sentences, most, sentences=sentences)


def _varied(
    root: Path,
    model: str,
    name: str,
    value: int,
    number: int,
    *,
    shape: Shape | None = None,
    sentences: int = 2,
    instructions: int = 1,
) -> Iterator[Row]:
    site = Site(root / f"{name}-{value}".replace(" ", "-"), model, shape or Shape())
    site.prepare(number, sentences=sentences, instructions=instructions)
    _, summary = site.run()
    yield {
        name: value,
        "seconds a document": summary.seconds / number,
        "decode calls a document": summary.decode_calls / number,
        "tokens evaluated a document": (summary.counts.prefilled + summary.counts.forced + summary.counts.sampled)
        / number,
    }


PARTS: dict[str, Callable[[Path, str, int, frozenset[float]], Iterator[Row]]] = {
    "documents": documents,
    "memory": memory,
    "slots": slots,
    "prefix": prefix,
    "length": length,
}
VARIED = ("slots", "prefix", "length")  # whose points have equally many documents


def plot(part: str, rows: Sequence[Row], file: Path) -> None:
    """A panel for each figure over the first one."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    across, *figures = rows[0]
    drawing, panels = plt.subplots(1, len(figures), figsize=(4 * len(figures), 3.2), squeeze=False)
    for panel, figure in zip(panels[0], figures, strict=True):
        panel.plot([row[across] for row in rows], [row[figure] for row in rows], marker="o", markersize=3)
        panel.set_xlabel(across)
        panel.set_title(figure, fontsize=10)
        panel.set_ylim(bottom=0)
        if part != "memory":
            panel.set_xscale("log")
    drawing.tight_layout()
    drawing.savefig(file, dpi=120)
    plt.close(drawing)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the parts that are named, all of them by default."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.growth", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--most", type=int, default=100_000, metavar="N", help="documents of the first two parts")
    parser.add_argument("--documents", type=int, default=FEW, metavar="N", help="of each point of the other parts")
    parser.add_argument("--model", default="scripted")
    parser.add_argument("--fresh", action="store_true", help="measure again what is there")
    parser.add_argument("--out", type=Path, default=Path("growth"), metavar="FOLDER")
    wanted = parser.parse_args(arguments)
    if unknown := {*wanted.parts} - {*PARTS}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for complaint in (complaints := host.look()):
        print(f"THE MACHINE IS NOT QUIET: {complaint}", file=sys.stderr)
    wanted.out.mkdir(parents=True, exist_ok=True)
    for part in wanted.parts or PARTS:
        number = wanted.documents if part in VARIED else None
        most = number or wanted.most
        facts = {**host.facts(), "not quiet": complaints, "model": wanted.model, "documents": number}
        file = wanted.out / f"{part}.json"
        rows = [] if wanted.fresh else _kept(file, facts)
        known = frozenset(next(iter(row.values())) for row in rows)
        with tempfile.TemporaryDirectory(prefix="nightdesk-growth-") as root:
            for row in PARTS[part](Path(root), wanted.model, most, known):
                rows = sorted([*rows, row], key=lambda row: next(iter(row.values())))
                if part != "memory":
                    print(", ".join(f"{name} {value:,.6g}" for name, value in row.items()), flush=True)
                file.write_text(json.dumps({"facts": facts, "rows": rows}, indent=1), "utf-8")
        if rows:
            plot(part, rows, wanted.out / f"{part}.png")
        print(f"{wanted.out / part}.png")
    return 0


def _kept(file: Path, facts: dict[str, object]) -> list[Row]:
    """The points of an earlier run of the same model, code and number of documents."""
    if not file.exists():
        return []
    kept: dict[str, Any] = json.loads(file.read_text("utf-8"))
    same = all(kept["facts"].get(name) == facts[name] for name in ("model", "commit", "cpu", "documents"))
    return list(kept["rows"]) if same else []


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    sys.exit(main())

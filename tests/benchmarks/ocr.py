"""The receipts and contracts of samples/, printed and scanned by a program, read again: error rates, and the F1 of the
extraction from what was read beside that from the text.

    python -m tests.benchmarks.ocr --short                   a receipt a language, three scanners
    python -m tests.benchmarks.ocr                           all in English, Portuguese, German, Russian
    python -m tests.benchmarks.ocr --f1 --model q8_0.gguf    the scans at 200 dpi, and the extraction from them

Errors are edits (Levenshtein) for each character and word of the text, white space as one blank and ruled lines (-----)
left out: two columns that come in another order are errors there, so beside them stands the share of words that were
found in any order. Samples that imitate a bad scan in their text are left out too. Each cell is
saved as it ends, with its texts, under `--out`; running it again does what is missing. Rates do not depend on load.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from platformdirs import user_cache_path
from rapidfuzz.distance import Levenshtein

from pipeline.config import Job, JobTask, Night
from pipeline.evaluation import Gold, evaluate, load_gold, value_types
from pipeline.prompting import load_task
from pipeline.readers import ocr, read_file
from pipeline.readers.ocr import OcrRequest, PageRead, Tesseract, tesseract
from pipeline.run import run
from pipeline.store import Store
from pipeline.supervise import Worker
from tests.benchmarks.reading import share, words
from tests.benchmarks.scanning import SCANNERS, Scanner, scan

ROOT = Path(__file__).resolve().parents[2]
TASKS = ("receipts", "contracts")
LANGUAGES = {"en": "eng", "pt": "por", "de": "deu", "ru": "rus"}
IMITATE = ("backhaus-holzinger", "millbrook-hardware")  # O for 0 in the text itself
SHORT = ("copper-kettle", "minimercado-fonte", "buchhandlung-kirchplatz", "leika-vologda")
RULE = re.compile(r"([-_=*.~])\1{2,}")
FOR_F1 = SCANNERS[1]
PATIENCE = 1800.0  # seconds for a page: beside other work Tesseract may wait long for its turn


@dataclass(frozen=True, slots=True)
class Sample:
    """A labelled document, the language in which it is written, and the text that the readers give."""

    task: str
    gold: Gold
    language: str
    path: Path
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cell:
    """One document, scanned and read again."""

    task: str
    id: str
    language: str
    scanner: str
    version: str  # of the reading
    text: str = field(repr=False)
    read: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rates:
    """Errors for each character and each word of the texts, and the share of words found in any order."""

    characters: float
    words: float
    found: float


def samples() -> Iterator[Sample]:
    """The receipts and contracts in languages that are measured."""
    for task in TASKS:
        file = ROOT / "samples/gold" / f"{task}.jsonl"
        tags = {one["id"]: one["lang"][:2] for one in map(json.loads, file.read_text("utf-8").splitlines())}
        for gold in load_gold(file):
            if tags[gold.id] in LANGUAGES and gold.id not in IMITATE:
                path = (file.parent / gold.file).resolve()
                yield Sample(task, gold, tags[gold.id], path, read_file(path).text)


def rates(cells: Sequence[Cell]) -> Rates:
    """Over all of these documents, a long one counting for more."""
    edits = edited = length = count = 0
    found = 0.0
    for cell in cells:
        text, read = (" ".join(RULE.sub(" ", one).split()) for one in (cell.text, cell.read))
        edits += Levenshtein.distance(text, read)
        length += len(text)
        edited += Levenshtein.distance(text.split(), read.split())
        count += len(text.split())
        found += share(list(words(text)), list(words(read))) * len(text.split())
    return Rates(edits / max(1, length), edited / max(1, count), found / max(1, count))


def answer(request: OcrRequest) -> PageRead:
    """Read a page, however long it takes. Runs in a child."""
    tesseract.SECONDS = PATIENCE
    return ocr.answer(request)


def measure(sample: Sample, scanner: Scanner, worker: Worker[OcrRequest, PageRead], found: Tesseract) -> Cell:
    """Scan the document and read all of its pages."""
    languages = (LANGUAGES[sample.language],)
    content, pages = scan(sample.path, sample.text, scanner)
    asked = (OcrRequest("scan.pdf", 1 + page, found, languages, content=content) for page in range(pages))
    read = "\n\n".join(worker.ask(request).text for request in asked)
    settings = ocr.settings(found, languages)
    return Cell(sample.task, sample.gold.id, sample.language, scanner.name, settings, sample.text, read)


def cells(wanted: Sequence[Sample], scanners: Sequence[Scanner], out: Path) -> Iterator[Cell]:
    """What is saved and still holds, and what is missing, saved as it ends."""
    found = ocr.find()
    if found is None or any(one not in found.languages for one in LANGUAGES.values()):
        packages = " ".join(f"tesseract-ocr-{one}" for one in LANGUAGES.values())
        raise SystemExit(f"Tesseract or a language is missing: apt install {packages}")
    with closing(Worker(answer, name="OCR", timeout=4 * PATIENCE, memory=ocr.MEMORY)) as worker:
        for scanner in scanners:
            for sample in wanted:
                file = out / f"{sample.gold.id}-{scanner.dpi}.json"
                known = Cell(**json.loads(file.read_text("utf-8"))) if file.exists() else None
                settings = ocr.settings(found, (LANGUAGES[sample.language],))
                if known is None or (known.text, known.version) != (sample.text, settings):
                    known = measure(sample, scanner, worker, found)
                    _save(file, json.dumps(dataclasses.asdict(known), ensure_ascii=False))
                yield known


def reading_table(measured: Sequence[Cell]) -> str:
    """The table of error rates."""
    groups: dict[tuple[str, str, str], list[Cell]] = defaultdict(list)
    for cell in measured:
        groups[cell.language, cell.task, cell.scanner].append(cell)
    lines = [
        "| language | documents | scanned with | characters wrong | words wrong | words found in any order |",
        "|---|---|---|---|---|---|",
    ]
    for (language, task, scanner), group in sorted(groups.items(), key=lambda item: item[0][:2]):
        got = rates(group)
        shares = " | ".join(f"{100 * one:.1f} %" for one in (got.characters, got.words, got.found))
        lines.append(f"| {language} | {len(group)} {task} | {scanner} | {shares} |")
    return "\n".join(lines)


def extraction_table(wanted: Sequence[Sample], measured: Sequence[Cell], model: str, seconds: float, out: Path) -> str:
    """Runs each task over the texts and over what was read, and compares the documents that both finished."""
    read = {cell.id: cell.read for cell in measured if cell.scanner == FOR_F1.name}
    lines = ["| task | language | documents | F1 from the text | F1 from the scan |", "|---|---|---|---|---|"]
    for task in TASKS:
        mine = [sample for sample in wanted if sample.task == task and sample.gold.id in read]
        if not mine:
            continue
        clean = _records(task, {one.gold.id: one.text for one in mine}, model, seconds, out / f"{task}-text")
        scanned = _records(task, {one.gold.id: read[one.gold.id] for one in mine}, model, seconds, out / f"{task}-scan")
        both = [sample for sample in mine if sample.gold.id in clean and sample.gold.id in scanned]
        for language in (*LANGUAGES, "all"):
            gold = [sample.gold for sample in both if language in (sample.language, "all")]
            if gold:
                scores = " | ".join(_f1(task, gold, records) for records in (clean, scanned))
                lines.append(f"| {task} | {language} | {len(gold)} | {scores} |")
    return "\n".join(lines)


def _records(task: str, texts: dict[str, str], model: str, seconds: float, out: Path) -> dict[str, dict[str, object]]:
    """The values by document. The database stays, so what was answered is not asked again."""
    ids = {}
    for name, text in texts.items():
        _save(out / "in" / f"{name}.txt", text)
        ids[hashlib.sha256(text.encode()).hexdigest()] = name
    job = Job(
        database=out / "night.db",
        model=model,
        tasks=(JobTask(task=str(ROOT / f"prompts/{task}.toml"), inputs=(out / "in",)),),
        night=Night(max_duration=timedelta(seconds=seconds), grace=timedelta(0)),
    )
    for _ in run(job):
        pass
    with Store.open(job.database, write=False) as store:
        return {ids[one.document]: dict(one.values) for one in store.records(task) if one.document in ids}


def _f1(task: str, gold: Sequence[Gold], records: dict[str, dict[str, object]]) -> str:
    types = value_types(load_task(str(ROOT / f"prompts/{task}.toml")).schema.root)
    found = {one.id: records[one.id] for one in gold}
    score = evaluate(gold, found, types, samples=1).micro.normalised.f1
    return f"{100 * score:.1f} %"


def _save(file: Path, text: str) -> None:
    """The files hold texts of documents: for their owner only."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=user_cache_path("nightdesk") / "ocr", help="where cells are saved")
    parser.add_argument("--short", action="store_true", help="a receipt a language")
    parser.add_argument("--f1", action="store_true", help="the extraction too, from scans at 200 dpi")
    parser.add_argument("--model", default="demo", help="a GGUF file, or `demo`")
    parser.add_argument("--seconds", type=float, default=75, help="for each of the four runs of the model")
    given = parser.parse_args()
    wanted = [sample for sample in samples() if not given.short or sample.gold.id in SHORT]
    scanners = [FOR_F1] if given.f1 else SCANNERS
    measured = list(cells(wanted, scanners, given.out))
    print(reading_table(measured))
    if given.f1:
        print()
        print(extraction_table(wanted, measured, given.model, given.seconds, given.out))


if __name__ == "__main__":
    from tests.benchmarks import ocr as benchmark  # children import what they call, and cannot from __main__

    benchmark.main()

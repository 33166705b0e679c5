"""What the readers get out of files that nobody here wrote, pypdf beside its layout mode and PDFium, and speeds.

    python -m tests.benchmarks.reading [corpora] [pdfs] [speed] [small] [--files N]

All tables without a name; at most N files of a category or format. NIGHTDESK_TEST_DATA names the folder with corpora/.
Speeds and memory are of this machine as it is now: nothing else should run on it.

A file is as expected where `tests/readers/test_corpora.py` would let it pass without its list of known gaps. Words are
runs of letters and digits, folded in case and form; a word found n times counts n times. Word pairs are two
neighbouring words: a text in the wrong reading order has the words and not the pairs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import statistics
import tempfile
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pypdf
import pypdfium2

from pipeline import readers
from pipeline.data import Document
from pipeline.errors import NightdeskError, ReadError
from pipeline.readers import ReadOptions, html, ocr
from pipeline.readers.ocr import OcrRequest
from pipeline.readers.request import MEMORY, TIMEOUT, Request, answer
from pipeline.supervise import Worker, map_ordered

CORPORA = Path(os.environ.get("NIGHTDESK_TEST_DATA", ".")) / "corpora"
ROOT = Path(__file__).resolve().parents[2]
DEEPEST = 8
_QUESTIONS = 200  # to the readers of a format, so that the start of a child counts for little


def words(text: str) -> list[str]:
    """Words as they are compared: hyphens at line ends joined, compatibility forms and case folded."""
    return re.findall(r"\w+", unicodedata.normalize("NFKC", re.sub(r"[-\u00ad]\n", "", text)).casefold())


def share(reference: list[object], found: list[object]) -> float:
    """The share of the reference that is found, repeated ones counted."""
    return (Counter(reference) & Counter(found)).total() / max(1, len(reference))


def pairs(found: list[str]) -> list[object]:
    """Neighbouring words."""
    return list(itertools.pairwise(found))


def read(question: tuple[str, str]) -> tuple[str, str]:
    """The text of a file and of all that is in it, or the code of the refusal. Runs in a child with limits."""
    path, password = question
    options = ReadOptions((password,) if password else ())
    try:
        return _whole(readers.read_file(Path(path), options), options, DEEPEST), ""
    except ReadError as error:
        return "", error.code


def _whole(document: Document, options: ReadOptions, depth: int) -> str:
    texts = [document.text]
    for one in document.attachments if depth else ():
        try:
            texts.append(_whole(readers.read(one.content, one.name, options), options, depth - 1))
        except ReadError:
            continue
    return "\n".join(texts)


def _pypdf(path: str, **mode: str) -> list[str]:
    reader = pypdf.PdfReader(path)
    if reader.is_encrypted:
        reader.decrypt("")
    return [page.extract_text(**mode) for page in reader.pages]


def _layout(path: str) -> list[str]:
    return _pypdf(path, extraction_mode="layout")


def _pdfium(path: str) -> list[str]:
    return [page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(path)]


WAYS: dict[str, Callable[[str], list[str]]] = {"pypdf": _pypdf, "pypdf, layout": _layout, "PDFium": _pdfium}


def pdf_texts(path: str) -> list[tuple[str, int, float]]:
    """The text that each way gives, its pages, and the seconds it took. Runs in a child with limits."""
    found = []
    for way in WAYS.values():
        start = time.perf_counter()
        pages = way(path)
        found.append(("\n".join(pages), len(pages), time.perf_counter() - start))
    return found


def pages_read(request: Request) -> tuple[int, int]:
    """The pages of a file, and the most memory in MB that this child has held so far. Runs in a child with limits."""
    return len(answer(request).pages), _peak()


def pages_recognised(request: OcrRequest) -> tuple[int, int]:
    """One page, and the most memory in MB that this child has held so far, Tesseract's own not counted."""
    ocr.answer(request)
    return 1, _peak()


def _peak() -> int:
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    return int(peak[1]) >> 10 if peak else 0


def corpora(most: int) -> None:
    """The table by category."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    found: dict[str, list[float]] = defaultdict(list)
    with closing(Worker(read, name="benchmark reader", timeout=TIMEOUT, memory=MEMORY)) as worker:
        for entry in _first((CORPORA / "manifest.jsonl").read_text("utf-8").splitlines(), most):
            password = entry.get("password") or ""
            try:
                text, code = worker.ask((str(CORPORA / entry["file"]), password))
            except NightdeskError as error:
                text, code = "", getattr(error, "code", "failed")
            counts[entry["category"]][0] += 1
            counts[entry["category"]][1] += _as_expected(entry, text, code)
            if "ref_text" in entry:
                reference = words((CORPORA / entry["ref_text"]).read_text("utf-8"))
                found[entry["category"]].append(share(reference, words(text)))
    print("| category | files | as expected | words of the reference texts found |\n|---|---|---|---|")
    for category, (files, right) in sorted(counts.items()):
        shares = ", ".join(f"{100 * one:.0f} %" for one in found[category])
        print(f"| {category} | {files} | {right} | {shares} |")
    print(f"| all | {sum(f for f, _ in counts.values())} | {sum(r for _, r in counts.values())} | |")


def _first(lines: list[str], most: int) -> list[dict]:
    entries: dict[str, list[dict]] = defaultdict(list)
    for entry in map(json.loads, lines):
        entries[entry["category"]].append(entry)
    return [entry for found in entries.values() for entry in found[:most]]


def _as_expected(entry: dict, text: str, code: str) -> bool:
    seen = len("".join(text.split()))
    match entry["expect"]:
        case "text":
            return seen >= 0.8 * entry["facts"]["ref_chars"]
        case "text-or-partial" | "password":
            return seen > 0
        case "no-text":
            return code == "no_text"
        case "password-unknown":
            return code == "encrypted"
    return code not in {"crashed", "killed", "memory", "hung", "garbage", "bug"}


def pdfs(most: int) -> None:
    """pypdf, its layout mode and PDFium where a reference text is there: the corpora's, and the samples' sources."""
    cases = []
    for line in (CORPORA / "manifest.jsonl").read_text("utf-8").splitlines():
        entry = json.loads(line)
        if "ref_text" in entry and entry["file"].endswith(".pdf"):
            cases.append((CORPORA / entry["file"], (CORPORA / entry["ref_text"]).read_text("utf-8")))
    for source in sorted((ROOT / "tests/samples/sources").glob("*.html")):
        named = re.search(rb"samples/[\w/-]+\.pdf", source.read_bytes())
        if named is not None:
            cases.append((ROOT / named[0].decode(), html.text_of(source.read_bytes(), source.name)))
    print(f"| PDF | {' | '.join(f'{way}: words, pairs' for way in WAYS)} |\n|---|{'---|' * len(WAYS)}")
    pages, seconds = Counter[str](), Counter[str]()
    with closing(Worker(pdf_texts, name="benchmark reader", timeout=TIMEOUT, memory=MEMORY)) as worker:
        for path, text in cases[:most]:
            try:
                answers = worker.ask(str(path))
            except NightdeskError as error:
                print(f"| {path.name} | {getattr(error, 'code', 'failed')} | | |")
                continue
            reference = words(text)
            cells = [
                f"{100 * share(list(reference), list(found)):.0f}, {100 * share(pairs(reference), pairs(found)):.0f}"
                for found in (words(text) for text, _, _ in answers)
            ]
            print(f"| {path.name} | {' | '.join(cells)} |")
            for way, (_, count, took) in zip(WAYS, answers, strict=True):
                pages[way] += count
                seconds[way] += took
    print(f"| pages a second | {' | '.join(f'{pages[way] / max(seconds[way], 1e-9):.1f}' for way in WAYS)} |")


def speed(most: int) -> None:
    """Pages a second by format with one process and two, and the most memory that a child of the format held.

    A format of few files reads them again and again; the first page of a picture is one for OCR.
    """
    files: dict[str, list[Path]] = defaultdict(list)
    entries = map(json.loads, (CORPORA / "manifest.jsonl").read_text("utf-8").splitlines())
    sound = [CORPORA / entry["file"] for entry in entries if entry["expect"] == "text"]
    known = readers.suffixes()
    for path in (*sorted((ROOT / "samples").rglob("*.*")), *sound):
        if path.suffix.lower() in known:
            files[readers.version(str(path)).split()[0]].append(path)
    print("| format | files | pages read | pages a second, one process | two | most memory, MB |")
    print("|---|---|---|---|---|---|")
    pictures = files.pop("pictures", [])
    for name, paths in sorted(files.items()):
        some = paths[:most]
        again = [Request(str(path)) for path in itertools.islice(itertools.cycle(some), max(len(some), _QUESTIONS))]
        _speed_row(name, len(some), pages_read, again, TIMEOUT)
    if (tesseract := ocr.find()) is not None:
        scans = [OcrRequest(str(path), 1, tesseract) for path in pictures[:most]]
        _speed_row(f"pictures, OCR ({tesseract.version})", len(scans), pages_recognised, scans, ocr.TIMEOUT)
    print("The start of the children counts, as it does in a run.")


def _speed_row(
    name: str, files: int, work: Callable[[Any], tuple[int, int]], requests: Sequence[object], timeout: float
) -> None:
    rates, peak, pages = [], 0, 0
    for workers in (1, 2):
        start = time.perf_counter()
        limits = {"timeout": timeout, "memory": MEMORY, "workers": workers}
        answers = [found for _, found in map_ordered(work, requests, name="benchmark reader", **limits)]
        seconds = time.perf_counter() - start
        read_ones = [found for found in answers if isinstance(found, tuple)]
        pages = sum(count for count, _ in read_ones)
        peak = max([peak, *(memory for _, memory in read_ones)])
        rates.append(pages / seconds)
    print(f"| {name} | {files} | {pages} | {rates[0]:.1f} | {rates[1]:.1f} | {peak} |")


def small(most: int) -> None:
    """What the child process costs a small file: its start once, then each question."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.txt" for number in range(min(most, 1000))]
        for number, path in enumerate(paths):
            path.write_text(f"Receipt {number}\nTotal 12.50\n", "utf-8")
        answer(Request(str(paths[0])))  # imports what reads it
        here = [_seconds(lambda path=path: answer(Request(str(path)))) for path in paths]
        with closing(Worker(answer, name="benchmark reader", timeout=TIMEOUT, memory=MEMORY)) as worker:
            first = _seconds(lambda: worker.ask(Request(str(paths[0]))))
            there = [_seconds(lambda path=path: worker.ask(Request(str(path)))) for path in paths]
    print(f"A text of two lines, {len(paths)} files, medians: {1000 * statistics.median(here):.2f} ms in this process,")
    print(f"{1000 * statistics.median(there):.2f} ms in a child; its start and first answer took {first:.2f} s.")


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


TABLES: dict[str, Callable[[int], None]] = {"corpora": corpora, "pdfs": pdfs, "speed": speed, "small": small}


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], metavar="|".join(TABLES))
    parser.add_argument("--files", type=int, default=1_000_000, metavar="N")
    given = parser.parse_args()
    for name in given.tables or TABLES:
        TABLES[name](given.files)
        print()


if __name__ == "__main__":
    from tests.benchmarks import reading  # children import what they call, and cannot from __main__

    reading.main()

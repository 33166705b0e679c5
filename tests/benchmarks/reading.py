"""What the readers get out of files that nobody here wrote, and pypdf beside its layout mode and PDFium. Shares only.

    python -m tests.benchmarks.reading            both tables; NIGHTDESK_TEST_DATA names the folder with corpora/

A file is as expected where `tests/readers/test_corpora.py` would let it pass without its list of known gaps. Words are
runs of letters and digits, folded in case and form; a word found n times counts n times. Word pairs are two
neighbouring words: a text in the wrong reading order has the words and not the pairs.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import unicodedata
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path

import pypdf
import pypdfium2

from pipeline import readers
from pipeline.data import Document
from pipeline.errors import NightdeskError, ReadError
from pipeline.readers import ReadOptions, html
from pipeline.readers.request import MEMORY, TIMEOUT
from pipeline.supervise import Worker

CORPORA = Path(os.environ.get("NIGHTDESK_TEST_DATA", ".")) / "corpora"
ROOT = Path(__file__).resolve().parents[2]
DEEPEST = 8


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


def pdf_texts(path: str) -> tuple[str, str, str]:
    """What pypdf, pypdf's layout mode and PDFium give. Runs in a child with limits."""
    reader = pypdf.PdfReader(path)
    if reader.is_encrypted:
        reader.decrypt("")
    plain = "\n".join(page.extract_text() for page in reader.pages)
    layout = "\n".join(page.extract_text(extraction_mode="layout") for page in reader.pages)
    document = pypdfium2.PdfDocument(path)
    return plain, layout, "\n".join(page.get_textpage().get_text_range() for page in document)


def corpora() -> None:
    """The table by category."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    found: dict[str, list[float]] = defaultdict(list)
    with closing(Worker(read, name="benchmark reader", timeout=TIMEOUT, memory=MEMORY)) as worker:
        for line in (CORPORA / "manifest.jsonl").read_text("utf-8").splitlines():
            entry = json.loads(line)
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


def pdfs() -> None:
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
    ways = ("pypdf", "pypdf, layout", "PDFium")
    print(f"| PDF | {' | '.join(f'{way}: words, pairs' for way in ways)} |\n|---|{'---|' * len(ways)}")
    with closing(Worker(pdf_texts, name="benchmark reader", timeout=TIMEOUT, memory=MEMORY)) as worker:
        for path, text in cases:
            try:
                texts = worker.ask(str(path))
            except NightdeskError as error:
                print(f"| {path.name} | {getattr(error, 'code', 'failed')} | | |")
                continue
            reference = words(text)
            cells = [
                f"{100 * share(list(reference), list(found)):.0f}, {100 * share(pairs(reference), pairs(found)):.0f}"
                for found in map(words, texts)
            ]
            print(f"| {path.name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    corpora()
    print()
    pdfs()

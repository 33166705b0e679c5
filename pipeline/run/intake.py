"""Files -> Documents in the store: look at each file, read what is new or has changed, cut it into chunks.

A file whose size and time are those of the ledger is not opened. The same bytes under two names are read once, under
one whose suffix fits. A file that cannot be read becomes a Failure and costs nothing else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from pipeline import readers
from pipeline.chunking import chunk
from pipeline.data import Document, Failure, fingerprint
from pipeline.errors import ChildError, NightdeskError, ReadError
from pipeline.models import TokenizerLike
from pipeline.prompting import Options
from pipeline.readers import ReadOptions
from pipeline.readers.request import MEMORY, TIMEOUT, Request, answer
from pipeline.run.events import Event, Failed, FileRead, Looked
from pipeline.run.nesting import Place
from pipeline.run.scans import Scan, Scans
from pipeline.run.texts import Texts
from pipeline.store import FileRow, ReadAs, Store
from pipeline.supervise import Worker, map_ordered

CHUNKING = "1"  # goes up when the same document would be cut elsewhere
_BLOCK = 1 << 20
_PAGES_AT_ONCE = 200  # scanned pages that wait for each other before they are read

Attempt = tuple[Request, Document | NightdeskError]


class Intake:
    """One run's reading. `written` are the files that the run itself writes: no documents, wherever they lie."""

    def __init__(
        self,
        store: Store,
        texts: Texts,
        scans: Scans,
        run_id: int,
        *,
        options: ReadOptions,
        workers: int,
        written: Collection[Path],
    ) -> None:
        self._store = store
        self._texts = texts
        self._scans = scans
        self._waiting: list[tuple[Place, Scan]] = []
        self._workers = workers
        self._run_id = run_id
        self._options = options
        self._written = written
        self._readers = readers.current()

    def look(self, tasks: Sequence[tuple[str, Sequence[Path]]], limit: int | None) -> Iterator[Event]:
        """Bring the ledger up to date, link files to tasks, and read what must be read.

        With `limit`, this many files are drawn at random for each task and nothing is taken for gone.
        """
        unread: dict[str, list[str]] = {}  # by bytes: a path for each reader that their names ask for
        renamed: dict[str, str] = {}  # read, but not by the reader that this path asks for
        closed: list[str] = []  # what could not be looked into; nothing below is taken for gone
        found = files = unchanged = 0
        for task, inputs in tasks:
            paths: Iterable[Path] = readers.walk(inputs, self._written)
            if limit is not None:
                everything = list(paths)
                found += len(everything)
                paths = random.sample(everything, min(limit, len(everything)))
            for batch in _batches(paths, 1000):
                rows = []
                for path in batch:
                    known, row, failure = self._row(path)
                    files += 1
                    unchanged += known
                    rows.append(row)
                    if failure is not None:
                        closed.append(row.path)
                        if not self._store.failed_out(row.path, "read"):
                            yield self.fail(failure)
                self._store.save_files(self._run_id, rows)
                self._store.link_inputs(self._run_id, task, [row.path for row in rows])
                for name, sha256 in ((_absolute(path), row.sha256) for path, row in zip(batch, rows, strict=True)):
                    if sha256 is None or self._read_in_vain(name):
                        continue
                    read_by = self._read_by(name, sha256)
                    if read_by is not None:
                        if _reader(name) != read_by:
                            renamed.setdefault(sha256, name)
                    elif not self._failed_alike(name, sha256):
                        names = unread.setdefault(sha256, [])
                        if _reader(name) not in map(_reader, names):
                            names.append(name)
                            names.sort(key=_is_unknown)
        gone = 0
        if limit is None:
            roots = [_absolute(path) for _, inputs in tasks for path in inputs]
            gone = self._store.mark_gone(self._run_id, [root for root in roots if not _is_closed(root, closed)])
        for sha256, name in renamed.items():
            if self._store.reader_version(sha256) not in map(_reader, self._store.names(sha256)):
                unread.setdefault(sha256, [name])  # the name under which it was read is gone
        yield Looked(found if limit is not None else files, files, unchanged, len(unread), gone)
        if unread:
            yield from self._read_all(unread)

    def cut(self, task: str, chunking_id: str, options: Options, tokenizer: TokenizerLike) -> Iterator[Event]:
        """Cut the task's documents that were not yet cut this way."""
        for sha256 in self._store.unchunked(task, chunking_id, run_id=self._run_id):
            try:
                document = self._texts.document(sha256)
            except ReadError as error:
                yield self._fail_reading(self._store.path_of(sha256), error, sha256)
                continue
            chunks = chunk(document, budget=options.chunk_tokens, overlap=options.overlap, count=tokenizer.count)
            if chunks:
                self._store.save_chunks(sha256, chunking_id, chunks)
                continue
            message = "The document has no text to extract from."
            yield self.fail(Failure(self._store.path_of(sha256), "chunk", "empty", message, document=sha256, task=task))

    def fail(self, failure: Failure) -> Failed:
        """Enter a failure."""
        return Failed(failure, self._store.save_failure(self._run_id, failure))

    def _row(self, path: Path) -> tuple[bool, FileRow, Failure | None]:
        """The file as it is now, and whether the ledger knew it so."""
        name = _absolute(path)
        try:
            stat = path.stat()
            known = self._store.file(name)
            if known and known.sha256 and (known.size, known.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
                return True, known, None
            return False, FileRow(name, None, path.name, stat.st_size, stat.st_mtime_ns, _hash(path)), None
        except OSError as error:
            message = f"{path} cannot be opened: {error.strerror}"
            hint = "Check that the file is there and that you may read it."
            failure = Failure(name, "read", "unreadable", message, hint)
            return False, FileRow(name, None, path.name, 0, 0, None), failure

    def _read_by(self, path: str, sha256: str) -> str | None:
        """Which reader read its bytes, under whatever name; None unless they and what they hold need no reading now."""
        held = list(self._store.read_as(path, self._run_id))
        if not all(map(self._is_current, held)):
            return None
        return next(was.reader_version for was in held if was.sha256 == sha256)

    def _is_current(self, was: ReadAs) -> bool:
        return (
            was.reader_version in self._readers
            and was.changes in ("", self._options.changes)
            and was.whole
            and not (was.scanned and not self._scans.is_current(was.sha256))
        )

    def _read_in_vain(self, path: str) -> bool:
        return self._store.read_in_vain(path, self._run_id, passwords=bool(self._options.passwords))

    def _failed_alike(self, path: str, sha256: str) -> bool:
        """Whether the same reader has read these bytes in vain under another name."""
        alike = (name for name in self._store.names(sha256) if name != path and _reader(name) == _reader(path))
        return any(map(self._read_in_vain, alike))

    def _read_all(self, files: Mapping[str, Sequence[str]]) -> Iterator[Event]:
        """Read files, given by their sha256 as the paths of equal bytes, in worker processes with limits, in order.

        A worker that is lost costs its file only.
        """
        requests = (Request(paths[0], options=self._options, sha256=sha256) for sha256, paths in files.items())
        answers = map_ordered(answer, requests, name="reader", timeout=TIMEOUT, memory=MEMORY, workers=self._workers)
        with closing(Worker(answer, name="attachment reader", timeout=TIMEOUT, memory=MEMORY)) as attachments:
            for paths, first in zip(files.values(), answers, strict=True):
                request, outcome = self._under_another_name(paths, first, attachments)
                row = self._store.file(request.name)
                if isinstance(outcome, NightdeskError):
                    yield self._fail_reading(request.name, outcome, None if row is None else row.sha256)
                else:
                    place = Place(request.name, 0 if row is None else row.mtime_ns)
                    yield from self._take(outcome, place, request, attachments)
                yield FileRead(request.name)
                if sum(len(scan.pages) for _, scan in self._waiting) >= _PAGES_AT_ONCE:
                    yield from self._read_scans(attachments)
            yield from self._read_scans(attachments)

    def _under_another_name(self, paths: Sequence[str], first: Attempt, reader: Worker[Request, Document]) -> Attempt:
        """What came of the first path; where that is an error, of the first other path that gives a document."""
        if isinstance(first[1], ReadError | ChildError):
            for path in paths[1:]:
                request = dataclasses.replace(first[0], name=path)
                with suppress(ReadError, ChildError):
                    return request, reader.ask(request)
        return first

    def _take(
        self, document: Document, place: Place, request: Request, reader: Worker[Request, Document]
    ) -> Iterator[Event]:
        """Keep a document, or let it wait for OCR."""
        if self._scans.wants(document):
            self._waiting.append((place, Scan(document, request)))
        else:
            yield from self._keep(document, place, reader)

    def _read_scans(self, reader: Worker[Request, Document]) -> Iterator[Event]:
        """Read what waits for OCR, and what waits once that was read."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            places = iter(waiting)
            for event in self._scans.read([scan for _, scan in waiting]):
                if not isinstance(event, tuple):
                    yield event
                    continue
                (place, scan), outcome = next(places), event[1]
                if isinstance(outcome, NightdeskError):
                    yield self._fail_reading(place.path, outcome, scan.document.sha256)
                else:
                    yield from self._keep(outcome, place, reader)

    def _keep(self, document: Document, place: Place, reader: Worker[Request, Document]) -> Iterator[Event]:
        """Save a document, then read its attachments as documents of their own."""
        try:
            place.held.add(document.attachments, place.path)
        except ReadError as error:
            yield self._fail_reading(place.path, error, document.sha256)
            return
        holds_only = not document.text.strip()
        rows = [
            FileRow(
                f"{place.path}!/{i}",
                place.path,
                a.name,
                len(a.content),
                place.mtime_ns,
                hashlib.sha256(a.content).hexdigest(),
            )
            for i, a in enumerate(document.attachments, start=1)
        ]
        if not holds_only:
            self._texts.remember(document)
        with self._store.atomic():  # a mail that counts as read has its attachments in the ledger
            self._store.save_document(
                self._run_id, dataclasses.replace(document, text="", pages=(), places=()) if holds_only else document
            )
            self._store.save_attachments(self._run_id, document.sha256, place.path, rows)
        for row, attachment in zip(rows, document.attachments, strict=True):
            if row.sha256 is None or self._read_in_vain(row.path):
                continue
            request = Request(attachment.name, attachment.content, self._options)
            try:
                within = place.inner(row.path)
                inner = reader.ask(request)
            except NightdeskError as error:
                if self._read_by(row.path, row.sha256) is None:
                    yield self._fail_reading(row.path, error, row.sha256)
            else:
                yield from self._take(inner, within, request, reader)

    def _fail_reading(self, subject: str, error: NightdeskError, sha256: str | None) -> Failed:
        if not isinstance(error, ReadError | ChildError):
            raise error
        if error.code == "changed":
            self._store.doubt_file(subject)
        failure = Failure(subject, "read", error.code, error.message, error.hint, document=sha256)
        return self.fail(failure)


def chunking_id(options: Options, tokenizer: TokenizerLike) -> str:
    """Names a way of cutting: the same for the same budget, overlap and tokenizer."""
    return fingerprint("chunking", CHUNKING, tokenizer.fingerprint, options.chunk_tokens, options.overlap)


def _reader(name: str) -> str | None:
    """Which reader, in which version, reads a file of this name; None where none does."""
    try:
        return readers.version(name)
    except ReadError:
        return None


def _is_unknown(name: str) -> bool:
    return _reader(name) is None


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links


def _is_closed(root: str, closed: Sequence[str]) -> bool:
    """Whether something at or below this input could not be opened."""
    return any(path == root or path.startswith(root.rstrip(os.sep) + os.sep) for path in closed)


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _batches(paths: Iterable[Path], size: int) -> Iterator[list[Path]]:
    batch: list[Path] = []
    for path in paths:
        batch.append(path)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch

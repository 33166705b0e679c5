"""What a run tells while it goes. `pipeline.cli` draws it; tests read it. No event holds document text."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.data import Counts, Failure


@dataclass(frozen=True, slots=True)
class Opened:
    """The run may begin: the model, the tasks and the database are in order."""

    run_id: int
    model: str
    shape: str  # slots, cells, threads in words; empty when no model is loaded


@dataclass(frozen=True, slots=True)
class Looked:
    """The input files were compared with the ledger."""

    found: int  # before a sample was drawn
    files: int
    unchanged: int
    to_read: int
    gone: int


@dataclass(frozen=True, slots=True)
class FileRead:
    """One more file was read, or could not be."""

    path: str


@dataclass(frozen=True, slots=True)
class ModelChanged:
    """Documents of this run have rows that another model made. `kept`: they are not asked about again."""

    task: str
    old: str
    old_sha256: str
    new: str
    new_sha256: str
    documents: int
    kept: bool


@dataclass(frozen=True, slots=True)
class PageDone:
    """OCR read one more page, or could not."""

    path: str
    page: int
    pages: int  # of the document


@dataclass(frozen=True, slots=True)
class Planned:
    """What one task has to do."""

    task: str
    documents: int  # that belong to the task in this run
    current: int  # of these, with a record that nothing has changed since
    work: int  # chunks to ask about, equal texts counted once
    tokens: int  # in these chunks
    prefix: int  # tokens shared by all prompts of the task
    frame: int  # tokens of a prompt beside its chunk
    document_first: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """One more piece of work is done. `tokens` is the size of its chunk."""

    task: str
    tokens: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class Recorded:
    """A document's row was written. `complete` is False where a chunk failed, a page had no text or a field was cut.

    What else of it needs a person's eye is counted.
    """

    task: str
    document: str
    complete: bool
    not_found: int = 0  # values that stand nowhere in the document
    from_example: int = 0  # values that stand only in the task's examples
    short: int = 0  # lists that may have lost items


@dataclass(frozen=True, slots=True)
class Failed:
    """Something was entered in `failures`. `tries` counts this one."""

    failure: Failure
    tries: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of a run, for a person or a program. Counts of documents are summed over tasks."""

    run_id: int
    state: str  # done, failures, stopped, interrupted, planned (a dry run)
    documents: int = 0
    done: int = 0
    failed: int = 0
    current: int = 0  # skipped, because nothing changed
    gone: int = 0
    left: int = 0  # pieces of work that were not begun
    left_alone: int = 0  # failures of earlier runs that are not tried again on their own
    unread: int = 0  # files that were not reached, where the run was stopped while it read
    reason: str = ""  # what ended the night before the work did
    paused: float = 0.0  # seconds that it waited for the mains or for other programs
    counts: Counts = Counts()
    decode_calls: int = 0
    seconds: float = 0.0  # of extracting
    expected_seconds: float | None = None  # of what is left, from measured speed
    plans: tuple[Planned, ...] = field(default=())


Event = Opened | Looked | FileRead | PageDone | ModelChanged | Planned | Answered | Recorded | Failed | Summary

"""What flows through a run, each type frozen: Document -> Chunk -> Prompt -> Completion -> Extraction -> Record.

Offsets are characters (Python str indices) into `Document.text`, half-open. Hashes are lower-case sha256 hex.
This module knows no room, no model and no database.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Changes = Literal["final", "original", "all"]
"""Which text of a document with tracked changes is read: with all of them, with none, or both with marks."""


def fingerprint(*parts: object) -> str:
    """sha256 over the canonical JSON of `parts`: equal values give equal hashes on every machine."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a document's text with a number a person knows it by (counted from 1)."""

    number: int
    start: int
    end: int
    note: str = ""  # what was lost on this page: "no text layer", "garbage text layer", "unreadable"


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a document's text by the name a person finds it by: `page 3`, `Costs!A5:D5`, `quoted`."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word that OCR read, at `text[start:end]` of its document.

    Its box counts from the top left corner of the page, in points of a PDF's page and pixels of a picture.
    """

    page: int
    start: int
    end: int
    x0: float
    y0: float
    x1: float
    y1: float
    confidence: float  # 0 to 1, as Tesseract says


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file inside a file. `name` is for display and for its suffix only; it is never used as a path."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Document:
    """One file, read. `pages` cover `text` in order; a format without pages has one.

    `pages` are where a text may be cut and what was lost there; `places`, in order and apart, are what a person calls
    a stretch of it. Text outside all places has no name but its offset.
    """

    sha256: str  # of the file's bytes
    text: str = field(repr=False)
    pages: tuple[Page, ...]
    reader: str
    reader_version: str
    attachments: tuple[Attachment, ...] = ()
    places: tuple[Place, ...] = ()
    ocr: str = ""  # the settings under which its pages without text were read; empty where none was
    words: tuple[Word, ...] = field(default=(), repr=False)  # of those pages
    changes: Changes | Literal[""] = ""  # how its tracked changes were read; empty where it has none


@dataclass(frozen=True, slots=True)
class Chunk:
    """A place in a document: `document.text[start:end] == text`."""

    document: str  # sha256
    index: int
    start: int
    end: int
    text: str = field(repr=False)
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a prompt. Equal hash means equal tokens. A leading run of `shared` segments is decoded once.

    `lasting`: the same in every run and none of a document's text, so that it may be kept on disk.
    """

    tokens: tuple[int, ...]
    hash: str
    shared: bool = False
    lasting: bool = False

    @classmethod
    def of(cls, tokens: Sequence[int], *, shared: bool = False, lasting: bool = False) -> Segment:
        """A segment of these token ids."""
        return cls(tuple(tokens), fingerprint(list(tokens)), shared, lasting)


@dataclass(frozen=True, slots=True)
class Thought:
    """Free text that a reasoning model may write before its answer. `tag` closes it; `after` follows the tag."""

    budget: int  # tokens before the tag
    tag: tuple[int, ...]
    after: tuple[int, ...] = ()

    @property
    def most(self) -> int:
        """Tokens that it takes at most, tag and what follows included."""
        return self.budget + len(self.tag) + len(self.after)


@dataclass(frozen=True, slots=True)
class ConstraintSpec:
    """What an answer must be: canonical JSON Schema text and, where fields point into it, the chunk's text.

    With a `thought`, what comes before the answer.
    """

    schema: str
    source: str | None = field(default=None, repr=False)
    thought: Thought | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to the model. It pickles, so it may cross to a child process."""

    work_key: str
    segments: tuple[Segment, ...] = field(repr=False)
    constraint: ConstraintSpec
    max_tokens: int  # budget of the answer
    temperature: float = 0.0
    seed: int = 0

    @property
    def length(self) -> int:
        """Prompt tokens, shared ones included."""
        return sum(len(segment.tokens) for segment in self.segments)

    @property
    def most_output(self) -> int:
        """Tokens that may be written behind the prompt: thought and answer."""
        thought = self.constraint.thought
        return self.max_tokens + (thought.most if thought else 0)


class Stop(enum.StrEnum):
    """Why an answer ended."""

    END = "end"
    LENGTH = "length"
    TOO_LONG = "too_long"  # the prompt never fitted
    GRAMMAR = "grammar"  # the grammar could not be compiled for this text, or gave up on the answer
    POISON = "poison"  # the engine died each time this was in it, at last with nothing beside it
    SERVER = "server"  # a server gave no answer to this, or none that can be read, and does answer others


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens by how they were paid for."""

    prefilled: int = 0  # prompt tokens evaluated for this item
    reused: int = 0  # prompt tokens that were in the KV cache already
    forced: int = 0  # output tokens that the grammar left no choice about
    sampled: int = 0  # output tokens chosen from logits
    drafted: int = 0  # tokens that were decoded on the guess that they come next
    accepted: int = 0  # of these, the ones that came; they are among the sampled and forced ones

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.prefilled + other.prefilled,
            self.reused + other.reused,
            self.forced + other.forced,
            self.sampled + other.sampled,
            self.drafted + other.drafted,
            self.accepted + other.accepted,
        )


@dataclass(frozen=True, slots=True)
class Completion:
    """What the engine answers. `logprobs[i]` belongs to `tokens[i]` (0.0 for a forced one); natural logarithms.

    `removed[i]` is the share of probability that the grammar's mask took away at that token (0.0 for a forced one).
    `gaps[i]` is the distance between the two best allowed logits (inf for a forced one or an only choice).
    `thought` is what a reasoning model wrote before the answer; it is in `counts` and in nothing else.
    """

    work_key: str
    tokens: tuple[int, ...] = field(repr=False)
    logprobs: tuple[float, ...] = field(repr=False)
    removed: tuple[float, ...] = field(repr=False)
    gaps: tuple[float, ...] = field(repr=False)
    counts: Counts
    stop: Stop
    thought: tuple[int, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Extraction:
    """A validated answer. `values` follows the schema; what the budget cut is None and its path is in `cut`.

    `samples` are the values of further answers to the same question, drawn beside it (`Sampling.samples`).
    """

    work_key: str
    values: Mapping[str, object] = field(repr=False)
    cut: tuple[str, ...] = ()
    samples: tuple[Mapping[str, object], ...] = field(default=(), repr=False)


class Found(enum.StrEnum):
    """How a value was found in its document, best first."""

    GENERATED = "generated"  # a choice, a yes or no, a summary: the model's own words, which nobody looks for
    POINTED = "pointed"  # the grammar allowed nothing else
    EXACT = "exact"
    FOLDED = "folded"  # after folding white space, case, hyphenation, Unicode forms
    FUZZY = "fuzzy"
    FROM_EXAMPLE = "from_example"  # stands only in the task's examples
    NOT_FOUND = "not_found"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where one value stands. `path` is like `total` or `items[2].price`; offsets are None where it was not found."""

    path: str
    quote: str = field(repr=False)
    found: Found
    start: int | None = None
    end: int | None = None
    page: int | None = None
    occurrences: int = 0
    confidence: float | None = None
    place: str | None = None  # the name of the stretch in which it begins, as `Place.label`


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A place on a page as it is shown, from its top left corner, in points (1/72 inch); on a picture, in pixels."""

    page: int
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two chunks gave different values for one field; `kept` was chosen. The quote of a list has a line for each of its
    values. A value that stands nowhere has none; enumerations and booleans are the model's own words."""

    path: str
    kept: object = field(repr=False)
    other: object = field(repr=False)
    chunk: int
    kept_quote: str = field(default="", repr=False)
    other_quote: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ShortList:
    """A list of a record that may have lost items, and what speaks for it."""

    path: str
    reason: str


class Completeness(enum.StrEnum):
    """Whether a record rests on all of its document."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"  # a chunk failed, a page had no text, or a field was cut


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a task's table: the answers of all chunks of one document, merged."""

    document: str
    task: str
    values: Mapping[str, object] = field(repr=False)
    state: Completeness = Completeness.COMPLETE
    cut: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    short: tuple[ShortList, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """One document or work item that could not be done. Contains no document text."""

    subject: str  # a path, or "<path> chunk 3"
    stage: str  # read, chunk, prompt, decode, answer
    error: str  # a stable word: "encrypted", "PromptTooLong"
    message: str
    hint: str = ""
    document: str | None = None  # sha256 of the file, where it could be read
    work_key: str | None = None
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A tokenizer's tokens as bytes. Tokens that must never occur in an answer have an empty piece.

    `encode` tokenises text bytes without special tokens; `eog` are the ids that end a generation.
    """

    pieces: tuple[bytes, ...] = field(repr=False)
    eog: frozenset[int]
    encode: Callable[[bytes], list[int]] = field(repr=False, compare=False)
    bos: int | None = None

    def decode(self, tokens: Sequence[int]) -> bytes:
        """The bytes of these tokens, special ones left out."""
        return b"".join(self.pieces[token] for token in tokens)

"""The model of a run: found, checked, its tokenizer loaded; the engine is started when there is work for it."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

import psutil

from pipeline.config import EngineSettings
from pipeline.data import Vocabulary
from pipeline.engines import Engine
from pipeline.engines.batched import HOLDERS, Batched
from pipeline.engines.naive import Naive
from pipeline.engines.scripted import Scripted
from pipeline.engines.shape import FORK_CELLS, Machine, resolve
from pipeline.grammars import Grammar
from pipeline.models import TokenizerLike
from pipeline.models.byte_tokenizer import ByteTokenizer
from pipeline.models.gguf import check_model
from pipeline.models.locate import find_model, sha256_of
from pipeline.models.tokenizer import Tokenizer

SCRIPTED = "scripted"
"""A model name for rehearsals and tests: no weights, answers are noise that the grammar allows."""


class Model(Protocol):
    """What a run needs of a model before it loads weights."""

    name: str
    sha256: str
    tokenizer: TokenizerLike
    context: int  # tokens of one sequence at most

    def start(self, settings: EngineSettings, *, prefix: int, longest: int, ranked: bool) -> tuple[Engine, str]:
        """Load the weights. `prefix` and `longest` are in tokens, see `engines.shape.resolve`."""
        ...


def open_model(name: str) -> Model:
    """Find and check the model. Raises ModelFileError."""
    return ScriptedModel() if name == SCRIPTED else FileModel(name)


def grammar(name: str, vocabulary: Vocabulary) -> Grammar:
    """The member of the grammar room of this name."""
    module = importlib.import_module(f"pipeline.grammars.{name}")
    return cast(Grammar, module.Engine(vocabulary))


def machine() -> Machine:
    """This machine, now."""
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    allowed = len(psutil.Process().cpu_affinity() or [0] * cores) if hasattr(psutil.Process, "cpu_affinity") else cores
    return Machine(min(cores, allowed), psutil.virtual_memory().available)


class FileModel:
    """A GGUF file."""

    def __init__(self, name: str) -> None:
        self._path = find_model(name)
        self._header = check_model(self._path)
        self.name = str(self._path)
        self.sha256 = sha256_of(self._path)
        self.tokenizer: TokenizerLike = Tokenizer.load(self._path)
        self.context = self._header.context_length or 4096

    def start(self, settings: EngineSettings, *, prefix: int, longest: int, ranked: bool) -> tuple[Engine, str]:
        """See Model. Raises ModelDoesNotFit or ModelFileError."""
        from pipeline.engines.llama import Llama

        shape = resolve(settings.shape, self._header, machine(), prefix=prefix, longest=longest, ranked=ranked)
        compile = grammar(settings.grammar, self.tokenizer.vocabulary).compile
        backend = Llama(self._path, shape.sizes)
        sizes = shape.sizes
        words = f"{sizes.cells:,} cells of {sizes.kv_type}, {sizes.threads} threads"
        if settings.engine == "naive":
            return Naive(backend, compile), f"naive, {words}"
        engine = Batched(
            backend,
            compile,
            slots=shape.slots,
            forks=shape.forks,
            fork_cells=shape.fork_cells,
            forced_tokens=settings.shape.forced_tokens,
        )
        return engine, f"{shape.slots} slots, {words}"


class ScriptedModel:
    """See SCRIPTED."""

    name = SCRIPTED
    sha256 = "0" * 64
    context = 1 << 20

    def __init__(self) -> None:
        self.tokenizer: TokenizerLike = ByteTokenizer()

    def start(self, settings: EngineSettings, *, prefix: int, longest: int, ranked: bool) -> tuple[Engine, str]:  # noqa: ARG002
        """See Model."""
        vocabulary = self.tokenizer.vocabulary
        compile = grammar(settings.grammar, vocabulary).compile
        slots = min(settings.shape.slots or 8, 24)
        cells = prefix + slots * longest + FORK_CELLS
        backend = Scripted(vocabulary, cells=cells, max_sequences=64)
        if settings.engine == "naive":
            return Naive(backend, compile), "scripted, naive"
        forks = 64 - HOLDERS - slots
        engine = Batched(
            backend,
            compile,
            slots=slots,
            forks=forks,
            fork_cells=FORK_CELLS,
            forced_tokens=settings.shape.forced_tokens,
        )
        return engine, f"scripted, {slots} slots"

"""What an engine is made of, in a form that pickles: it is built where it is to run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.engines.batched import Batched
from pipeline.engines.naive import Naive
from pipeline.engines.prefix_cache import Keeping, PrefixCache
from pipeline.engines.scripted import Scripted
from pipeline.engines.shape import Resolved
from pipeline.engines.sizes import Sizes
from pipeline.grammars import grammar
from pipeline.grammars.thinking import with_thoughts
from pipeline.models.byte_tokenizer import ByteTokenizer
from pipeline.models.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine, its grammar library and its shape. `model` None is the scripted backend."""

    model: Path | None
    engine: Literal["batched", "naive"]
    grammar: str
    shape: Resolved
    forced_tokens: bool = True
    drafts: int = 0  # the most answers in a call for which copied continuations are drafted
    adapters: tuple[tuple[Path, float], ...] = ()  # LoRA files and their scales
    prefix_cache: str = ""  # what the files of kept beginnings belong to, see PrefixCache; empty: none are kept
    compile_ahead: bool = True  # waiting prompts' constraints, while the model works; only in a child process
    passive: bool = False  # threads that wait sleep; for a machine that others use too

    @property
    def sizes(self) -> Sizes:
        """Of what is made: the slow twin reads its prompts in the one pool it has."""
        return self.shape.sizes.in_one_pool if self.engine == "naive" else self.shape.sizes

    def build(self) -> Batched | Naive:
        """Load the model and make the engine, in this process. Raises ModelError."""
        vocabulary = ByteTokenizer().vocabulary if self.model is None else Tokenizer.load(self.model).vocabulary
        compile = with_thoughts(grammar(self.grammar, vocabulary).compile, vocabulary)
        sizes = self.sizes
        backend: Keeping
        if self.model is None:
            backend = Scripted(
                vocabulary,
                cells=sizes.cells,
                max_sequences=sizes.max_sequences,
                max_batch=sizes.max_batch,
                max_outputs=sizes.max_outputs,
            )
        else:
            from pipeline.engines import pools

            backend = pools.load(self.model, sizes, self.adapters)
        if self.engine == "naive":
            return Naive(backend, compile, ranked=bool(self.shape.forks))
        return Batched(
            backend,
            compile,
            slots=self.shape.slots,
            forks=self.shape.forks,
            fork_cells=self.shape.fork_cells,
            forced_tokens=self.forced_tokens,
            drafts=self.drafts,
            kept=PrefixCache(backend, self.prefix_cache) if self.prefix_cache else None,
        )

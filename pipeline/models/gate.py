"""What llama.cpp can do with a model of this architecture, decided from the header before anything is loaded.

All are run over one unified pool with full sliding windows (ENGINE.md 1.4, 9). What differs: recurrent layers keep one
state a sequence, so a token cannot belong to several sequences and alternatives cannot be scored as a tree; LongRoPE
has two sets of factors, and llama.cpp takes the long ones when the pool, not the prompt, is larger than the model's
first context. Whether sharing and batches are right with a file is then tested (`engines.self_test`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import ModelFileError
from pipeline.models.gguf import Header

Memory = Literal["attention", "sliding", "recurrent", "hybrid"]

# llama.cpp's llm_arch_is_recurrent, llm_arch_is_hybrid; a test compares them with the library's own answer
RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
HYBRID = frozenset({
    "jamba", "falcon-h1", "plamo2", "granitehybrid", "lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe", "qwen3next",
    "kimi-linear", "bailingmoe3", "kimi-k3", "glm5-next", "qwen35", "qwen35moe", "qwen4exp", "deepseek4", "minimax-01",
})  # fmt: skip
_DIFFUSION = frozenset({"dream", "llada", "llada-moe", "rnd1"})
_ENCODERS = frozenset({
    "bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3", "eurobert",
    "gemma-embedding", "t5", "t5encoder",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gate:
    """What is allowed. `note` says in a few words what is not; empty when all is."""

    memory: Memory
    coupled: bool = True  # a token may belong to several sequences: alternatives are scored as a tree
    first_context: int | None = None  # LongRoPE: prompts up to here are meant for the short factors
    note: str = ""

    @property
    def recurrent(self) -> bool:
        """Whether layers keep a state: llama.cpp has mixed those up, so they are trusted less."""
        return self.memory in ("recurrent", "hybrid")


def gate(header: Header) -> Gate:
    """Decide. Raises ModelFileError for architectures that do not write text token by token."""
    architecture = header.architecture
    if architecture in _ENCODERS or architecture in _DIFFUSION:
        what = "writes all tokens at once" if architecture in _DIFFUSION else "embeds or translates text"
        raise ModelFileError(
            f"{header.path} is of architecture {architecture}, which {what}; it does not continue a prompt.",
            hint="Name a model that writes text: an instruct or chat model.",
        )
    if architecture in RECURRENT or architecture in HYBRID:
        memory: Memory = "recurrent" if architecture in RECURRENT else "hybrid"
        return Gate(memory, coupled=False, note=f"{memory} model: alternatives are not ranked")
    first = header.metadata.get(f"{architecture}.rope.scaling.original_context_length")
    if header.long_rope and isinstance(first, int):
        return Gate("attention", first_context=first)
    return Gate("sliding" if header.sliding_window else "attention")

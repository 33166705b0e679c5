"""The fixed sizes of a llama.cpp context."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pipeline.batching.ranking import MOST_CELLS


@dataclass(frozen=True, slots=True)
class Sizes:
    """The fixed sizes of a context; see Backend for the first four."""

    cells: int
    max_sequences: int
    max_batch: int
    max_outputs: int
    ubatch: int
    threads: int
    kv_type: Literal["f16", "q8_0", "q4_0"] = "f16"
    flash_attention: bool = True  # of the pool of answers; the one for prompts always has it
    gpu_layers: int = 0
    short_rope: bool = False  # LongRoPE: the short factors, however large the pool is
    prefill_cells: int = 0  # of a second, small context, see `pools`; 0: there is none
    comparison_cells: int = 0  # of a third one beside that, for the last MOST_FORKS sequences; 0: there is none

    @property
    def in_one_pool(self) -> Sizes:
        """The same without pools for prompts and comparisons."""
        return replace(
            self,
            cells=self.cells + (MOST_CELLS if self.comparison_cells else 0),
            prefill_cells=0,
            comparison_cells=0,
            flash_attention=self.flash_attention or self.prefill_cells > 0,
        )

    @property
    def computed(self) -> int:
        """Tokens that the pool of answers computes at once: fewer where it holds a score for every cell and few rows
        come to it."""
        return self.ubatch if self.flash_attention or not self.prefill_cells else min(self.ubatch, 64)

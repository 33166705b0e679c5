"""Settings: frozen, checked, defaults in this one place. Passed down, never global.

Settings of shape (slots, threads, batch sizes) change speed, not answers' meaning, and are not part of the work key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Base of every settings model: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sampling(Settings):
    """How tokens are chosen. Part of the work key."""

    temperature: float = Field(0.0, ge=0.0, le=5.0, description="0 is greedy")
    seed: int = Field(0, ge=0, lt=2**32)


class Shape(Settings):
    """How the engine is shaped. None means: chosen from the model's header, the cores and the free memory."""

    slots: int | None = Field(None, ge=1, le=255, description="answers written at the same time")
    context: int | None = Field(None, ge=256, description="KV cells of the pool all slots share")
    threads: int | None = Field(None, ge=1, description="default: physical cores")
    ubatch: int = Field(512, ge=32, description="tokens llama.cpp computes at once")
    flash_attention: bool = True
    kv_type: Literal["f16", "q8_0", "q4_0"] = "f16"
    gpu_layers: int | None = Field(None, ge=-1, description="-1: all; default: what the GPU's free memory holds")
    allow_swap: bool = Field(False, description="start although the memory is too small, and swap")
    forced_tokens: bool = True


class EngineSettings(Settings):
    """Which engine, which grammar library, in which shape."""

    engine: Literal["batched", "naive"] = "batched"
    grammar: Literal["llguidance", "outlines_core", "free"] = "llguidance"
    sampling: Sampling = Sampling()
    shape: Shape = Shape()


class JobTask(Settings):
    """One task of a job file and the files it reads."""

    task: str
    inputs: tuple[Path, ...] = Field(min_length=1)


class Job(Settings):
    """What `nightdesk run` does: these tasks over these inputs with this model into this database."""

    database: Path
    model: str = Field("demo", description="a path, or `demo`")
    tasks: tuple[JobTask, ...] = Field(min_length=1)
    engine: EngineSettings = EngineSettings()
    password: tuple[str, ...] = Field((), description="tried on encrypted PDFs", repr=False)
    limit: int | None = Field(None, ge=1, description="try this many random documents only")

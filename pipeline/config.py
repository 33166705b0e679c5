"""Settings: frozen, checked, defaults in this one place. Passed down, never global.

Settings of shape (slots, threads, batch sizes) change speed, not answers' meaning, and are not part of the work key.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from pipeline.data import Changes
from pipeline.loopback import server_address


class Settings(BaseModel):
    """Base of every settings model: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sampling(Settings):
    """How tokens are chosen. Part of the work key."""

    temperature: float = Field(0.0, ge=0.0, le=5.0, description="0 is greedy")
    seed: int = Field(0, ge=0, lt=2**32)
    samples: int = Field(0, ge=0, le=32, description="further answers, drawn; how many agree is part of the confidence")
    sample_temperature: float = Field(0.7, gt=0.0, le=5.0, description="of the further answers")

    @property
    def words(self) -> str:
        """As it enters the work key. A setting that is off is not named, so it changed no key when it was new."""
        said = f"temperature {self.temperature}, seed {self.seed}"
        return f"{said}, {self.samples} samples at {self.sample_temperature}" if self.samples else said


class Shape(Settings):
    """How the engine is shaped. None means: chosen from the model's header, the cores and the free memory."""

    slots: int | None = Field(None, ge=1, le=255, description="answers written at the same time")
    context: int | None = Field(None, ge=256, description="KV cells of the pool all slots share")
    threads: int | None = Field(None, ge=1, description="of all replicas together; default: physical cores")
    ubatch: int = Field(512, ge=32, description="tokens llama.cpp computes at once")
    batch: int = Field(2048, ge=256, description="most tokens of one call to llama.cpp")
    flash_attention: bool | Literal["prompts"] = Field(True, description='"prompts": for prompts, not for answers')
    kv_type: Literal["f16", "q8_0", "q4_0"] = "f16"
    gpu_layers: int | None = Field(None, ge=-1, description="-1: all; default: what the GPU's free memory holds")
    allow_swap: bool = Field(False, description="start although the memory is too small, and swap")
    forced_tokens: bool = True
    drafts: int = Field(0, ge=0, description="most answers at a time whose copied words are decoded ahead; 0: none")
    replicas: int = Field(1, ge=1, le=32, description="engine processes; fewer where the memory asks for it")
    prefix_cache: bool = Field(False, description="keep the computed beginning of a task's prompts on disk")
    passive: bool = Field(False, description="threads sleep while they wait, for machines that others use too")


def _engine(value: str) -> str:
    if value not in ("batched", "naive"):
        if "://" not in value:
            raise ValueError("expected batched, naive or http://127.0.0.1:PORT")
        server_address(value)
    return value


class EngineSettings(Settings):
    """Which engine, which grammar library, in which shape."""

    engine: Annotated[str, AfterValidator(_engine)] = Field(
        "batched", description="batched, naive, or the address of a server on this machine"
    )
    grammar: Literal["llguidance", "outlines_core", "free"] = "llguidance"
    sampling: Sampling = Sampling()
    shape: Shape = Shape()

    @property
    def server(self) -> tuple[str, int] | None:
        """Host and port of the server that answers, where it is one."""
        return None if self.engine in ("batched", "naive") else server_address(self.engine)

    @property
    def pointed(self) -> bool:
        """Whether a grammar holds extractive fields to the document."""
        return self.grammar == "llguidance" and self.server is None


def _duration(value: object) -> object:
    """`6h`, `90m`, `1h30m`, `45s` or `90d`."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+)s)?\s*", value)
    if found is None or not any(found.groups()):
        raise ValueError("expected a duration such as 6h, 90m or 1h30m")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return datetime.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _time_of_day(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", value):
        raise ValueError("expected a time of day such as 06:00")
    return value.rjust(5, "0") if isinstance(value, str) else value


Duration = Annotated[
    datetime.timedelta,
    BeforeValidator(_duration),
    PlainSerializer(lambda span: f"{span.total_seconds():.0f}s", return_type=str, when_used="json"),
]
"""A time span; text is read as `1h30m`."""
TimeOfDay = Annotated[
    datetime.time,
    BeforeValidator(_time_of_day),
    PlainSerializer(lambda time: f"{time:%H:%M}", return_type=str, when_used="json"),
]
"""A time of day on this machine's clock; text is read as `06:00`."""


class Night(Settings):
    """When a run ends although work is left. None of it changes an answer."""

    until: TimeOfDay | None = None
    max_duration: Duration | None = Field(None, gt=datetime.timedelta(0))
    max_documents: int | None = Field(None, ge=1, description="documents that are begun")
    document_tokens: int | None = Field(None, ge=1, description="of one document and task in one run; the rest waits")
    grace: Duration = Field(datetime.timedelta(minutes=2), description="for what was begun when the night ends")
    only_on_ac: bool = Field(False, description="pause while the machine runs on battery")
    max_load: float | None = Field(None, gt=0, description="pause while more programs than this want to run")
    nice: int | None = Field(None, ge=0, le=19, description="let other programs go first")


class Lora(Settings):
    """A LoRA adapter that is laid over the model. Part of the work key; written `FILE:0.5` or `FILE`."""

    path: Path
    scale: float = Field(1.0, allow_inf_nan=False, description="0 changes nothing, 1 is what it was made for")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        path, colon, scale = value.rpartition(":")
        try:
            return {"path": path, "scale": float(scale)} if colon and path else {"path": value}
        except ValueError:  # the colon belongs to the name
            return {"path": value}


class JobTask(Settings):
    """One task of a job file and the files it reads."""

    task: str
    inputs: tuple[Path, ...] = Field(min_length=1)


OCR_LANGUAGES = r"^[A-Za-z_]{2,}(\+[A-Za-z_]{2,})*$"
"""Tesseract's languages: `por+eng`."""


class Job(Settings):
    """What `nightdesk run` does: these tasks over these inputs with this model into this database."""

    database: Path
    key_from: str | None = Field(None, description="where the database's key is: a file, `keyring` or `prompt`")
    model: str = Field("demo", description="a path, or `demo`")
    model_change: Literal["redo", "keep"] = Field("redo", description="what another model answered before")
    template: str | None = Field(None, description="wins over the tasks' and the model's: a format's name or a file")
    lora: tuple[Lora, ...] = Field((), description="adapters laid over the model, each `FILE:scale`")
    tasks: tuple[JobTask, ...] = Field(min_length=1)
    engine: EngineSettings = EngineSettings()
    night: Night = Night()
    summary: tuple[Path, ...] = Field((), description="files for the summary of a run, .md or .json")
    no_text: bool = Field(False, description="keep neither document text nor quotes: values and offsets only")
    password: tuple[str, ...] = Field((), description="tried on encrypted PDFs", repr=False)
    changes: Changes = Field("final", description="how tracked changes are read: accepted, refused, or all with marks")
    ocr: str = Field(
        "auto",
        pattern=OCR_LANGUAGES,
        description="how scans and photos are read: `off`, `auto`, or Tesseract's languages such as `por+eng`",
    )
    limit: int | None = Field(None, ge=1, description="try this many random documents only")

"""LoRA adapters: checked from their header before llama.cpp sees them. Loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ModelFileError
from pipeline.models.gguf import Header, read_header
from pipeline.models.locate import sha256_of


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter with how strongly it is laid over the model."""

    path: Path
    scale: float
    sha256: str
    size: int  # bytes of its tensors

    @property
    def identity(self) -> str:
        """What it is in a recipe."""
        return f"{self.sha256}:{self.scale:g}"


def check_adapter(path: Path, scale: float, model: Header) -> Adapter:
    """The adapter, when its header says that it was made for this model's architecture. Raises ModelFileError.

    Whether its tensors have the model's shapes is found out by llama.cpp when it loads them.
    """
    path = path.expanduser()
    header = read_header(path)
    if header.kind != "adapter":
        raise ModelFileError(f"{path} is no LoRA adapter.", hint="`nightdesk models inspect FILE` says what a file is.")
    kind = header.metadata.get("adapter.type")
    if kind != "lora" or any(key.startswith("adapter.alora.") for key in header.metadata):
        raise ModelFileError(
            f"{path} is an adapter of another kind than LoRA: {kind!r}.", hint="Merge it into the model instead."
        )
    if header.byte_order != model.byte_order:
        raise ModelFileError(f"{path} has another byte order than {model.path}.", hint="Convert the adapter again.")
    if header.architecture != model.architecture:
        raise ModelFileError(
            f"{path} was made for a model of architecture {header.architecture}; "
            f"{model.path.name} is of architecture {model.architecture}.",
            hint="Name the model that the adapter was made for.",
        )
    return Adapter(path, scale, sha256_of(path), header.tensor_bytes)


def total_bytes(adapters: Sequence[Adapter]) -> int:
    """What they add to the weights in memory."""
    return sum(adapter.size for adapter in adapters)

"""What any model file or folder is, and what to do with it. Opens nothing that could run code.

GGUF headers and safetensors headers are read, with every length checked; a pickle is recognised by its first bytes and
left closed. How safetensors were quantised stands in the config.json beside them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import ModelFileError
from pipeline.models.gguf import Header, read_header
from pipeline.models.quantisation import quality

_LARGEST_JSON = 100 << 20
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PICKLE_NAMES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_CONVERT = "Get the GGUF of this model, or make one with llama.cpp's convert_hf_to_gguf.py."
_REQUANTISE = (
    "It cannot be converted. Get the GGUF of the same model, or convert the original, unquantised safetensors with "
    "llama.cpp's convert_hf_to_gguf.py."
)
_BELONGS = "It works only together with the model it was made for, which is another file."


@dataclass(frozen=True, slots=True)
class Inspection:
    """A verdict about a file. `usable`: Nightdesk can run it."""

    path: Path
    what: str
    advice: str
    usable: bool = False
    facts: dict[str, str] = field(default_factory=dict)
    header: Header | None = field(default=None, repr=False)


def inspect(path: Path) -> Inspection:
    """Say what a file or folder is. Raises ModelFileError only when it is not there or cannot be read."""
    try:
        if path.is_dir():
            return _folder(path)
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(16)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.", hint="Check the path.") from error
    if head[:4] == b"GGUF":
        return _gguf(path)
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and length < size:
        return _safetensors(path, [path])
    if head.startswith(_PICKLES):
        return Inspection(
            path, "a PyTorch pickle", f"It was not opened: loading a pickle may run code in it. {_CONVERT}"
        )
    try:
        read_header(path)
    except ModelFileError as error:
        what = error.message.removeprefix(f"{path} ").rstrip(".")
        doubt = " Files of this name are pickles, which may run code when loaded; it was not opened."
        return Inspection(path, what, error.hint + doubt * (path.suffix.lower() in _PICKLE_NAMES))
    raise AssertionError("read_header took a file that does not begin with GGUF")


def _gguf(path: Path) -> Inspection:
    try:
        header = read_header(path)
    except ModelFileError as error:
        return Inspection(path, f"GGUF, but not whole or not known: {error.message}", error.hint)
    facts = {"architecture": header.architecture, "name": header.name}
    if header.kind == "model":
        facts |= model_facts(header)
        what = f"a GGUF model, {header.quantisation} ({quality(header.quantisation)})"
        return Inspection(path, what, f"Use it: nightdesk run TASK FOLDER --model {path}", True, facts, header)
    advice = {
        "vocabulary": "It holds a tokenizer and no weights: it cannot answer. Name the model file itself.",
        "adapter": f"{_BELONGS} Lay it over that: nightdesk run TASK FOLDER --model MODEL --lora {path}",
        "mmproj": f"{_BELONGS} It lets a model see pictures. Nightdesk reads text and does not need it.",
        "other": "It is no text model. Name a GGUF file that holds one.",
    }[header.kind]
    what = {
        "vocabulary": "a GGUF vocabulary without weights",
        "adapter": "a LoRA adapter (GGUF)",
        "mmproj": "the picture projector (mmproj) of a model (GGUF)",
        "other": f"a GGUF file of type {header.metadata.get('general.type')!r}",
    }[header.kind]
    return Inspection(path, what, advice, False, facts, header)


def model_facts(header: Header) -> dict[str, str]:
    """What a person wants to know of a model, in words."""
    parts = f" in {len(header.files)} parts" if len(header.files) > 1 else ""
    facts = {
        "parameters": short_count(header.parameters),
        "size": f"{header.size / 2**30:.2f} GiB{parts}",
        "trained context": f"{header.context_length:,} tokens" if header.context_length else "not said",
        "chat template": "yes" if header.chat_template else "no: name one in the task, or it is a base model",
    }
    if header.vocabulary_size:
        facts["vocabulary"] = f"{header.vocabulary_size:,} tokens"
    return facts


def short_count(number: int) -> str:
    """`135M`, `3.2B`."""
    if number < 1_000_000:
        return f"{number:,}"
    if number < 1_000_000_000:
        return f"{number / 1e6:.0f}M"
    return f"{number / 1e9:.1f}B" if number < 1e11 else f"{number / 1e9:.0f}B"


def _folder(path: Path) -> Inspection:
    ggufs = sorted(path.glob("*.gguf"))
    if len(ggufs) == 1:
        return _gguf(ggufs[0])
    if ggufs:
        names = ", ".join(file.name for file in ggufs[:8])
        return Inspection(path, f"a folder with {len(ggufs)} GGUF files", f"Name one of them: {names}.")
    if tensors := sorted(path.glob("*.safetensors")):
        return _safetensors(path, tensors)
    if any(file.suffix.lower() in _PICKLE_NAMES for file in path.iterdir()):
        return Inspection(path, "a folder of PyTorch pickles", f"Not opened: pickles may run code. {_CONVERT}")
    return Inspection(path, "a folder without model files", "Name a model file, or see `nightdesk models`.")


def _safetensors(path: Path, files: list[Path]) -> Inspection:
    tensors: dict[str, Any] = {}
    for file in files:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            raw = stream.read(length) if length <= min(_LARGEST_JSON, file.stat().st_size - 8) else b""
        try:
            tensors |= json.loads(raw)
        except ValueError:
            return Inspection(path, "a damaged safetensors file", "Copy or download it again.")
    tensors.pop("__metadata__", None)
    facts = {"tensors": f"{len(tensors):,}", "size": f"{sum(f.stat().st_size for f in files) / 2**30:.2f} GiB"}
    folder = files[0].parent
    if any(".lora_" in name or ".lora." in name for name in tensors) or (folder / "adapter_config.json").exists():
        return Inspection(
            path,
            "a LoRA adapter (safetensors)",
            f"{_BELONGS} Make a GGUF of it with llama.cpp's convert_lora_to_gguf.py, and name that with --lora.",
            facts=facts,
        )
    config = _config(folder)
    model_type = config.get("model_type")
    if isinstance(model_type, str):
        facts["architecture"] = model_type
    method = _quantisation_method(config, tensors)
    if method:
        return Inspection(path, f"a safetensors model, quantised ({method})", _REQUANTISE, facts=facts)
    shapes = (tensor.get("shape", ()) for tensor in tensors.values() if isinstance(tensor, dict))
    facts["parameters"] = short_count(sum(math.prod(shape) for shape in shapes))
    return Inspection(path, "a safetensors model, not quantised", _CONVERT, facts=facts)


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _quantisation_method(config: dict[str, Any], tensors: dict[str, Any]) -> str:
    """GPTQ, AWQ, EXL2 ... as config.json says; without one, as the tensors' names give away."""
    settings = config.get("quantization_config")
    if isinstance(settings, dict):
        method, bits = settings.get("quant_method", "unnamed"), settings.get("bits")
        return f"{str(method).upper()}, {bits} bits" if bits else str(method).upper()
    if isinstance(config.get("quantization"), dict):
        return "MLX"
    if any(name.endswith(".qweight") for name in tensors):
        return "GPTQ or AWQ"
    return ""

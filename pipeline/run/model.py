"""The model of a run: found, checked, its tokenizer loaded; the engine is started when there is work for it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Literal, Protocol, get_args

import psutil

from pipeline.config import EngineSettings, Lora, Shape
from pipeline.data import fingerprint
from pipeline.engines import Engine, self_test
from pipeline.engines.batched import HOLDERS
from pipeline.engines.child import ChildEngine
from pipeline.engines.dry_run import dry_runs, free_vram
from pipeline.engines.replica import PASSIVE
from pipeline.engines.shape import FORK_CELLS, FORKS, Demand, Machine, Resolved, less, resolve, usable
from pipeline.engines.sizes import Sizes
from pipeline.engines.spec import EngineSpec
from pipeline.errors import JobError, ModelDoesNotFit
from pipeline.models import TokenizerLike
from pipeline.models.adapter import check_adapter, total_bytes
from pipeline.models.byte_tokenizer import ByteTokenizer
from pipeline.models.gate import gate
from pipeline.models.gguf import Header, check_model
from pipeline.models.locate import find_adapters, find_model, recall, remember, sha256_of
from pipeline.models.memory import estimate
from pipeline.models.tokenizer import Tokenizer
from pipeline.prompting import PromptBuilder
from pipeline.run import tuned
from pipeline.schema import any_extractive

SCRIPTED = "scripted"
"""A model name for rehearsals and tests: no weights, answers are noise that the grammar allows."""

_VERDICTS: dict[str | None, self_test.Verdict] = {each: each for each in get_args(self_test.Verdict)}
_WORSE = {
    "pool": "self-test: answers change when prompts are read in a pool of their own, so they are not (slower)",
    "alone": "self-test: its answers change when several are written together, so one is written at a time",
    "unshared": "self-test: its answers change when a prompt's beginning is shared, so nothing is (slow)",
}


class Model(Protocol):
    """What a run needs of a model before it loads weights."""

    name: str
    sha256: str
    tokenizer: TokenizerLike
    context: int  # tokens of one sequence at most
    adapters: str  # what is laid over it, as a recipe names it; empty: nothing

    def check_fits(self, builder: PromptBuilder) -> None:
        """Raise ModelDoesNotFit where a task's longest prompt would not fit the context."""
        ...

    def start(self, settings: EngineSettings, demand: Demand) -> tuple[Engine, str]:
        """Load the weights, for at most this demand."""
        ...


def open_model(name: str, lora: Sequence[Lora] = ()) -> Model:
    """Find and check the model and its adapters. Raises ModelFileError."""
    if name != SCRIPTED:
        return FileModel(name, lora)
    if lora:
        raise JobError("The scripted model has no weights to lay an adapter over.", hint="Leave --lora out.")
    return ScriptedModel()


def machine() -> Machine:
    """This machine, now."""
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    allowed = len(psutil.Process().cpu_affinity() or [0] * cores) if hasattr(psutil.Process, "cpu_affinity") else cores
    return Machine(min(cores, allowed), psutil.virtual_memory().available)


def demand_of(builders: Collection[PromptBuilder]) -> Demand:
    """What the tasks of these prompts ask of an engine together."""
    return Demand(
        prefix=sum(len(builder.prefix.tokens) for builder in builders),
        longest=max(builder.most_tokens - len(builder.prefix.tokens) for builder in builders),
        whole=max(builder.most_tokens for builder in builders),
        ranked=any(any_extractive(builder.task.schema.root) for builder in builders),
    )


class FileModel:
    """A GGUF file."""

    def __init__(self, name: str, lora: Sequence[Lora] = ()) -> None:
        self._path = find_model(name)
        self._header = check_model(self._path)
        gate(self._header)
        laid_over = (*(Lora(path=path) for path in find_adapters(name)), *lora)
        self._adapters = tuple(check_adapter(each.path, each.scale, self._header) for each in laid_over)
        self.adapters = ", ".join(adapter.identity for adapter in self._adapters)
        self.name = str(self._path)
        self.sha256 = sha256_of(*self._header.files)
        self.tokenizer: TokenizerLike = Tokenizer.load(self._path)
        self.context = self._header.context_length or 4096

    def check_fits(self, builder: PromptBuilder) -> None:
        """See Model."""
        builder.check_fits(self.context)

    def start(self, settings: EngineSettings, demand: Demand) -> tuple[Engine, str]:
        """See Model. Raises ModelDoesNotFit; what llama.cpp says of the weights comes with the first answer."""
        here = replace(machine(), free_vram=free_vram())
        gpu = here.free_vram > 0 and settings.shape.gpu_layers != 0
        wanted, found = tuned.applied(settings.shape, self.sha256, here.cores, llama_cpp_version(), gpu=gpu)
        offered = less(here, total_bytes(self._adapters) * wanted.replicas)
        allowed = gate(self._header)
        if allowed.recurrent:
            wanted = wanted.model_copy(update={"drafts": 0})
        fitted = partial(shape_for, header=self._header, offered=offered)
        shape, engine = fitted(wanted, demand=demand), _engine(settings)
        notes = [allowed.note] if allowed.note else []
        if allowed.first_context is not None and not shape.sizes.short_rope:
            notes.append(f"prompts of more than {allowed.first_context:,} tokens: LongRoPE's long factors for all")
        verdict = self._tested(shape.sizes, passive=wanted.passive) if engine == "batched" else "passed"
        if verdict != "passed" and shape.sizes.prefill_cells:
            one_pool = replace(shape, sizes=shape.sizes.in_one_pool)
            again = self._tested(one_pool.sizes, passive=wanted.passive)
            if again == "passed":
                shape, verdict = one_pool, again
                notes.append(_WORSE["pool"])
        if verdict != "passed":
            one = wanted.model_copy(update={"slots": 1})
            comparing = demand.ranked and verdict == "alone"  # which copies sequences too
            shape = fitted(one, demand=replace(demand, ranked=comparing))
            engine = "batched" if verdict == "alone" else "naive"
            notes += [_WORSE[verdict]] if wanted != one or engine == "naive" else []
        spec = EngineSpec(
            self._path,
            engine,
            settings.grammar,
            shape,
            wanted.forced_tokens,
            wanted.drafts,
            tuple((adapter.path, adapter.scale) for adapter in self._adapters),
            prefix_cache=self._prefix_identity(wanted, shape) if wanted.prefix_cache else "",
            passive=wanted.passive,
        )
        notes += [found] if found else []
        return ChildEngine(spec), "; ".join([*_in_words(spec, wanted), *notes])

    def _prefix_identity(self, wanted: Shape, shape: Resolved) -> str:
        """What a kept beginning depends on besides its tokens; empty where this model's cannot be kept."""
        allowed = gate(self._header)
        if allowed.memory != "attention" or allowed.first_context is not None:
            return ""
        sizes = shape.sizes
        return fingerprint(
            self.sha256, self.adapters, llama_cpp_version(), wanted.kv_type, sizes.flash_attention, sizes.gpu_layers
        )

    def _tested(self, sizes: Sizes, *, passive: bool) -> self_test.Verdict:
        """The self-test's verdict, from memory where this file was tested with such settings and this llama.cpp.

        A test that died tells nothing and is not remembered; until it lives, nothing is shared.
        """
        where = "GPU" if sizes.gpu_layers else "CPU"
        key = f"self-test|{self.sha256}|{llama_cpp_version()}|{sizes.kv_type}|{sizes.flash_attention}|{where}"
        key += "|prefill" * bool(sizes.prefill_cells) + "|comparisons" * bool(sizes.comparison_cells)
        known = recall(key)
        if known in _VERDICTS:
            return _VERDICTS[known]
        header = self._header
        test = self_test.SelfTest(
            self._path, sizes, strict=gate(header).recurrent, large=header.tensor_bytes > self_test.LARGE
        )
        verdict = self_test.ask(test, PASSIVE if passive else {})
        if verdict is not None:
            remember(key, verdict)
        return verdict or "unshared"


def shape_for(shape: Shape, *, header: Header, offered: Machine, demand: Demand) -> Resolved:
    """`resolve` by the formula, and where the memory is at all tight by llama.cpp's own numbers."""
    asked = partial(resolve, shape, header, offered, demand)
    with suppress(ModelDoesNotFit):
        resolved = asked()
        if estimate(header, resolved.sizes).of(resolved.replicas) < usable(offered) / 2:
            return resolved
    with dry_runs() as dry:
        return asked(measure=dry)


def _in_words(spec: EngineSpec, wanted: Shape) -> list[str]:
    """What was chosen, for people."""
    shape, sizes = spec.shape, spec.sizes
    slots = "one at a time" if spec.engine == "naive" else f"{shape.slots} slot{'s' * (shape.slots > 1)}"
    threads = f"{sizes.threads} thread{'s' * (sizes.threads > 1)}"
    pool = f"{sizes.cells:,} cells of {sizes.kv_type}"
    beside = {"prompts": sizes.prefill_cells, "comparisons": sizes.comparison_cells}
    pool += "".join(f", {cells:,} for {what}" for what, cells in beside.items() if cells)
    said = [f"{slots}, {pool}, {threads}"]
    if not sizes.flash_attention:
        said.append(f"{'answers' if sizes.prefill_cells else 'all'} without flash attention")
    if wanted.replicas > 1:
        said.append(replicas_in_words(shape.replicas, wanted.replicas))
    if spec.drafts and spec.engine == "batched":
        said.append(f"drafts where a call has at most {spec.drafts}")
    if spec.passive:
        said.append("waiting threads sleep")
    if sizes.gpu_layers:
        said.append("all layers on the GPU" if sizes.gpu_layers < 0 else f"{sizes.gpu_layers} layers on the GPU")
    return said + [f"adapter {path.name} at {scale:g}" for path, scale in spec.adapters]


def replicas_in_words(number: int, wanted: int) -> str:
    """How many engine processes there are, and why not as many as were asked for."""
    processes = f"{number} process{'es' * (number > 1)}"
    return processes if number == wanted else f"{processes} of {wanted}: the free memory holds no more"


def llama_cpp_version() -> str:
    """The version of the library, as results of tests are remembered for it."""
    return importlib.metadata.version("llama-cpp-python")


class ScriptedModel:
    """See SCRIPTED. One replica of its engine runs in this process: it cannot crash, and tests start it often."""

    name = SCRIPTED
    sha256 = "0" * 64
    adapters = ""
    context = 1 << 20

    def __init__(self) -> None:
        self.tokenizer: TokenizerLike = ByteTokenizer()

    def check_fits(self, builder: PromptBuilder) -> None:
        """See Model."""
        builder.check_fits(self.context)

    def start(self, settings: EngineSettings, demand: Demand) -> tuple[Engine, str]:
        """See Model."""
        slots = min(settings.shape.slots or 8, 24)
        forks, fork_cells = (FORKS, FORK_CELLS) if demand.ranked else (0, 0)
        sequences = HOLDERS + slots + forks
        cells, batch = demand.prefix + slots * demand.longest + fork_cells, max(settings.shape.batch, sequences)
        sizes = Sizes(cells, sequences, batch, sequences, batch, threads=1)
        shape = Resolved(slots, forks, fork_cells, sizes, settings.shape.replicas)
        spec = EngineSpec(
            None,
            _engine(settings),
            settings.grammar,
            shape,
            settings.shape.forced_tokens,
            settings.shape.drafts,
            prefix_cache=SCRIPTED if settings.shape.prefix_cache else "",
            passive=settings.shape.passive,
        )
        said = f"scripted, {slots} slots"
        if settings.shape.replicas == 1:
            return spec.build(), said
        return ChildEngine(spec), f"{said}; {replicas_in_words(shape.replicas, settings.shape.replicas)}"


def _engine(settings: EngineSettings) -> Literal["batched", "naive"]:
    return "naive" if settings.engine == "naive" else "batched"

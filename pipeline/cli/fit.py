"""`nightdesk fit`: does a model fit this machine's memory for these tasks, and what would make it fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options, screen
from pipeline.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.config import Shape
    from pipeline.engines.shape import Demand, Machine, Measure, Resolved
    from pipeline.engines.sizes import Sizes
    from pipeline.models.gguf import Header
    from pipeline.models.memory import Memory

PREFIX, LONGEST = 1500, 1500  # tokens, where no task is named: three examples, a page and its answer


def fit(
    tasks: Annotated[list[str] | None, typer.Argument(metavar="TASK...", help="Default: a task of usual size.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="FILE|NAME", help="Default: every model on this machine.")
    ] = None,
    engine: options.Server = None,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="FILE[:SCALE]", help="With an adapter; may be repeated.")
    ] = None,
    replicas: Annotated[
        int, typer.Option(min=1, max=32, metavar="N", help="Engine processes that share the work.")
    ] = 1,
) -> int:
    """Say whether a model fits the free memory without swapping, and otherwise what would make it fit.

    Without --model: a table of all models that `nightdesk models` finds, and the best of them that fits.
    Of a server: whether the tasks fit the context that it gives a request. Its memory is its own.

    \b
    Examples:
      nightdesk fit receipts --model ollama:gemma3:4b
      nightdesk fit receipts
      nightdesk fit receipts --engine http://127.0.0.1:8080
    """
    if engine is not None:
        if lora or replicas > 1:
            raise UserError("--lora and --replicas are for model files: a server has its own.", hint="Leave them out.")
        return _server(tasks or [], model, str(options.server(engine)))
    from pipeline.engines.dry_run import dry_runs, free_vram
    from pipeline.engines.shape import Machine
    from pipeline.run.model import machine

    here = machine()
    here = Machine(here.cores, here.free_memory, free_vram())
    if model is None:
        if lora or replicas > 1:
            raise UserError("--lora and --replicas are about one model.", hint="Name it with --model.")
        return _table(tasks or [], here)
    from pipeline.config import Lora
    from pipeline.models.adapter import check_adapter, total_bytes
    from pipeline.models.gate import gate
    from pipeline.models.gguf import check_model
    from pipeline.models.locate import find_adapters, find_model

    header = check_model(find_model(model))
    gate(header)
    named = [Lora(path=path) for path in find_adapters(model)] + [Lora.model_validate(each) for each in lora or []]
    laid_over = total_bytes([check_adapter(each.path, each.scale, header) for each in named])
    with dry_runs() as dry:
        return _one(header, _need(tasks or [], header), here, dry, replicas, laid_over)


def _server(tasks: list[str], model: str | None, url: str) -> int:
    """Whether these tasks fit a server's context. Raises ModelDoesNotFit, with what would help."""
    from pipeline.loopback import server_address
    from pipeline.prompting import PromptBuilder, load_task
    from pipeline.run.served import ServerModel

    if not tasks:
        raise UserError("With --engine a task is needed: a server's memory is its own.", hint="nightdesk fit TASK ...")
    server = ServerModel(options.model(model), *server_address(url))
    for name in tasks:
        server.check_fits(PromptBuilder(load_task(name), server.tokenizer))
    screen.out(screen.styled(screen.safe(server.name), "bold"), f"  {server.says()}")
    screen.out(f"Fits its context: up to {server.most:,} tokens a request. Its memory is its own, and already taken.")
    return 0


def _with(adapters: int, measure: Measure) -> Measure:
    """The same, and this many bytes of adapters."""

    def measured(header: Header, sizes: Sizes) -> Memory:
        memory = measure(header, sizes)
        return replace(memory, weights=memory.weights + adapters, repacked=memory.repacked + adapters)

    return measured


def _need(tasks: list[str], header: Header) -> Demand:
    """Counted with the model's own tokenizer where tasks are named."""
    from pipeline.engines.shape import Demand
    from pipeline.models.tokenizer import Tokenizer
    from pipeline.prompting import PromptBuilder, load_task
    from pipeline.run.model import demand_of

    if not tasks:
        return Demand(PREFIX, LONGEST, PREFIX + LONGEST, ranked=True)
    tokenizer = Tokenizer.load(header.path)
    return demand_of([PromptBuilder(load_task(name), tokenizer) for name in tasks])


def _one(header: Header, need: Demand, here: Machine, alone: Measure, replicas: int, adapters: int) -> int:
    """One model: its memory by purpose, then yes or what would help. Exit code 4 where it does not fit.

    `alone` measures without the `adapters`, which are bytes.
    """
    from pipeline.config import Shape
    from pipeline.engines.shape import SLOTS, in_main_memory, resolve, usable
    from pipeline.errors import ModelDoesNotFit

    measure = _with(adapters, alone)

    def tried(shape: Shape, measure: Measure = measure) -> Resolved | None:
        try:
            return resolve(shape, header, here, need, measure=measure)
        except ModelDoesNotFit:
            return None

    found = tried(Shape(replicas=replicas))
    shown = found or resolve(Shape(slots=1, allow_swap=True), header, here, need)
    memory = measure(header, shown.sizes)
    main = in_main_memory(header, shown.sizes, memory).of(shown.replicas)
    screen.out(screen.styled(str(header.path), "bold"))
    rows = [
        ("weights", _gib(memory.weights - adapters)),
        *([("adapters", _gib(adapters))] if adapters else []),
        ("cache", f"{_gib(memory.cache)} ({shown.sizes.cells:,} cells of {shown.sizes.kv_type})"),
        *_beside("prompts", memory.prefill, shown.sizes.prefill_cells),
        *_beside("comparing", memory.comparison, shown.sizes.comparison_cells),
        ("computing", _gib(memory.compute + memory.outputs)),
        ("program", _gib(memory.program)),
        *([("processes", f"{shown.replicas}: all but the mapped weights is each one's own")] if replicas > 1 else []),
        ("together", f"{_gib(memory.of(shown.replicas))}, {'by llama.cpp itself' if memory.exact else 'by formula'}"),
        ("free", f"{_gib(here.free_memory)}, of which {_gib(usable(here))} can be used without swapping"),
        *([("CPU", f"{_gib(main)} of it stay in main memory")] if main < memory.of(shown.replicas) else []),
        *([("GPU", _on_gpu(shown.sizes.gpu_layers, here.free_vram))] if here.free_vram else []),
    ]
    for name, value in rows:
        screen.out(f"  {name:<10}{value}")
    if found is not None:
        fewer = f" ({SLOTS} would be of use; more memory would help)" if found.slots < SLOTS else ""
        answers = screen.counted(found.slots, "answer")
        if found.replicas < replicas:
            screen.out(f"Only {found.replicas} of {replicas} processes would be started.")
        screen.out(f"Fits without swapping, with {answers} written at the same time{fewer}.")
        return 0
    screen.out("Does not fit without swapping, even with one answer at a time. What would help, least harm first:")
    without = bool(adapters) and tried(Shape(), alone) is not None
    screen.out(*(f"  - {line}" for line in _cures(header, tried, need, here, adapters, without=without)))
    return ModelDoesNotFit.exit_code


def _cures(
    header: Header,
    tried: Callable[[Shape], Resolved | None],
    need: Demand,
    here: Machine,
    adapters: int,
    *,
    without: bool,
) -> list[str]:
    """In order of harm. `without`: it fits when the adapters are left out; they belong to this model and no other."""
    from pipeline.config import Shape
    from pipeline.engines.shape import less
    from pipeline.models.shelf import shelf

    lines = ["close other programs; nothing changes"]
    place, slower = "in the job's [engine.shape]", "half the speed on the CPU where we measured it"
    if tried(Shape(kv_type="q8_0")):
        lines.append(f'kv_type = "q8_0" {place}: {slower}')
    elif tried(Shape(kv_type="q4_0")):
        lines.append(f'kv_type = "q4_0" {place}: {slower}, and worse answers')
    others = [(each.name, whole) for each in shelf() if (whole := _whole(each.path)) is not None]
    smaller = [(n, h) for n, h in others if h.tensor_bytes < header.tensor_bytes and _fits(h, need, here)]
    with_them = less(here, adapters)
    same = [
        (n, h)
        for n, h in smaller
        if h.parameters == header.parameters and h.architecture == header.architecture and _fits(h, need, with_them)
    ]
    if without:
        lines.append("leave the adapters out: another recipe, so all its work is done again")
    if same:
        name, best = max(same, key=lambda pair: pair[1].tensor_bytes)
        lines.append(f"the same model quantised more: {name} ({best.quantisation})")
    if other := [pair for pair in smaller if pair not in same]:
        name, best = max(other, key=lambda pair: (pair[1].parameters, pair[1].tensor_bytes))
        alone = ", without the adapters" if adapters else ""
        lines.append(f"a smaller model that is here: {name} ({best.quantisation}){alone}")
    if not smaller:
        lines.append("a smaller quantisation of it, or a smaller model: none that fits is on this machine")
    lines.append("a lower chunk_tokens in the task: a change of the task, so all its work is done again")
    lines.append("--allow-swap: it runs as it is, very slowly")
    return [screen.safe(line) for line in lines]


def _table(tasks: list[str], here: Machine) -> int:
    """All models on this machine by what they are worth, and the best that fits."""
    from pipeline.models.inspect import short_count
    from pipeline.models.memory import estimate
    from pipeline.models.shelf import shelf
    from pipeline.prompting import load_task

    models = [(found, header) for found in shelf() if (header := _whole(found.path)) is not None]
    models.sort(key=lambda pair: (-pair[1].parameters, -pair[1].tensor_bytes))
    if not models:
        for name in tasks:  # a wrong name is said here too
            load_task(name)
        screen.out("No models were found; `nightdesk models` says where they are looked for. Or name one with --model.")
        return 0
    rows, best = [], ""
    for found, header in models:
        need = _need(tasks, header)
        shape = _fits(header, need, here)
        smallest = shape or _shape(header, need, here, allow_swap=True)
        if shape and not best and header.chat_template:
            best = found.name
        total = _gib(estimate(header, smallest.sizes).total) if smallest else ""
        size = f"{short_count(header.parameters)} {header.quantisation}"
        rows.append((found.name, size, total, "yes" if shape else "no", str(shape.slots) if shape else ""))
    screen.out(*screen.table(("name", "size", "memory", "fits", "slots"), rows), "")
    free = f"{_gib(here.free_memory)} of memory are free."
    screen.out(f"{free} The best that fits: {best}" if best else f"{free} None with a chat template fits.")
    return 0


def _whole(path: Path) -> Header | None:
    """The header of a model that can be run; None for all else."""
    from pipeline.errors import ModelFileError
    from pipeline.models.gate import gate
    from pipeline.models.gguf import check_model

    try:
        header = check_model(path)
        gate(header)
    except ModelFileError:
        return None
    return header


def _fits(header: Header, need: Demand, here: Machine) -> Resolved | None:
    return _shape(header, need, here, allow_swap=False)


def _shape(header: Header, need: Demand, here: Machine, *, allow_swap: bool) -> Resolved | None:
    from pipeline.config import Shape
    from pipeline.engines.shape import resolve
    from pipeline.errors import ModelDoesNotFit

    try:
        return resolve(Shape(allow_swap=allow_swap), header, here, need)
    except ModelDoesNotFit:
        return None


def _on_gpu(layers: int, free: int) -> str:
    moved = "all layers" if layers < 0 else screen.counted(layers, "layer")
    return f"{_gib(free)} free: {moved} would be moved there; the speed is unmeasured"


def _beside(what: str, size: int, cells: int) -> list[tuple[str, str]]:
    """The row of a pool beside that of answers, where there is one."""
    return [(what, f"{_gib(size)} ({cells:,} cells)")] if size else []


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"

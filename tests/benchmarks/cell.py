"""One cell in a process of its own: `python -m tests.benchmarks.cell SPEC.json FOLDER`. Started by `throughput`.

Own process: a rival that crashes or eats memory costs its cell only, and nobody inherits threads or caches.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

import psutil

from pipeline.config import Shape
from pipeline.models.tokenizer import Tokenizer
from pipeline.prompting import PromptBuilder
from tests.benchmarks import host
from tests.benchmarks.floor import BETTER, Replay, fastest
from tests.benchmarks.llama_server import LlamaServer
from tests.benchmarks.meter import Meter
from tests.benchmarks.ours import Nightdesk, shape_of
from tests.benchmarks.results import OURS, Answer, Cell
from tests.benchmarks.rivals import HighLevel, NotHereError, Outlines
from tests.benchmarks.server import Server
from tests.benchmarks.workloads import Question, Workload, load

BEGIN = 0.85  # of the seconds of a cell: after that no document is begun, and those begun are finished
LIMIT = 2.0  # times the seconds: what is not finished then is given up, and said
MEMORY = 0.75  # of the machine's memory a cell may take


class Runner(Protocol):
    """An alternative that is ready to be asked."""

    settings: dict[str, object]
    caches: int  # that a warm-up must fill: one, or one for each slot of a server

    def answer(self, questions: Iterable[Question], over: Callable[[], bool]) -> Iterator[Answer]:
        """Answers, in any order. Nothing is asked any more when it is over."""
        ...

    def tokens(self) -> tuple[int | None, int | None]:
        """Rows evaluated for prompts and for output since `answer` began; None where they are not known."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class Deadline:
    """Lets questions through until the time is over; those about documents that were begun always pass."""

    def __init__(self, questions: Iterable[Question], until: float, clock: Callable[[], float]) -> None:
        self._questions = questions
        self._until = until
        self._clock = clock
        self.begun: set[str] = set()
        self.asked = 0

    def __iter__(self) -> Iterator[Question]:
        for question in self._questions:
            if question.document not in self.begun:
                if self._clock() >= self._until:
                    continue
                self.begun.add(question.document)
            self.asked += 1
            yield question


def measure(spec: Mapping[str, object], folder: Path) -> Cell:
    """Do what the spec asks for. What cannot run here is a cell with its reason."""
    meter = Meter()
    used = host.busy()
    started = time.perf_counter()
    tokenizer = Tokenizer.load(Path(str(spec["model"])))
    workload = load(str(spec["workload"]), tokenizer, _int(spec["documents"]))
    meter.install()
    if spec["alternative"] == "floor":
        return _floor(spec, folder, workload, tokenizer, meter, used)
    try:
        runner = _runner(spec, workload, tokenizer, meter)
    except NotHereError as error:
        return Cell(spec, error=str(error))
    try:
        for _ in runner.answer(warm_up(workload, runner.caches), lambda: False):
            pass
        startup = time.perf_counter() - started
        meter.reset()
        begin = time.perf_counter()
        questions = Deadline(workload.questions, begin + BEGIN * float(str(spec["seconds"])), time.perf_counter)
        limit = begin + LIMIT * float(str(spec["seconds"]))
        answers = tuple(runner.answer(questions, lambda: time.perf_counter() >= limit))
        seconds = time.perf_counter() - begin
        prefilled, generated = runner.tokens()
        answered = {answer.key for answer in answers}
        left = {question.document for question in workload.questions if question.key not in answered}
        done = [one.id for one in workload.documents if one.id in questions.begun - left]
        return Cell(
            spec,
            runner.settings,
            startup=startup,
            seconds=seconds,
            questions=questions.asked,
            done=tuple(done),
            given_up=len(questions.begun) - len(done),
            prefilled=prefilled,
            generated=generated,
            calls=meter.calls or None,
            decode_seconds=meter.seconds or None,
            busy=used,
            answers=answers,
        )
    finally:
        runner.close()


def warm_up(workload: Workload, caches: int) -> list[Question]:
    """Each question as often at a time as there are caches to fill."""
    return [question for question in workload.warm_up for _ in range(caches)]


def _runner(spec: Mapping[str, object], workload: Workload, tokenizer: Tokenizer, meter: Meter) -> Runner:
    model, threads, wanted = Path(str(spec["model"])), _int(spec["threads"]), _shape(spec)
    name, flash = str(spec["alternative"]), spec["rivals_flash_attention"] == "on"
    match name.split(" x"):
        case ["nightdesk"]:
            return Nightdesk(workload, model, tokenizer, meter, engine="batched", wanted=wanted)
        case ["nightdesk, pointed"]:
            pointed = workload.pointed()
            return Nightdesk(pointed, model, tokenizer, meter, engine="batched", wanted=wanted)
        case ["naive twin"]:
            return Nightdesk(workload, model, tokenizer, meter, engine="naive", wanted=Shape(threads=threads, slots=1))
        case ["llama-cpp-python"]:
            return HighLevel(workload, model, tokenizer, meter, threads=_cores(threads), flash_attention=flash)
        case ["outlines"]:
            return Outlines(workload, model, tokenizer, meter, threads=_cores(threads), flash_attention=flash)
        case ["server", number] if spec["llama_server"]:
            program = Path(str(spec["llama_server"]))
            return LlamaServer(
                workload,
                tokenizer,
                program,
                model,
                at_a_time=int(number),
                threads=_cores(threads),
                flash_attention=flash,
            )
        case ["server", number]:
            return Server(workload, str(spec["server"]), at_a_time=int(number))
    raise ValueError(f"there is no alternative {name}")


def _shape(spec: Mapping[str, object]) -> Shape:
    """Ours, and the floor's."""
    return Shape.model_validate({name: spec[name] for name in ("threads", "slots", "flash_attention", "replicas")})


def _floor(
    spec: Mapping[str, object], folder: Path, workload: Workload, tokenizer: Tokenizer, meter: Meter, used: float
) -> Cell:
    """Replay what nightdesk's cell of this round generated, at its shape and at others."""
    from pipeline.engines import pools

    source = folder / f"{spec['workload']}-{OURS}-r{spec['round']}.json"
    if not source.exists() or (cell := Cell.load(source)).error:
        return Cell(spec, error="nightdesk's cell of this round is missing")
    if not cell.done:
        return Cell(spec, error="nightdesk's cell of this round finished nothing")
    builders = [PromptBuilder(task, tokenizer) for task in workload.tasks]
    model = Path(str(spec["model"]))
    given = _shape(spec)
    others = [given.model_copy(update={"slots": slots, "flash_attention": flash}) for slots, flash in BETTER]
    shapes = dict.fromkeys(shape_of(builders, model, wanted) for wanted in (given, *others))
    answers = {answer.key: answer for answer in cell.answers}

    def replay(question: Question, tokens: tuple[int, ...], forced: int) -> Replay:
        return Replay(builders[question.task].prompt(question.chunk.text, question.key), tokens, forced)

    replays = [replay(q, answers[q.key].tokens, answers[q.key].forced) for q in workload.questions if q.key in answers]
    warm = [replay(question, (), 0) for question in workload.warm_up]
    best, said = fastest(shapes, partial(pools.load, model), warm, replays, meter)
    return Cell(
        spec,
        {"shape": best.words, "tried": said},
        seconds=best.wall,
        questions=len(replays),
        done=cell.done,
        prefilled=best.prefilled,
        generated=best.generated,
        calls=best.calls,
        decode_seconds=best.seconds,
        busy=used,
    )


def _int(value: object) -> int | None:
    return None if value is None else int(str(value))


def _cores(threads: int | None) -> int:
    return threads or psutil.cpu_count(logical=False) or 1


def main() -> None:
    """Measure one cell and save it."""
    spec, folder = json.loads(Path(sys.argv[1]).read_text("utf-8")), Path(sys.argv[2])
    most = int(psutil.virtual_memory().total * MEMORY)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    measure(spec, folder).save(folder)


if __name__ == "__main__":
    main()

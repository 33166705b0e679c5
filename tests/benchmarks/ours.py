"""Nightdesk in process: batched, pointed, and its slow twin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from pipeline.batching import Halt
from pipeline.config import Shape
from pipeline.data import Completion, Prompt, Stop
from pipeline.engines import Engine
from pipeline.engines.child import ChildEngine
from pipeline.engines.shape import Resolved, resolve
from pipeline.engines.spec import EngineSpec
from pipeline.models import TokenizerLike
from pipeline.models.gguf import check_model
from pipeline.prompting import PromptBuilder
from pipeline.run.model import demand_of, machine
from tests.benchmarks.floor import evaluated
from tests.benchmarks.meter import Meter
from tests.benchmarks.results import Answer
from tests.benchmarks.validity import is_valid
from tests.benchmarks.workloads import Question, Workload


def shape_of(builders: Sequence[PromptBuilder], model: Path, wanted: Shape) -> Resolved:
    """The shape that `nightdesk run` would choose for this one."""
    return resolve(wanted, check_model(model), machine(), demand_of(builders))


class Nightdesk:
    """Answers questions with an engine of ours: in this process, or in as many as `wanted` has replicas."""

    def __init__(
        self,
        workload: Workload,
        model: Path,
        tokenizer: TokenizerLike,
        meter: Meter,
        *,
        engine: Literal["batched", "naive"],
        wanted: Shape,
    ) -> None:
        self._workload = workload
        self._tokenizer = tokenizer
        self._meter = meter
        self._builders = [PromptBuilder(task, tokenizer) for task in workload.tasks]
        shape = shape_of(self._builders, model, wanted)
        spec = EngineSpec(model, engine, "llguidance", shape)
        self._engine: Engine = ChildEngine(spec) if shape.replicas > 1 else spec.build()
        self._prefilled = 0
        self.caches = shape.replicas  # each process has its own
        self.settings: dict[str, object] = {
            "engine": engine,
            "slots": shape.slots,
            "replicas": shape.replicas,
            **asdict(shape.sizes),
        }

    def answer(self, questions: Iterable[Question], over: Callable[[], bool]) -> Iterator[Answer]:
        """Answers in the order they finish; none of those in work when it is over."""
        asked: dict[str, tuple[Question, Prompt]] = {}
        self._prefilled = 0

        def prompts() -> Iterator[Prompt]:
            for question in questions:
                prompt = self._builders[question.task].prompt(question.chunk.text, question.key)
                key = f"{question.key} {len(asked)}"  # a warm-up asks each process the same
                prompt = replace(prompt, max_tokens=question.most, work_key=key)
                asked[key] = (question, prompt)
                yield prompt

        for completion in self._engine.run(prompts(), lambda: Halt.NOW if over() else Halt.NO):
            yield self._answer(completion, *asked[completion.work_key])

    def tokens(self) -> tuple[int, int | None]:
        """Rows evaluated since the last `answer`: for prompts, and for output (forks of pointed fields too; those of
        other processes are not known)."""
        return self._prefilled, self._meter.rows - self._prefilled if self.caches == 1 else None

    def close(self) -> None:
        """Free the model."""
        self._engine.close()

    def _answer(self, completion: Completion, question: Question, prompt: Prompt) -> Answer:
        self._prefilled += completion.counts.prefilled
        text = self._tokenizer.vocabulary.decode(completion.tokens).decode("utf-8", "replace")
        tokens, forced = evaluated(completion)
        return Answer(
            question.key,
            question.document,
            question.task,
            question.chunk.index,
            text,
            prompt_tokens=prompt.length,
            output_tokens=len(completion.tokens),
            ended=completion.stop is Stop.END,
            valid=is_valid(self._workload.tasks[question.task].schema, text),
            tokens=tokens,
            forced=forced,
        )

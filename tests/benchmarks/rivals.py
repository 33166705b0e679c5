"""What else a person could use, each at its best settings, asked the same questions in the same order."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline.models import TokenizerLike
from pipeline.prompting import PromptBuilder
from tests.benchmarks.meter import Meter
from tests.benchmarks.results import Answer
from tests.benchmarks.validity import is_valid
from tests.benchmarks.workloads import Question, Workload, messages

UBATCH = 512  # llama.cpp's own; ENGINE.md 8b measured no gain beyond it


class NotHereError(Exception):
    """This alternative cannot run on this machine; the text says what is missing."""


class HighLevel:
    """llama-cpp-python's `create_chat_completion` with a JSON schema; its prefix match keeps the examples cached."""

    caches = 1

    def __init__(
        self,
        workload: Workload,
        model: Path,
        tokenizer: TokenizerLike,
        meter: Meter,
        *,
        threads: int,
        flash_attention: bool,
    ) -> None:
        from llama_cpp import Llama

        self._workload = workload
        self._meter = meter
        context = longest(workload, tokenizer)
        self.settings: dict[str, object] = {
            "n_ctx": context,
            "n_batch": UBATCH,
            "n_ubatch": UBATCH,
            "n_threads": threads,
            "n_threads_batch": threads,
            "flash_attn": flash_attention,
        }
        self._llama = Llama(str(model), verbose=False, seed=0, **self.settings)
        self._last: dict[str, Any] = {}

    def answer(self, questions: Iterable[Question], over: Callable[[], bool]) -> Iterator[Answer]:
        """Answers in order."""
        for question in questions:
            if over():
                return
            task = self._workload.tasks[question.task]
            text = self._ask(question)
            usage, choice = self._last["usage"], self._last["choices"][0]
            yield Answer(
                question.key,
                question.document,
                question.task,
                question.chunk.index,
                text,
                prompt_tokens=usage["prompt_tokens"],
                output_tokens=usage["completion_tokens"],
                ended=choice["finish_reason"] == "stop",
                valid=is_valid(task.schema, text),
            )

    def tokens(self) -> tuple[int, int]:
        """One sequence: calls of several rows are prompts, the others are output."""
        return self._meter.many, self._meter.rows - self._meter.many

    def close(self) -> None:
        """Free the model."""
        self._llama.close()

    def _ask(self, question: Question) -> str:
        task = self._workload.tasks[question.task]
        self._last = self._llama.create_chat_completion(
            messages(task, question.chunk.text),
            response_format={"type": "json_object", "schema": json.loads(task.schema.json_schema)},
            temperature=0.0,
            repeat_penalty=1.0,
            max_tokens=question.most,
        )
        return str(self._last["choices"][0]["message"]["content"])


class Outlines(HighLevel):
    """outlines' `from_llamacpp` with a JsonSchema; the index of each schema is compiled once, before the clock."""

    def __init__(self, workload: Workload, *given: Any, **settings: Any) -> None:
        if importlib.util.find_spec("numba") is None:
            raise NotHereError(
                "numba is missing, and without it outlines' llama.cpp path does not constrain: "
                "pip install 'nightdesk[bench]'"
            )
        super().__init__(workload, *given, **settings)
        import outlines
        from outlines.types import JsonSchema

        wrapped = outlines.from_llamacpp(self._llama)
        schemas = [task.schema.json_schema for task in workload.tasks]
        self._generators = [outlines.Generator(wrapped, JsonSchema(schema)) for schema in schemas]
        complete = self._llama.create_chat_completion

        def remembered(*args: Any, **more: Any) -> Any:
            self._last = complete(*args, **more)
            return self._last

        self._llama.create_chat_completion = remembered  # outlines drops the token counts

    def _ask(self, question: Question) -> str:
        from outlines.inputs import Chat

        task = self._workload.tasks[question.task]
        return str(
            self._generators[question.task](
                Chat(messages(task, question.chunk.text)),
                max_tokens=question.most,
                temperature=0.0,
                repeat_penalty=1.0,
            )
        )


def longest(workload: Workload, tokenizer: TokenizerLike) -> int:
    """Cells that the longest question and its answer need, with room for a template that differs a little."""
    builders = [PromptBuilder(task, tokenizer) for task in workload.tasks]
    most = max(
        sum(len(segment.tokens) for segment in builders[question.task].build(question.chunk.text))
        + workload.tasks[question.task].options.max_answer_tokens
        for question in (*workload.questions, *workload.warm_up)
    )
    return -(-(most + 64) // 256) * 256

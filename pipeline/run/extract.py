"""One task of a run: its pending chunks become prompts, its completions become answers, records and failures."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from pipeline.confidence import lists_of
from pipeline.config import EngineSettings
from pipeline.data import Completeness, Completion, Counts, Extraction, Failure, Found, Prompt, Stop
from pipeline.errors import AnswerError, ItemError, Poison, PromptTooLong, ReadError
from pipeline.models import TokenizerLike
from pipeline.prompting import PromptBuilder, question_of, with_samples
from pipeline.run import calibrations
from pipeline.run.events import Answered, Event, Failed, Planned, Recorded
from pipeline.run.records import build_record, gather
from pipeline.run.texts import Texts
from pipeline.schema import close, parse
from pipeline.store import Store, Work


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question that is out, and the answers that have come: 0 is the one that counts, the others are samples."""

    work: Work
    answers: dict[int, Completion] = field(default_factory=dict, repr=False)


class TaskRun:
    """A task with its recipe in one run. The only writer of its answers and records."""

    def __init__(
        self,
        store: Store,
        texts: Texts,
        run_id: int,
        builder: PromptBuilder,
        tokenizer: TokenizerLike,
        recipe: str,
        settings: EngineSettings,
    ) -> None:
        self.builder = builder
        self.task = builder.task
        self._store = store
        self._texts = texts
        self._run_id = run_id
        self._tokenizer = tokenizer
        self._recipe = recipe
        self._settings = settings
        self._calibration = calibrations.load(recipe)
        self._in_flight: dict[str, _Asked] = {}
        self._unread: list[Event] = []  # what happened while prompts were made

    def plan(self) -> Planned:
        """Enter the work there is, and count it."""
        totals = self._store.totals(self.task.name, self._recipe, run_id=self._run_id)
        return Planned(
            task=self.task.name,
            documents=totals.documents,
            current=totals.current,
            work=totals.work,
            tokens=totals.tokens,
            prefix=len(self.builder.prefix.tokens),
            frame=self.builder.frame,
            document_first=self.task.options.document_first,
        )

    def prompts(self, admits: Callable[[str, Work], bool]) -> Iterator[tuple[int, Prompt]]:
        """The questions to ask, each with its text's place in the order of all texts (see `planner.order`).

        They are made when they are asked for. Those that `admits` turns down wait for another run.
        """
        sampling = self._settings.sampling
        for work in self._store.pending(self.task.name, self._recipe, run_id=self._run_id):
            if not admits(self.task.name, work):
                continue
            try:
                text = self._texts.document(work.document).text[work.start : work.end]
            except ReadError as error:
                self._unread += [*self._fail(work, error), Answered(self.task.name, work.tokens, Counts())]
                continue
            prompt = self.builder.prompt(text, work.work_key, temperature=sampling.temperature, seed=sampling.seed)
            self._in_flight[work.work_key] = _Asked(work)
            for each in with_samples(prompt, sampling):
                yield work.place, each

    def owns(self, work_key: str) -> bool:
        """Whether this task asked for it."""
        return question_of(work_key)[0] in self._in_flight

    def save(self, completion: Completion) -> Iterator[Event]:
        """Keep an answer with its samples once all are there, and in the same transaction the records it completes."""
        yield from self._while_asking()
        key, number = question_of(completion.work_key)
        asked = self._in_flight[key]
        asked.answers[number] = completion
        if len(asked.answers) <= self._settings.sampling.samples:
            return
        work = self._in_flight.pop(key).work
        counts = sum((answer.counts for answer in asked.answers.values()), Counts())
        completion = dataclasses.replace(asked.answers.pop(0), counts=counts)
        try:
            raw, extraction = self._read(completion)
            extraction = dataclasses.replace(extraction, samples=tuple(self._samples(asked)))
        except ItemError as error:
            yield from self._fail(work, error)
        else:
            with self._store.atomic():
                self._store.save_extraction(
                    self._run_id, self._recipe, work.work_key, completion, raw, extraction, self._thought(completion)
                )
                recorded = [*self._record_all(work)]
            yield from recorded
        yield Answered(self.task.name, work.tokens, counts)

    def sweep(self) -> Iterator[Event]:
        """Write the records of documents whose chunks were all answered before."""
        yield from self._while_asking()
        for sha256 in self._store.unmerged(self.task.name, self._recipe, run_id=self._run_id):
            if self._store.failed_out(sha256, "read", task=self.task.name):
                continue
            try:
                yield self._record(sha256)
            except ReadError as error:
                path = self._store.path_of(sha256)
                failure = Failure(
                    path, "read", error.code, error.message, error.hint, document=sha256, task=self.task.name
                )
                yield Failed(failure, self._store.save_failure(self._run_id, failure))

    def _while_asking(self) -> Iterator[Event]:
        """Events of `prompts`, which the engine calls and which cannot yield them itself."""
        events, self._unread = self._unread, []
        yield from events

    def _read(self, completion: Completion) -> tuple[str, Extraction]:
        """The answer as text and as values. What the budget cut is closed by the schema and marked."""
        if completion.stop is Stop.TOO_LONG:
            raise PromptTooLong(
                "The prompt and its answer do not fit the context.",
                hint="Raise `context`, or lower chunk_tokens in the task.",
            )
        if completion.stop is Stop.POISON:
            raise Poison(
                "The engine died three times over this text, the last time with nothing beside it.",
                hint="Nothing else is affected; `nightdesk retry` tries it again.",
            )
        if completion.stop is Stop.SERVER:
            raise Poison(
                "The server gave no usable answer to this text, and answers others.",
                hint="Nothing else is affected; `nightdesk retry` tries it again.",
            )
        if completion.stop is Stop.GRAMMAR:
            raise AnswerError(
                "The grammar could not hold an answer about this text.",
                hint="Lower chunk_tokens in the task, or simplify its schema.",
            )
        answer = self._tokenizer.vocabulary.decode(completion.tokens)
        schema = self.task.schema
        if completion.stop is Stop.LENGTH:
            raw = answer.decode("utf-8", "ignore")  # the last character may be cut as well
            closed = close(schema, raw)
            return raw, Extraction(completion.work_key, closed.values, closed.cut)
        try:
            raw = answer.decode("utf-8")
        except UnicodeDecodeError:
            raise AnswerError("The answer is not valid UTF-8.", hint="Use `--grammar llguidance`.") from None
        return raw, Extraction(completion.work_key, parse(schema, raw))

    def _samples(self, asked: _Asked) -> Iterator[Mapping[str, object]]:
        """What the samples say. One that could not be answered or read says nothing; it is no reason to fail."""
        for _, completion in sorted(asked.answers.items()):
            with suppress(ItemError):
                yield self._read(completion)[1].values

    def _thought(self, completion: Completion) -> str | None:
        """What the model thought before the answer, where the task asks to keep it."""
        if not self.task.options.keep_reasoning or not completion.thought:
            return None
        return self._tokenizer.vocabulary.decode(completion.thought).decode("utf-8", "replace")

    def _fail(self, work: Work, error: ItemError) -> Iterator[Event]:
        subject = f"{self._store.path_of(work.document)} chunk {work.index + 1}"
        failure = Failure(
            subject,
            error.stage,
            type(error).__name__,
            error.message,
            error.hint,
            document=work.document,
            work_key=work.work_key,
            task=self.task.name,
        )
        with self._store.atomic():
            failed = Failed(failure, self._store.save_failure(self._run_id, failure))
            recorded = [*self._record_all(work)]
        yield failed
        yield from recorded

    def _record_all(self, work: Work) -> Iterator[Recorded]:
        for sha256 in self._store.completed_documents(self.task.name, self._recipe, work.work_key):
            with suppress(ReadError):  # `sweep` tries it once more, and says so
                yield self._record(sha256)

    def _record(self, sha256: str) -> Recorded:
        pointed = self._settings.pointed
        vocabulary = self._tokenizer.vocabulary
        answers = gather(
            self._store, self.task, self._recipe, self._texts.document(sha256), vocabulary, pointed=pointed
        )
        others = {
            path: self._store.list_lengths(self.task.name, path, but=sha256) for path in lists_of(self.task.schema.root)
        }
        record, normalised = build_record(answers, self._calibration, others)
        self._store.save_record(self._run_id, record, self._recipe, normalised)
        found = Counter(piece.found for piece in record.evidence)
        return Recorded(
            self.task.name,
            sha256,
            record.state is Completeness.COMPLETE,
            not_found=found[Found.NOT_FOUND],
            from_example=found[Found.FROM_EXAMPLE],
            short=len(record.short),
        )

"""The slow twin: one prompt at a time, nothing shared, nothing forced, alternatives scored one after the other.

It exists to be obviously right. On a backend whose logits do not depend on the batch, its answers equal the batched
engine's, token for token; tests and `--engine naive` compare them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from pipeline.batching import Backend, Halt, Row, ranking
from pipeline.batching import sequence as batching
from pipeline.batching.sampler import choose
from pipeline.data import Completion, ConstraintSpec, Counts, Prompt, Stop
from pipeline.engines import never
from pipeline.errors import AnswerError, SchemaError
from pipeline.grammars import NO_CANDIDATES, Candidates, Constraint

ANSWER, FORK = 0, 1


class Naive:
    """One prompt at a time over any backend."""

    def __init__(
        self, backend: Backend, compile: Callable[[ConstraintSpec], Constraint], *, ranked: bool = True
    ) -> None:
        """`ranked` False: alternatives are not scored, as in an engine without forks."""
        self._ranked = ranked
        self._calls = 0
        self._backend = backend
        self._compile = compile

    @property
    def calls(self) -> int:
        """Decode calls so far."""
        return self._calls

    def run(self, prompts: Iterable[Prompt | None], should_stop: Callable[[], Halt] = never) -> Iterator[Completion]:
        """Completions in the order of the prompts. None (there is none yet) ends the run: nothing is being written."""
        for prompt in prompts:
            if prompt is None or should_stop() is not Halt.NO:
                return
            yield self._answer(prompt)

    def close(self) -> None:
        """Free the model."""
        self._backend.close()

    def _answer(self, prompt: Prompt) -> Completion:
        backend = self._backend
        if prompt.length + prompt.most_output > min(backend.cells, backend.sequence_limit):
            return Completion(prompt.work_key, (), (), (), (), Counts(), Stop.TOO_LONG)
        tokens = [token for segment in prompt.segments for token in segment.tokens]
        try:
            cursor = self._compile(prompt.constraint).start()
        except (SchemaError, AnswerError):
            return Completion(prompt.work_key, (), (), (), (), Counts(), Stop.GRAMMAR)
        answer = batching.Sequence(prompt, cursor, ANSWER, 0, tokens, reused=0, prefilled=len(tokens))
        try:
            self._write(answer)
        except AnswerError:
            answer.stop = Stop.GRAMMAR
        self._backend.drop(ANSWER)
        return answer.completion()

    def _write(self, answer: batching.Sequence) -> None:
        backend, cursor, prompt = self._backend, answer.cursor, answer.prompt
        while not cursor.done():
            if answer.room == 0:
                answer.stop = Stop.LENGTH
                break
            row = self._decode(ANSWER, answer.pending, answer.length)
            answer.length += len(answer.pending)
            answer.pending.clear()
            candidates = ranking.to_compare(cursor, prompt.temperature) if self._ranked else NO_CANDIDATES
            if candidates.alternatives:
                self._rank(answer, candidates, row)
            else:
                logits = backend.logits(row)
                answer.append(choose(logits, cursor.mask(), prompt.temperature, answer.random))

    def _rank(self, answer: batching.Sequence, candidates: Candidates, row: int) -> None:
        firsts = ranking.first_logprobs(candidates, self._backend.logits(row))
        if ranking.wants_otherwise(candidates, firsts):
            answer.append(ranking.otherwise(candidates, firsts))
            return
        choice = ranking.Ranking(candidates, firsts)
        while not choice.done:
            logits = {}
            for branch in choice.next_round():
                self._backend.copy(ANSWER, FORK)
                for depth, token in enumerate(branch):
                    row = self._decode(FORK, [token], answer.length + depth)
                    logits[branch[: depth + 1]] = self._backend.logits(row).copy()
                self._backend.drop(FORK)
            choice.take(logits)
        for one in choice.choices()[: answer.room]:
            answer.append(one)

    def _decode(self, sequence: int, tokens: Sequence[int], position: int) -> int:
        """Decode tokens of one sequence; returns the index of the row that has logits."""
        step = self._backend.max_batch
        for first in range(0, len(tokens), step):
            part = tokens[first : first + step]
            last = len(part) - 1
            rows = [Row(token, position + first + i, (sequence,), logits=i == last) for i, token in enumerate(part)]
            self._calls += 1
            self._backend.decode(rows)
        return last

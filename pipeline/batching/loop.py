"""The loop: admit, schedule, decode, choose, commit, yield.

One context, one thread. Prompts are pulled when a slot is free, so the number of waiting ones does not matter.
The stretch of prompt that many share is decoded once into a holder sequence and copied into slots by reference.
When an answer ends, all of its sequence is dropped (right for every kind of KV cache); only a draft that proved wrong
is cut off before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from pipeline.batching import Backend, Halt, Kept, Row, drafts, ranking
from pipeline.batching.ranking import Ranking
from pipeline.batching.sampler import Choice, choose, forced
from pipeline.batching.scheduler import rows_of, schedule
from pipeline.batching.sequence import Sequence, State
from pipeline.batching.slots import Key, Ledger
from pipeline.data import Completion, ConstraintSpec, Counts, Prompt, Segment, Stop
from pipeline.errors import AnswerError, EngineError, SchemaError
from pipeline.grammars import MOST_ROWS, NO_CANDIDATES, Constraint

PATIENCE = 32  # calls that a comparison waits for company, at most


class Loop:
    """Answers prompts in batches. The only writer of its sequences and of its ledger."""

    def __init__(
        self,
        backend: Backend,
        compile: Callable[[ConstraintSpec], Constraint],
        ledger: Ledger,
        *,
        forced_tokens: bool = True,
        drafts: int = 0,
        kept: Kept | None = None,
    ) -> None:
        """Calls of at most `drafts` answers are drafted (see `pipeline.batching.drafts`). The backend must then be able
        to forget the end of a sequence."""
        self.backend = backend
        self.ledger = ledger
        self.calls = 0
        self._at_once = ledger.num_forks // ranking.MOST_FORKS  # comparisons; fewer wait for company
        self._waited = 0  # calls, since the last comparison
        if ledger.num_forks and (
            ledger.num_forks < ranking.MOST_FORKS
            or ledger.fork_cells < ranking.MOST_CELLS
            or min(backend.max_batch, backend.max_outputs) < MOST_ROWS
        ):
            raise EngineError("there are too few forks, or too few cells or rows for them, to compare alternatives")
        self._compile = compile
        self._forced_tokens = forced_tokens
        self._drafts = drafts
        self._kept = kept
        self._active: list[Sequence] = []
        self._held: Prompt | None = None  # pulled, waiting for room
        self._unbilled = 0  # shared tokens decoded for nobody yet; the next admitted prompt pays

    def run(
        self, prompts: Iterable[Prompt | None], should_stop: Callable[[], Halt] = lambda: Halt.NO
    ) -> Iterator[Completion]:
        """Completions as they finish, in any order. On `Halt.NOW` unfinished answers are dropped.

        None among the prompts: there is none yet. Answers go on being written, and before the next call there may be
        one. It ends the run when no answer is being written.
        """
        source = iter(prompts)
        try:
            while (halt := should_stop()) is not Halt.NOW:
                if halt is Halt.NO:
                    yield from self._admit(source)
                if not self._active:
                    break
                yield from self._step()
            if not self._active:
                self.ledger.check()
                if self._held is not None and halt is Halt.NO:
                    raise AssertionError("an idle loop left a prompt that fits")
        finally:
            for sequence in self._active:
                self._release(sequence)
            self._active.clear()

    def _admit(self, source: Iterator[Prompt | None]) -> Iterator[Completion]:
        """Fill free slots. A prompt that could never fit is answered with TOO_LONG."""
        while self.ledger.busy < self.ledger.num_slots:
            prompt = self._held or next(source, None)
            self._held = None
            if prompt is None:
                return
            shared, own = _split(prompt)
            need = len(own) + prompt.most_output
            if prompt.length + prompt.most_output > min(self.backend.sequence_limit, self.ledger.capacity):
                yield _refused(prompt, Stop.TOO_LONG)
                continue
            key = tuple(segment.hash for segment in shared)
            if not (self._hold(shared, need) and self.ledger.can_admit(need)):
                self._held = prompt
                return
            try:
                cursor = self._compile(prompt.constraint).start()
            except (SchemaError, AnswerError):
                yield _refused(prompt, Stop.GRAMMAR)
                continue
            slot = self.ledger.admit(need, key)
            reused = self.ledger.holders[key].length if key else 0
            if key:
                self.backend.copy(self.ledger.holders[key].id, slot)
            paid, self._unbilled = self._unbilled, 0
            sequence = Sequence(prompt, cursor, slot, reused, list(own), reused - paid, prefilled=paid)
            self._active.append(sequence)

    def _hold(self, shared: list[Segment], room: int) -> bool:
        """Make sure these segments stand in a holder and that `room` cells stay free; False when it must wait."""
        key: Key = ()
        for segment in shared:
            parent, key = key, (*key, segment.hash)
            if key in self.ledger.holders:
                self.ledger.touch(key)
                continue
            if not self._make_room(len(segment.tokens) + room, key, holder=True):
                return False
            start = self.ledger.holders[parent].length if parent else 0
            holder = self.ledger.open_holder(key, len(segment.tokens), start + len(segment.tokens))
            if parent:
                self.backend.copy(self.ledger.holders[parent].id, holder.id)
            kept = self._kept if segment.lasting and not parent else None
            if kept and kept.load(holder.id, segment.tokens):
                continue
            step = self.backend.max_batch
            for first in range(0, len(segment.tokens), step):
                tokens = segment.tokens[first : first + step]
                self._decode([Row(t, start + first + i, (holder.id,)) for i, t in enumerate(tokens)])
            self._unbilled += len(segment.tokens)
            if kept:
                kept.save(holder.id, segment.tokens)
        return self._make_room(room, key, holder=False)

    def _make_room(self, cells: int, keep: Key, *, holder: bool) -> bool:
        """Close idle holders, the least recently used first, until there is room."""
        while not (self.ledger.can_hold(cells) if holder else cells <= self.ledger.free_cells):
            idle = self.ledger.evictable(keep)
            if idle is None:
                return False
            self.backend.drop(self.ledger.close_holder(idle.key))
        return True

    def _step(self) -> Iterator[Completion]:
        """One decode call and what follows from it."""
        waiting = [s for s in self._active if s.state is State.RANK]
        alone = len(waiting) == len(self._active)
        if waiting and (alone or len(waiting) >= self._at_once or self._waited >= PATIENCE):
            self._waited = 0
            self._rank(waiting)
        else:
            self._waited += bool(waiting)
            plan = schedule(self._active, max_batch=self.backend.max_batch, max_outputs=self.backend.max_outputs)
            if len(plan) <= self._drafts:
                drafts.propose(plan, max_batch=self.backend.max_batch, max_outputs=self.backend.max_outputs)
            rows, ends = rows_of(plan)
            self._decode(rows)
            for sequence, take in plan:
                if sequence.state is State.PREFILL:
                    sequence.prefilled += take
                sequence.length += take
                del sequence.pending[:take]
            for sequence, row in ends:
                with self._giving_up(sequence):
                    self._choose(sequence, row)
                    self._choose_along(sequence, row)
        for sequence in [s for s in self._active if s.state is State.DONE]:
            self._active.remove(sequence)
            self._release(sequence)
            yield sequence.completion()

    @contextmanager
    def _giving_up(self, sequence: Sequence) -> Iterator[None]:
        """A grammar that gives up ends its own answer only."""
        try:
            yield
        except AnswerError:
            sequence.stop, sequence.state = Stop.GRAMMAR, State.DONE

    def _choose(self, sequence: Sequence, row: int) -> None:
        """Commit the next token of a sequence whose logits are there, or set it aside for ranking."""
        logits = self.backend.logits(row)
        possible = bool(self.ledger.num_forks)
        candidates = ranking.to_compare(sequence.cursor, sequence.prompt.temperature) if possible else NO_CANDIDATES
        if candidates.alternatives:
            first = ranking.first_logprobs(candidates, logits)
            if ranking.wants_otherwise(candidates, first):
                sequence.append(ranking.otherwise(candidates, first))
                self._follow(sequence)
                return
            sequence.ranking = Ranking(candidates, first)
            sequence.state = State.RANK
            return
        prompt = sequence.prompt
        sequence.append(choose(logits, sequence.cursor.mask(), prompt.temperature, sequence.random))
        self._follow(sequence)

    def _choose_along(self, sequence: Sequence, row: int) -> None:
        """Go on choosing where the draft behind this row has what was committed; cut off what is left of it."""
        draft, sequence.draft = sequence.draft, ()
        right = 0
        while sequence.state is State.DECODE:
            same = drafts.agreeing(sequence.pending, draft[right:])
            right += same
            sequence.length += same
            del sequence.pending[:same]
            if sequence.pending:
                break
            self._choose(sequence, row + right)
        sequence.drafted += len(draft)
        sequence.accepted += right
        if right < len(draft) and sequence.state is not State.DONE:
            self.backend.drop(sequence.slot, sequence.length)

    def _rank(self, sequences: list[Sequence]) -> None:
        """One round of as many comparisons as have forks and fit one call; commit the winners of those that end."""
        room = min(self.backend.max_batch, self.backend.max_outputs)
        rounds: list[tuple[Sequence, Ranking, ranking.Growth]] = []
        begun = any(sequence.forks for sequence in sequences)
        for sequence in sequences:
            choice = sequence.ranking
            if choice is None or room < choice.rows:
                continue
            if begun and not sequence.forks and self._at_once == 1:  # where there is room for one answer's cells only
                continue
            sequence.forks = sequence.forks or self.ledger.fork(sequence.slot, choice.forks, choice.cells)
            if not sequence.forks:
                continue
            begun = True
            best, leaves = choice.best, choice.next_round() if not choice.done else ()
            growth = ranking.grow(
                leaves, sequence.held, best, forks=sequence.forks, slot=sequence.slot, position=sequence.length
            )
            for fork in growth.dropped:
                self.backend.drop(fork)
            for source, target in growth.copies:
                self.backend.copy(source, target)
            sequence.held = growth.held
            room -= len(growth.rows)
            rounds.append((sequence, choice, growth))
        rows = [row for _, _, growth in rounds for row in growth.rows]
        if rows:
            self._decode(rows)
        first = 0
        for _, choice, growth in rounds:
            choice.take({node: self.backend.logits(first + i) for i, node in enumerate(growth.nodes)})
            first += len(growth.rows)
        for sequence, choice, _ in rounds:
            if choice.done:
                with self._giving_up(sequence):
                    self._win(sequence, choice.choices())

    def _win(self, sequence: Sequence, choices: list[Choice]) -> None:
        """Append the winner's tokens. Those that a fork has decoded are not decoded again."""
        decoded = tuple(choice.token for choice in choices[: sequence.room][:-1])
        fork = ranking.holding(decoded, sequence.held)
        for choice in choices[: sequence.room]:
            sequence.append(choice)
        if fork is not None:
            self.backend.copy(fork, sequence.slot, sequence.length + len(decoded))
            sequence.length += len(decoded)
            del sequence.pending[: len(decoded)]
        self._close_forks(sequence)
        sequence.ranking = None
        self._follow(sequence)

    def _close_forks(self, sequence: Sequence) -> None:
        for fork in self.ledger.unfork(sequence.slot):
            self.backend.drop(fork)
        sequence.forks, sequence.held = (), {}

    def _follow(self, sequence: Sequence) -> None:
        """After a commit: append what the grammar forces, and find out whether the answer is complete."""
        sequence.state = State.DECODE
        while not sequence.cursor.done():
            if sequence.room == 0:
                sequence.stop = Stop.LENGTH
                break
            following = sequence.cursor.forced() if self._forced_tokens else ()
            if not following:
                return
            for token in following[: sequence.room]:
                sequence.append(forced(token), forced=True)
        sequence.state = State.DONE

    def _decode(self, rows: list[Row] | tuple[Row, ...]) -> None:
        self.calls += 1
        self.backend.decode(rows)

    def _release(self, sequence: Sequence) -> None:
        self._close_forks(sequence)
        self.backend.drop(sequence.slot)
        self.ledger.release(sequence.slot)


def _split(prompt: Prompt) -> tuple[list[Segment], tuple[int, ...]]:
    """The leading shared segments, and the tokens behind them."""
    shared: list[Segment] = []
    for segment in prompt.segments:
        if not segment.shared:
            break
        shared.append(segment)
    return shared, tuple(t for segment in prompt.segments[len(shared) :] for t in segment.tokens)


def _refused(prompt: Prompt, stop: Stop) -> Completion:
    return Completion(prompt.work_key, (), (), (), (), Counts(), stop)

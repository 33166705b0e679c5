"""The ledger under any order of what the loop does, and the laws of a call's plan."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pipeline.batching.scheduler import rows_of, schedule
from pipeline.batching.sequence import Sequence, State
from pipeline.batching.slots import Key, Ledger
from pipeline.data import ConstraintSpec, Prompt, Segment

CELLS, FORK_CELLS, HOLDERS, SLOTS, FORKS = 60, 12, 3, 4, 5


class AnyOrder(RuleBasedStateMachine):
    """Takes and gives back as the loop may, and keeps books of its own beside the ledger's."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(cells=CELLS, holders=HOLDERS, slots=SLOTS, forks=FORKS, fork_cells=FORK_CELLS)
        self.slots: dict[int, tuple[int, Key]] = {}
        self.forks: dict[int, tuple[int, ...]] = {}

    @rule(part=st.sampled_from("abc"), cells=st.integers(1, 30), below=st.randoms())
    def hold(self, part, cells, below):
        parent = below.choice([(), *self.ledger.holders])
        key = (*parent, part)
        if key not in self.ledger.holders and self.ledger.can_hold(cells):
            self.ledger.open_holder(key, cells, cells)

    @rule(cells=st.integers(1, 40), on=st.randoms())
    def admit(self, cells, on):
        key = on.choice([(), *self.ledger.holders])
        if self.ledger.can_admit(cells):
            slot = self.ledger.admit(cells, key)
            assert slot not in self.slots
            self.slots[slot] = cells, key

    @precondition(lambda self: self.slots)
    @rule(which=st.randoms())
    def release(self, which):
        slot = which.choice(sorted(self.slots))
        assert self.ledger.unfork(slot) == self.forks.pop(slot, ())
        self.ledger.release(slot)
        del self.slots[slot]

    @precondition(lambda self: self.slots.keys() - self.forks.keys())
    @rule(which=st.randoms(), count=st.integers(1, FORKS), cells=st.integers(1, FORK_CELLS))
    def fork(self, which, count, cells):
        slot = which.choice(sorted(self.slots.keys() - self.forks.keys()))
        if forks := self.ledger.fork(slot, count, cells):
            self.forks[slot] = forks

    @rule(keep=st.sampled_from([(), ("a",), ("a", "b")]))
    def evict(self, keep):
        holder = self.ledger.evictable(keep)
        if holder is not None:
            assert holder.key != keep[: len(holder.key)]
            assert all(key[: len(holder.key)] != holder.key for _, key in self.slots.values())
            self.ledger.close_holder(holder.key)

    @invariant()
    def everything_adds_up(self):
        self.ledger.check()
        holders = self.ledger.holders.values()
        ids = [
            *(holder.id for holder in holders),
            *self.slots,
            *(one for forks in self.forks.values() for one in forks),
        ]
        assert len(ids) == len(set(ids))
        assert self.ledger.busy == len(self.slots)
        owned = sum(holder.cells for holder in holders) + sum(cells for cells, _ in self.slots.values())
        assert self.ledger.free_cells == self.ledger.capacity - owned >= 0

    def teardown(self):
        for slot in self.slots:
            self.ledger.unfork(slot)
            self.ledger.release(slot)
        while (holder := self.ledger.evictable(())) is not None:
            self.ledger.close_holder(holder.key)
        assert self.ledger.free_cells == self.ledger.capacity
        assert not self.ledger.holders


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def answer(slot: int, length: int, pending: list[int], state: State) -> Sequence:
    prompt = Prompt("key", (Segment.of([1]),), ConstraintSpec("{}"), 10)
    return Sequence(prompt, None, slot, length, pending, 0, state)


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.lists(st.integers(0, 99), max_size=12), st.sampled_from(list(State))),
        max_size=8,
    ),
    st.integers(1, 20),
    st.integers(1, 5),
)
def test_a_call_keeps_to_its_sizes_and_mixes_no_prompts_with_answers(drawn, max_batch, max_outputs):
    answers = [answer(slot, *each) for slot, each in enumerate(drawn)]

    plan = schedule(answers, max_batch=max_batch, max_outputs=max_outputs)
    rows, ends = rows_of(plan)

    assert len(rows) == sum(take for _, take in plan) <= max_batch
    assert sum(row.logits for row in rows) == len(ends) <= max_outputs
    kind = State.PREFILL if any(each.state is State.PREFILL for each in answers) else State.DECODE
    assert {each.state for each, _ in plan} <= {kind}
    assert bool(plan) == any(each.state is kind and each.pending for each in answers)
    for each, at in ends:
        assert (rows[at].token, rows[at].position) == (each.pending[-1], each.length + len(each.pending) - 1)

"""Who is blamed for a crash."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.supervise import CrashLedger, Fates


def test_twice_beside_others_then_alone_then_poison():
    ledger = CrashLedger()
    assert ledger.crashed(["a"]) == Fates(again=("a",))
    assert not ledger.must_run_alone("a")
    assert ledger.crashed(["a"]) == Fates(alone=("a",))
    assert ledger.must_run_alone("a")
    assert ledger.crashed(["a"]) == Fates(poison=("a",))


def test_the_order_of_what_was_in_flight_is_kept_and_a_key_counts_once_in_a_crash():
    ledger = CrashLedger()
    ledger.crashed(["b", "b", "b"])
    assert ledger.crashed(["c", "b", "a", "b"]) == Fates(again=("c", "a"), alone=("b",))


def test_what_is_finished_is_forgotten():
    ledger = CrashLedger()
    ledger.crashed(["a"])
    ledger.forget(["a", "never seen"])
    assert ledger.crashed(["a"]) == Fates(again=("a",))


def test_a_crash_with_nothing_in_flight_blames_nobody():
    assert CrashLedger().crashed([]) == Fates()


@given(
    poison=st.sets(st.integers(0, 19), max_size=4),
    slots=st.integers(1, 8),
    done_before_crash=st.lists(st.integers(0, 8), max_size=200),
)
def test_a_night_ends_with_every_innocent_item_done_and_every_poisoned_one_named(poison, slots, done_before_crash):
    ledger, done, failed = CrashLedger(), [], []
    queue, alone = [str(number) for number in range(20)], []
    lucky = iter(done_before_crash)
    for _ in range(1000):
        if not queue and not alone:
            break
        batch = [queue.pop(0) for _ in range(min(slots, len(queue)))] if queue else [alone.pop(0)]
        if any(int(key) in poison for key in batch):
            finished = [key for key in batch if int(key) not in poison][: next(lucky, 0)]
            fates = ledger.crashed([key for key in batch if key not in finished])
            queue = [*fates.again, *queue]
            alone += fates.alone
            failed += fates.poison
        else:
            finished = batch
        ledger.forget(finished)
        done += finished
    assert sorted(map(int, failed)) == sorted(poison)
    assert sorted(map(int, done)) == sorted(set(range(20)) - poison)

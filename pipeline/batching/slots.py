"""The ledger of sequence ids and KV cells. Pure counting: it never touches the backend.

Ids: holders first (each keeps a shared stretch of prompt), then slots (one answer each), then forks (short-lived,
for scoring alternatives). A cell is paid for once: by the holder that decoded it, or by the slot that reserved it.
Nothing is admitted that could not also finish, so the cache cannot run full in the middle of an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

Key = tuple[str, ...]
"""Hashes of the leading shared segments, from the first one on."""


@dataclass(slots=True)
class Holder:
    """A sequence that keeps a shared stretch. `users` counts slots and child holders built on it."""

    id: int
    key: Key
    cells: int  # its own, without its parent's
    length: int  # positions in all
    parent: Key | None
    users: int = 0
    used_at: int = 0


class Ledger:
    """Who owns which sequence id and how many cells. Changed by the loop alone."""

    def __init__(self, *, cells: int, holders: int, slots: int, forks: int, fork_cells: int) -> None:
        self.cells = cells
        self.fork_cells = fork_cells
        self.num_slots = slots
        self.num_forks = forks
        self.holders: dict[Key, Holder] = {}
        self._free_holders = list(range(holders - 1, -1, -1))
        self._free_slots = list(range(holders + slots - 1, holders - 1, -1))
        self._free_forks = list(range(holders + slots + forks - 1, holders + slots - 1, -1))
        self._forks: dict[int, tuple[tuple[int, ...], int]] = {}  # of a slot, and their cells
        self._reserved: dict[int, int] = {}
        self._slot_key: dict[int, Key] = {}
        self._num_holders = holders
        self._clock = 0

    @property
    def capacity(self) -> int:
        """Cells that one prompt and its answer can have at most."""
        return self.cells - self.fork_cells

    @property
    def free_cells(self) -> int:
        """Cells that nobody owns or has reserved."""
        held = sum(holder.cells for holder in self.holders.values())
        return self.capacity - held - sum(self._reserved.values())

    @property
    def busy(self) -> int:
        """Slots in use."""
        return len(self._reserved)

    def evictable(self, keep: Key) -> Holder | None:
        """The least recently used holder that nothing is built on and that is not part of `keep`."""
        idle = [h for h in self.holders.values() if h.users == 0 and h.key != keep[: len(h.key)]]
        return min(idle, key=lambda holder: holder.used_at, default=None)

    def can_hold(self, cells: int) -> bool:
        """A holder id and this many cells are free."""
        return bool(self._free_holders) and cells <= self.free_cells

    def open_holder(self, key: Key, cells: int, length: int) -> Holder:
        """Take a holder id and its cells. Call `can_hold` first."""
        parent = key[:-1] if len(key) > 1 else None
        holder = Holder(self._free_holders.pop(), key, cells, length, parent)
        if parent is not None:
            self.holders[parent].users += 1
        self.holders[key] = holder
        self.touch(key)
        return holder

    def close_holder(self, key: Key) -> int:
        """Give a holder back; returns its id, which the caller drops from the backend."""
        holder = self.holders.pop(key)
        if holder.parent is not None:
            self.holders[holder.parent].users -= 1
        self._free_holders.append(holder.id)
        return holder.id

    def touch(self, key: Key) -> None:
        """Mark a holder as used now."""
        self._clock += 1
        self.holders[key].used_at = self._clock

    def can_admit(self, cells: int) -> bool:
        """A slot and this many cells are free."""
        return bool(self._free_slots) and cells <= self.free_cells

    def admit(self, cells: int, key: Key) -> int:
        """Reserve a slot and its worst case of cells, on top of the holder `key` (empty: none)."""
        slot = self._free_slots.pop()
        self._reserved[slot] = cells
        self._slot_key[slot] = key
        if key:
            self.holders[key].users += 1
            self.touch(key)
        return slot

    def release(self, slot: int) -> None:
        """Give a slot and its cells back."""
        del self._reserved[slot]
        key = self._slot_key.pop(slot)
        if key:
            self.holders[key].users -= 1
        self._free_slots.append(slot)

    def fork(self, slot: int, count: int, cells: int) -> tuple[int, ...]:
        """Take forks for a slot, and reserve the cells that they may have; none when it must wait."""
        used = sum(reserved for _, reserved in self._forks.values())
        if count > len(self._free_forks) or cells > self.fork_cells - used:
            return ()
        forks = tuple(self._free_forks.pop() for _ in range(count))
        self._forks[slot] = forks, cells
        return forks

    def unfork(self, slot: int) -> tuple[int, ...]:
        """Give a slot's forks back, where it has any; returns their ids, which the caller drops from the backend."""
        forks, _ = self._forks.pop(slot, ((), 0))
        self._free_forks.extend(reversed(forks))
        return forks

    def check(self) -> None:
        """Everything adds up, else AssertionError with the numbers. Called when idle and by tests."""
        holders, slots = self._num_holders, self.num_slots
        if len(self._free_holders) + len(self.holders) != holders:
            raise AssertionError(f"holders: {len(self._free_holders)} free + {len(self.holders)} of {holders}")
        if len(self._free_slots) + len(self._reserved) != slots:
            raise AssertionError(f"slots: {len(self._free_slots)} free + {len(self._reserved)} of {slots}")
        if len(self._free_forks) + sum(len(forks) for forks, _ in self._forks.values()) != self.num_forks:
            raise AssertionError(f"forks: {len(self._free_forks)} free of {self.num_forks}")
        if not 0 <= self.free_cells <= self.cells:
            raise AssertionError(f"cells: {self.free_cells} free of {self.cells}")
        for key, holder in self.holders.items():
            users = sum(k == key for k in self._slot_key.values())
            users += sum(h.parent == key for h in self.holders.values())
            if users != holder.users:
                raise AssertionError(f"holder {holder.id}: {holder.users} users counted, {users} found")

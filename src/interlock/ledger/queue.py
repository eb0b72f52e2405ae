"""What waits to be written, in the order in which it came.

Above: record puts, write takes. Below: written. The queue itself has no bound: the recorder asks for room before it puts.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from interlock.core.events import Record
from interlock.core.lots import Lot
from interlock.core.store import Store
from interlock.core.time import Clock

from .written import Written

_BRIEF_BYTES = 400
"""What a call of a lot takes in memory."""


class Entry:
    """A settled call and the slot that remembers it."""

    __slots__ = ("at_s", "records", "size", "slot")
    weight = holds = 1
    """Records, and slots."""

    def __init__(self, records: tuple[Record, ...], slot: int, size: int) -> None:
        self.records = records
        self.slot = slot
        self.size = size
        self.at_s = 0.0


class Appended:
    """Records that somebody waits for."""

    __slots__ = ("at_s", "records", "size", "weight", "written")
    holds = 0

    def __init__(self, records: tuple[Record, ...], size: int, written: Written[None]) -> None:
        self.weight = len(records)
        self.records = records
        self.size = size
        self.written = written
        self.at_s = 0.0


class Job:
    """Another write, in its place in the order."""

    __slots__ = ("at_s", "job", "size", "written")
    weight, holds = 1, 0

    def __init__(self, job: Callable[[Store], Any], written: Written[Any] | None, size: int = 256) -> None:
        self.job = job
        self.written = written
        self.size = size
        self.at_s = 0.0


class Calls:
    """A lot of settled calls, and the slots that remember them."""

    __slots__ = ("at_s", "holds", "lot", "size", "slots", "weight")

    def __init__(self, lot: Lot, slots: list[int]) -> None:
        self.lot = lot
        self.slots = slots
        self.weight = self.holds = len(slots)
        self.size = len(slots) * _BRIEF_BYTES
        self.at_s = 0.0


Item = Entry | Appended | Calls | Job


class Queue:
    """First in, first out; the taker waits a moment for company unless somebody waits for the answer."""

    def __init__(self, clock: Clock, hurry: int) -> None:
        """From `hurry` waiting items on, the taker waits for no more."""
        self._clock = clock
        self._hurry = hurry
        self._waiting: deque[Item] = deque()
        self._taken: list[Item] = []
        """Taken but not written yet: after a failed write they are still the oldest."""
        self._lock = threading.Lock()
        self._bell = threading.Lock()
        """Held but for the moment in which the taker is rung: a condition would make a lock for each wait."""
        self._bell.acquire()
        self._asleep = False
        self._urgent = False
        self._looking = False
        """The taker waits for a window to end, and takes then whatever is there."""
        self._closed = False
        self._records = 0
        self.slots = 0
        """How many of the waiting items hold a slot."""
        self.bytes = 0

    def put(self, item: Item, *, urgent: bool = False) -> None:
        item.at_s = self._clock.monotonic_s()
        with self._lock:
            self._waiting.append(item)
            self.bytes += item.size
            self._records += item.weight
            self.slots += item.holds
            if urgent or len(self._waiting) >= self._hurry:
                self._urgent = True
            ring = self._asleep and (self._urgent or not self._looking)
            self._asleep = self._asleep and not ring
        if ring:
            self._bell.release()

    def take(self, most: int, window_s: float) -> list[Item]:
        """The next items, at least one; empty when the queue is closed and drained.

        Items stay counted until `done`; until then `withdraw` refuses them.
        """
        with self._lock:
            if not self._urgent and not self._closed and len(self._waiting) < most:
                # After a commit the next one is a window away at least: what comes meanwhile waits for company and wakes nobody; an urgent one ends the wait.
                self._look(window_s)
            if not self._waiting and not self._closed:
                while not self._waiting and not self._closed:
                    self._rest(None)
                self._look(window_s)
            taken: list[Item] = []
            records = 0
            while self._waiting and records < most:
                item = self._waiting.popleft()
                taken.append(item)
                records += item.weight
            self._urgent = self._urgent and bool(self._waiting)
            self._taken = list(taken)
            return taken

    def done(self, items: Sequence[Item]) -> None:
        """These, the oldest of what was taken, are written (or refused for good)."""
        with self._lock:
            del self._taken[: len(items)]
            self._uncount(items)

    def put_back(self, items: list[Item]) -> None:
        """These could not be written; they are the oldest again."""
        with self._lock:
            self._taken = []
            self._waiting.extendleft(reversed(items))

    def withdraw(self, item: Item) -> bool:
        """Takes one out again; False when it is being written at this moment or is written already."""
        with self._lock:
            try:
                self._waiting.remove(item)
            except ValueError:
                return False
            self._uncount((item,))
            return True

    def pause(self, seconds: float) -> None:
        """Waits before another try; closing meanwhile ends the wait."""
        with self._lock:
            before, until_s = self._closed, time.monotonic() + seconds
            while self._closed == before and (left_s := until_s - time.monotonic()) > 0:
                self._rest(left_s)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            ring, self._asleep = self._asleep, False
        if ring:
            self._bell.release()

    def state(self) -> tuple[int, float]:
        """How many records wait, and how long the oldest has waited (seconds)."""
        with self._lock:
            oldest = self._taken[0] if self._taken else self._waiting[0] if self._waiting else None
            return self._records, self._clock.monotonic_s() - oldest.at_s if oldest else 0.0

    def _look(self, window_s: float) -> None:
        """A window for what comes to gather in; an urgent one ends it."""
        until_s = time.monotonic() + window_s
        self._looking = True
        while not self._urgent and not self._closed and (left_s := until_s - time.monotonic()) > 0:
            self._rest(left_s)
        self._looking = False

    def _rest(self, most_s: float | None) -> None:
        """With the lock held, which is let go meanwhile: until somebody rings, or for so long."""
        self._asleep = True
        self._lock.release()
        try:
            rung = self._bell.acquire(timeout=-1 if most_s is None else min(most_s, threading.TIMEOUT_MAX))
        finally:
            self._lock.acquire()
        if self._asleep:
            self._asleep = False
        elif not rung:  # rung just now, when time was up
            self._bell.acquire()

    def _uncount(self, items: Sequence[Item]) -> None:
        for item in items:
            self.bytes -= item.size
            self._records -= item.weight
            self.slots -= item.holds

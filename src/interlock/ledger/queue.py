"""What waits to be written, in the order in which it came.

Above: record puts, write takes. Below: nothing. The queue itself has no bound: the recorder asks for room before it puts.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from interlock.core.events import Record
from interlock.core.store import Store
from interlock.core.time import Clock

T = TypeVar("T")


class Written(Generic[T]):
    """The answer that somebody on an event loop waits for, given from the writing thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.future: asyncio.Future[T] = loop.create_future()

    def give(self, value: T) -> None:
        self._on_loop(lambda: self.future.done() or self.future.set_result(value))

    def fail(self, error: BaseException) -> None:
        self._on_loop(lambda: self.future.done() or self.future.set_exception(error))

    def _on_loop(self, answer: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(answer)
        except RuntimeError:
            # The loop is closed: nobody waits any more. The write itself has been decided either way.
            return


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


Item = Entry | Appended | Job


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
        self._change = threading.Condition(self._lock)
        self._urgent = False
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
            many = len(self._waiting)
            if urgent or many >= self._hurry:
                self._urgent = True
            if self._urgent or many == 1:
                self._change.notify()

    def take(self, most: int, window_s: float) -> list[Item]:
        """The next items, at least one; empty when the queue is closed and drained.

        Items stay counted until `done`; until then `withdraw` refuses them.
        """
        with self._change:
            while not self._waiting and not self._closed:
                self._change.wait()
            if not self._urgent and not self._closed and len(self._waiting) < most:
                # The first to come waits for company; an urgent one ends the wait.
                self._change.wait_for(lambda: self._urgent or self._closed, window_s)
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
        with self._change:
            del self._taken[: len(items)]
            self._uncount(items)

    def put_back(self, items: list[Item]) -> None:
        """These could not be written; they are the oldest again."""
        with self._change:
            self._taken = []
            self._waiting.extendleft(reversed(items))

    def withdraw(self, item: Item) -> bool:
        """Takes one out again; False when it is being written at this moment or is written already."""
        with self._change:
            try:
                self._waiting.remove(item)
            except ValueError:
                return False
            self._uncount((item,))
            return True

    def pause(self, seconds: float) -> None:
        """Waits before another try; closing meanwhile ends the wait."""
        with self._change:
            before = self._closed
            self._change.wait_for(lambda: self._closed != before, seconds)

    def close(self) -> None:
        with self._change:
            self._closed = True
            self._change.notify_all()

    def state(self) -> tuple[int, float]:
        """How many records wait, and how long the oldest has waited (seconds)."""
        with self._change:
            oldest = self._taken[0] if self._taken else self._waiting[0] if self._waiting else None
            return self._records, self._clock.monotonic_s() - oldest.at_s if oldest else 0.0

    def _uncount(self, items: Sequence[Item]) -> None:
        self.bytes -= sum([item.size for item in items])
        self._records -= sum([item.weight for item in items])
        self.slots -= sum([item.holds for item in items])

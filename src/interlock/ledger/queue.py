"""What waits to be written, in the order in which it came.

Above: record puts, write takes. Below: nothing. The queue itself has no bound: the recorder asks for room before it puts.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast

from interlock.core.events import Record
from interlock.core.lots import Lot
from interlock.core.store import Store
from interlock.core.time import Clock

T = TypeVar("T")
_BRIEF_BYTES = 400
"""What a call of a lot takes in memory."""


class Written(Generic[T]):
    """The answer that somebody on an event loop waits for, given from the writing thread. Its state changes on the loop's thread alone."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.done = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def within(self, wait_s: float) -> None:
        """Returns when the answer is there, or when time is up."""
        if self.done:
            return
        self._waiter = self.loop.create_future()
        timer = self.loop.call_later(wait_s, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()

    def result(self) -> T:
        """The answer, which is there; an error is raised."""
        if self._error is not None:
            raise self._error
        return cast("T", self._value)

    def take(self, value: T | None, error: BaseException | None) -> None:
        """On the loop's thread: this is the answer."""
        if not self.done:
            self.done, self._value, self._error = True, value, error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


Answer = tuple[Written[Any], Any, BaseException | None]
"""To whom, the value, or else the error."""


def tell(answers: Sequence[Answer]) -> None:
    """From the writing thread: gives answers, waking each loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Answer]] = {}
    for answer in answers:
        by_loop.setdefault(answer[0].loop, []).append(answer)
    for loop, its in by_loop.items():
        with suppress(RuntimeError):  # closed: nobody waits any more, and the writes have been decided either way
            loop.call_soon_threadsafe(_taken, its)


def _taken(answers: Sequence[Answer]) -> None:
    for written, value, error in answers:
        written.take(value, error)


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
        self._change = threading.Condition(self._lock)
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
            many, urged = len(self._waiting), self._urgent
            if urgent or many >= self._hurry:
                self._urgent = True
            # Whoever takes was woken for the first that is urgent, and need not be for those that follow.
            if (self._urgent and (many == 1 or not urged)) or (many == 1 and not self._looking):
                self._change.notify()

    def take(self, most: int, window_s: float) -> list[Item]:
        """The next items, at least one; empty when the queue is closed and drained.

        Items stay counted until `done`; until then `withdraw` refuses them.
        """
        with self._change:
            if not self._urgent and not self._closed and len(self._waiting) < most:
                # After a commit the next one is a window away at least: what comes meanwhile waits for company and wakes nobody; an urgent one ends the wait.
                self._looking = True
                self._change.wait_for(lambda: self._urgent or self._closed, window_s)
                self._looking = False
            if not self._waiting and not self._closed:
                self._sleep(window_s)
            taken: list[Item] = []
            records = 0
            while self._waiting and records < most:
                item = self._waiting.popleft()
                taken.append(item)
                records += item.weight
            self._urgent = self._urgent and bool(self._waiting)
            self._taken = list(taken)
            return taken

    def _sleep(self, window_s: float) -> None:
        """Until there is something, which then waits for company."""
        while not self._waiting and not self._closed:
            self._change.wait()
        self._change.wait_for(lambda: self._urgent or self._closed, window_s)

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

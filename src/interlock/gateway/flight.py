"""Request coalescing (single flight): of identical calls at the same time one is sent, and the others wait for its answer or read its stream along.

Above: cache, pump. Below: replay, `core`. Whoever leads settles what the vendor bills; those who wait settle with no cost of their own. A leader that
goes leaves its place to one who waits; a stream that others read goes on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from interlock.core.chat import Chunk
from interlock.core.errors import (
    DeadlineMissed,
    Exhausted,
    InvalidRequest,
    OutputInvalid,
    UpstreamCut,
    UpstreamError,
)
from interlock.core.time import Clock, Deadline

from .call import Answer
from .replay import replayed

MOST_FOLLOWERS = 10_000
"""Who wait for one leader; further calls go their own way."""
SHARED = (UpstreamError, Exhausted, InvalidRequest, OutputInvalid)
"""Failures that say something about the request or its vendor, so that asking again right away would only add to the harm.
A limit, a deadline or a cancellation is the leader's own affair."""


class Left(Exception):
    """The leader went without an answer that can be shared; one who waits takes its place. Never leaves this room."""


class Flight:
    """One upstream call under way, and those who wait for it."""

    __slots__ = ("_changed", "answer", "cost_nano_usd", "error", "pieces", "shown", "waiting", "when_alone")

    def __init__(self) -> None:
        self.waiting = 0
        self.answer: Answer | None = None
        self.cost_nano_usd = 0
        self.error: BaseException | None = None
        self.pieces: list[Chunk] = []
        """Of a stream, from its beginning."""
        self.shown = False
        """The stream goes on whoever leaves, so that its pieces may be passed on."""
        self.when_alone: Callable[[], object] | None = None
        """Called when nobody waits any more, once the leader has gone."""
        self._changed: asyncio.Future[None] | None = None

    @property
    def over(self) -> bool:
        return self.answer is not None or self.error is not None

    def add(self, chunk: Chunk) -> None:
        """One more piece; wakes those who read along."""
        self.pieces.append(chunk)
        if self.shown:
            self.changed()

    def changed(self) -> None:
        """Wakes everybody who waits."""
        if self._changed is not None:
            waked, self._changed = self._changed, None
            if not waked.done():
                waked.set_result(None)

    async def whole(self, clock: Clock, deadline: Deadline) -> Answer:
        """The leader's answer.

        Raises:
            Left: there is none to share. InterlockError: the leader's own, where it is shared. DeadlineMissed.
        """
        with _Waiting(self):
            while not self.over:
                await self._change(clock, deadline)
        return self._outcome()

    async def read(self, clock: Clock, deadline: Deadline) -> AsyncGenerator[Chunk]:
        """The leader's pieces from the beginning, as they come. Raises as `whole`; `Left` before the first piece only."""
        with _Waiting(self):
            async for chunk in self.from_place(0, clock, deadline):
                yield chunk

    async def from_place(self, at: int, clock: Clock, deadline: Deadline) -> AsyncGenerator[Chunk]:
        """As `read`, from a piece on, without counting as one who waits."""
        begun = at
        while True:
            while self.shown and at < len(self.pieces):
                at += 1
                yield self.pieces[at - 1]
            if self.over:
                break
            await self._change(clock, deadline)
        if self.error is not None and at and not isinstance(self.error, SHARED):
            raise UpstreamCut("the stream that was shared with an identical call ended before its answer was whole.")
        answer = self._outcome()
        if at == begun == 0:  # the whole of it came before anything could be shown
            for chunk in replayed(answer):
                yield chunk

    def _outcome(self) -> Answer:
        if self.answer is not None:
            return self.answer
        if isinstance(self.error, SHARED):
            raise self.error.with_traceback(None)
        raise Left

    async def _change(self, clock: Clock, deadline: Deadline) -> None:
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        left_s = deadline.left_s(clock)
        done, _ = await asyncio.wait((self._changed,), timeout=max(0.0, left_s))
        if not done:
            raise DeadlineMissed(
                f"the call's deadline of {deadline.total_s:g} s passed while an identical call was under way."
            )


class _Waiting:
    """Counts one who waits, however the waiting ends."""

    __slots__ = ("_flight",)

    def __init__(self, flight: Flight) -> None:
        self._flight = flight

    def __enter__(self) -> None:
        self._flight.waiting += 1

    def __exit__(self, *_: object) -> None:
        flight = self._flight
        flight.waiting -= 1
        if not flight.waiting and flight.when_alone is not None:
            flight.when_alone()


class Flights:
    """Upstream calls under way by the key of what they ask. As many as there are calls at most."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, Flight] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        """Streams that go on for those who read along, and what is learnt from answers after they were given."""

    def __len__(self) -> int:
        return len(self._by_key)

    def of(self, key: bytes) -> Flight | None:
        """The one to wait for, if there is one that takes more."""
        flight = self._by_key.get(key)
        return None if flight is None or flight.waiting >= MOST_FOLLOWERS else flight

    def lead(self, key: bytes) -> Flight | None:
        """A new one; `None` where one is under way already that takes nobody any more."""
        if key in self._by_key:
            return None
        flight = self._by_key[key] = Flight()
        return flight

    def land(self, key: bytes, flight: Flight, answer: Answer, cost_nano_usd: int) -> None:
        """The answer has come."""
        del self._by_key[key]
        flight.answer, flight.cost_nano_usd = answer, cost_nano_usd
        flight.changed()

    def done(self, key: bytes) -> None:
        """The answer has come, and nobody waits for it."""
        del self._by_key[key]

    def fail(self, key: bytes, flight: Flight, error: BaseException) -> None:
        """There will be none."""
        del self._by_key[key]
        flight.error = error
        flight.changed()

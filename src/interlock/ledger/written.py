"""Answers from the writing thread to those who wait for them on an event loop.

Above: queue, record, write. Below: nothing. What is here changes on the loop's thread alone; `tell` is called on the writing one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class Waits:
    """Who waits on one event loop, under one timer: one for each would be made and cancelled with every step of a task."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._until: dict[Written[Any], float] = {}
        self._next_s = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def add(self, written: Written[Any], wait_s: float) -> None:
        """`written` is woken after `wait_s`, unless it is dropped before."""
        until_s = self._until[written] = self.loop.time() + wait_s
        if until_s < self._next_s:
            self._set(until_s)

    def drop(self, written: Written[Any]) -> None:
        self._until.pop(written, None)

    def _set(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next_s, self._timer = at_s, self.loop.call_at(at_s, self._look)

    def _look(self) -> None:
        """Wakes those whose time is up; the timer goes on for the others, if there are any."""
        self._next_s, self._timer = math.inf, None
        now_s = self.loop.time()
        for written in [written for written, until_s in self._until.items() if until_s <= now_s]:
            del self._until[written]
            written.wake()
        if self._until:
            self._set(min(self._until.values()))


class Written(Generic[T]):
    """The answer that somebody on an event loop waits for."""

    __slots__ = ("_error", "_value", "_waiter", "_waits", "done", "loop")

    def __init__(self, waits: Waits) -> None:
        self.loop = waits.loop
        self.done = False
        self._waits = waits
        self._value: T | None = None
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def within(self, wait_s: float) -> None:
        """Returns when the answer is there, or when time is up."""
        if self.done:
            return
        self._waiter = self.loop.create_future()
        self._waits.add(self, wait_s)
        try:
            await self._waiter
        finally:
            self._waits.drop(self)

    def result(self) -> T:
        """The answer, which is there; an error is raised."""
        if self._error is not None:
            raise self._error
        return cast("T", self._value)

    def take(self, value: T | None, error: BaseException | None) -> None:
        """This is the answer."""
        if not self.done:
            self.done, self._value, self._error = True, value, error
            self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


Answer = tuple[Written[Any], Any, BaseException | None]
"""To whom, the value, or else the error."""


def tell(answers: Sequence[Answer]) -> None:
    """From the writing thread: gives answers, waking each loop once."""
    if len(answers) == 1:
        written, value, error = answers[0]
        _call(written.loop, written.take, value, error)
        return
    by_loop: dict[asyncio.AbstractEventLoop, list[Answer]] = {}
    for answer in answers:
        by_loop.setdefault(answer[0].loop, []).append(answer)
    for loop, its in by_loop.items():
        _call(loop, _taken, its)


def _call(loop: asyncio.AbstractEventLoop, what: Callable[..., None], *args: Any) -> None:
    with suppress(RuntimeError):  # closed: nobody waits any more, and the writes have been decided either way
        loop.call_soon_threadsafe(what, *args)


def _taken(answers: Sequence[Answer]) -> None:
    for written, value, error in answers:
        written.take(value, error)

"""One timer for all tries under way: whoever overstays its time is cancelled.

Above: attempt. Below: asyncio. A timer for each try would cost more than all else the gateway does about it, and hardly one would ever fire.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Any, Self


class Stay:
    """One try under watch: leaving the `with` block of one that overstayed raises `TimeoutError`, as `asyncio.timeout` does."""

    __slots__ = ("_before", "_task", "_watch", "due", "expired")

    def __init__(self, watch: Watch, task: asyncio.Task[Any], due: float) -> None:
        self._watch = watch
        self._task = task
        self._before = task.cancelling()
        self.due = due
        """The loop's time at which it is ended."""
        self.expired = False

    def expire(self) -> None:
        self.expired = True
        self._task.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.gone(self)
        if self.expired and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error


class Watch:
    """Ends tasks that overstay. It belongs to the event loop that uses it."""

    __slots__ = ("_loop", "_next", "_stays")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stays: set[Stay] = set()
        self._next = math.inf
        """When the timer fires; it may find that whoever it was set for has long gone."""

    def over(self, seconds: float) -> Stay:
        """Watches the running task for so long; to be used in a `with` statement at once."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._stays, self._next = loop, set(), math.inf
        task = asyncio.current_task(loop)
        assert task is not None
        stay = Stay(self, task, loop.time() + seconds)
        self._stays.add(stay)
        if stay.due < self._next:
            self._look_at(loop, stay.due)
        return stay

    def gone(self, stay: Stay) -> None:
        self._stays.discard(stay)

    def _look_at(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._next = due
        loop.call_at(due, self._look, loop, due)

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if loop is not self._loop or due != self._next:
            return  # another timer was set for an earlier instant meanwhile, and looks after the rest
        self._next = math.inf
        now = loop.time()
        for stay in tuple(self._stays):
            if stay.due <= now:
                self._stays.discard(stay)
                stay.expire()
        if self._stays:
            self._look_at(loop, min([stay.due for stay in self._stays]))

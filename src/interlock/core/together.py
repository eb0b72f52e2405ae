"""Batching per event-loop iteration: items that arrive in the same iteration are handled one right after the other.

Above: server (requests), net (replies). Below: asyncio. Between two system calls a step costs twice to three times what it costs right after the same step for somebody else, since
its code and data have to come from afar each time (measured: docs/numbers.md). So whatever a turn of the loop brings is first taken in, all of it, and
then worked off. Nothing waits for company: a lone item is worked off in the same turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Together(Generic[T]):
    """It belongs to the event loop that uses it."""

    __slots__ = ("_waiting", "_work")

    def __init__(self, work: Callable[[T], object]) -> None:
        """`work` is called for each item, in the order in which they came."""
        self._work = work
        self._waiting: list[T] = []

    def add(self, item: T, loop: asyncio.AbstractEventLoop) -> None:
        """To be worked off once this turn has been taken in."""
        waiting = self._waiting
        waiting.append(item)
        if len(waiting) == 1:
            loop.call_soon(self._work_off)

    def _work_off(self) -> None:
        waiting, self._waiting = self._waiting, []
        rest = iter(waiting)
        try:
            for item in rest:
                self._work(item)
        finally:
            left = list(rest)
            if left:  # a defect in one item must not keep the others from it
                self._waiting = left + self._waiting
                asyncio.get_running_loop().call_soon(self._work_off)

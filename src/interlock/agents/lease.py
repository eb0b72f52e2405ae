"""Keeping hold of tasks while they are worked on: one renewal of all leases every third of a lease, and one look at what came in for them.

Above: `service`. Below: the journal. A lease that is lost shows at the next write, which is fenced out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from interlock.core.errors import InterlockError

from .journal import Journal

LOOK_S = 0.25
"""Longest time between two looks for signals that came through another process, where no word comes of them; one small query each for all tasks at work."""


class Leases:
    """The tasks that this process holds."""

    def __init__(self, journal: Journal, called: Callable[[str], object]) -> None:
        """`called` hears of tasks for which something has come in through another process."""
        self._journal, self._called = journal, called
        self._held: set[str] = set()
        self._word = asyncio.Event()
        self._beats: tuple[asyncio.Task[None], ...] = ()

    def hold(self, task: str) -> None:
        """Renews the task's lease and listens for it from now on."""
        self._held.add(task)
        if not self._beats or any(each.done() for each in self._beats):
            self._beats = (asyncio.ensure_future(self._renew()), asyncio.ensure_future(self._listen()))

    def drop(self, task: str) -> None:
        """The task is finished or given back; renewal and looks end with the last one."""
        self._held.discard(task)
        if not self._held:
            for each in self._beats:
                each.cancel()
            self._beats = ()

    def look(self) -> None:
        """Something may have come in for one of them."""
        self._word.set()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._journal.lease_s / 3)
            try:
                lost = await self._journal.renew(sorted(self._held))
            except InterlockError:
                continue  # the store is away: the next beat tries again, and a write that matters says so itself
            self._held.difference_update(lost)

    async def _listen(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._word.wait()
            self._word.clear()
            try:
                called = await self._journal.called(sorted(self._held))
            except InterlockError:
                continue
            for task in called:
                self._called(task)

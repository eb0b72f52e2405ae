"""Keeping leases alive while tasks are worked on: one renewal for all of them, every third of a lease.

Above: `service`. Below: the journal. A lease that is lost shows at the next write, which is fenced out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from interlock.core.errors import InterlockError

from .journal import Journal


class Leases:
    """The tasks that this process holds."""

    def __init__(self, journal: Journal, called: Callable[[str], object]) -> None:
        """`called` hears of tasks for which something has come in through another process."""
        self._journal, self._called = journal, called
        self._held: set[str] = set()
        self._beat: asyncio.Task[None] | None = None

    def hold(self, task: str) -> None:
        """Renews the task's lease from now on."""
        self._held.add(task)
        if self._beat is None or self._beat.done():
            self._beat = asyncio.ensure_future(self._renew())

    def drop(self, task: str) -> None:
        """The task is finished or given back; the renewal ends with the last one."""
        self._held.discard(task)
        if not self._held and self._beat is not None:
            self._beat.cancel()
            self._beat = None

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._journal.lease_s / 3)
            try:
                lost = await self._journal.renew(sorted(self._held))
                for task in sorted(self._held.difference(lost)):
                    if await self._journal.pending(task):
                        self._called(task)
            except InterlockError:
                continue  # the store is away: the next beat tries again, and a write that matters says so itself
            self._held.difference_update(lost)

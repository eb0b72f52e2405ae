"""What successful runs of each workflow need, kept at hand for the tasks that begin. Above: tasking. Below: observe, a store.

A task that begins is never kept waiting: it is given what is known, and what is too old is read again beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from interlock.core.errors import StoreUnavailable
from interlock.core.events import Usual
from interlock.core.store import Store, TaskFilter
from interlock.core.time import NS_PER_S, Clock
from interlock.observe.usual import usual_of

NEWEST = 500
FRESH_S = 600.0
OLDEST_NS = 28 * 86_400 * NS_PER_S


class _Known(NamedTuple):
    usual: Usual | None
    at_s: float


class Usuals:
    """Asked with a workflow's name; belongs to one event loop."""

    def __init__(self, store: Store, tenant: str, clock: Clock, at_least: Mapping[str, int]) -> None:
        """`at_least`: how many successes there have to be, by workflow."""
        self._store, self._tenant, self._clock, self._at_least = store, tenant, clock, at_least
        self._known: dict[str, _Known] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}

    def __call__(self, workflow: str) -> Usual | None:
        """As far as it is known."""
        known = self._known.get(workflow)
        stale = known is None or self._clock.monotonic_s() - known.at_s > FRESH_S
        if stale and workflow in self._at_least and workflow not in self._reading:
            self._reading[workflow] = asyncio.get_running_loop().create_task(self.read(workflow))
        return known.usual if known else None

    async def read(self, workflow: str) -> None:
        """Reads the newest successes of a workflow. A store that is away is asked again later."""
        try:
            found = await asyncio.to_thread(self._of, workflow)
        except StoreUnavailable:
            found = self._known[workflow].usual if workflow in self._known else None
        finally:
            self._reading.pop(workflow, None)
        self._known[workflow] = _Known(found, self._clock.monotonic_s())

    def _of(self, workflow: str) -> Usual | None:
        since = max(0, self._clock.wall_ns() - OLDEST_NS)
        which = TaskFilter(self._tenant, workflow, "task", outcome="resolved", since_ns=since, limit=NEWEST)
        good = [row for row in self._store.tasks.list(which) if row.success is not False and not row.simulated]
        return usual_of(good, at_least=self._at_least[workflow])

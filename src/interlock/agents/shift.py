"""The worker loop of one process: takes due tasks, whichever process began them, as long as there is room.

Above: `service`, which says how one task is worked on. Below: the journal. What waits is a row in the store and nothing here; a task is taken
together with its lease, so no two processes ever work on one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct

from interlock.core.due import Waker, Wanted
from interlock.core.errors import Fenced, LedgerFull, Shed, StoreUnavailable
from interlock.core.store import TaskRow
from interlock.core.time import Clock

from .journal import Journal

_log = logging.getLogger("interlock.agents")
AGAIN_S = 1.0
"""A task that was let go is not taken by the same process again before."""
MOST_REMEMBERED = 1_000

Work = Callable[[TaskRow], Awaitable[object]]


class Terms(Struct, frozen=True):
    """How much is worked on at once, and in which order."""

    concurrency: int = 32
    """Tasks of this process."""
    per_tenant: int = 0
    """Tasks of one tenant over all processes; zero: no bound."""
    priorities: Mapping[str, int] = {}
    """By workflow; higher goes first within a tenant."""
    every_s: float = 1.0
    """Longest time between two looks: what no word came about is found then."""


class Shift:
    """Takes and works until it is told to stop. Belongs to one event loop."""

    def __init__(
        self,
        work: Work,
        journal: Journal,
        served: Sequence[tuple[str, str]],
        clock: Clock,
        terms: Terms,
        *,
        nudged: asyncio.Event,
        stopping: Callable[[], bool],
    ) -> None:
        """`work` goes on with a task whose lease is held. `served`: the (tenant, workflow) of which tasks are taken. `nudged` is set by whoever
        knows that there is something to look for, and when `stopping` becomes true.
        """
        self._work, self._journal, self._served, self._clock, self._terms = work, journal, served, clock, terms
        self._nudged, self._stopping = nudged, stopping
        self._running: set[asyncio.Task[None]] = set()
        self._left: OrderedDict[str, float] = OrderedDict()
        """Tasks that were let go lately, and when."""
        self.worked = 0
        """How many tasks were taken."""

    @property
    def under_way(self) -> int:
        return len(self._running)

    async def run(self) -> None:
        """Returns when it has been told to stop and every task under way has been let go at its next step."""
        more = True
        try:
            while not self._stopping():
                if not more:
                    await self._something_new()
                self._nudged.clear()
                more = await self._take() and not self._stopping()
        finally:
            if self._running:
                await asyncio.gather(*self._running, return_exceptions=True)

    async def _take(self) -> bool:
        """Takes what there is room for; whether it is worth another look at once, since there may be more and there is room."""
        room = self._terms.concurrency - len(self._running)
        if room <= 0:
            return False
        wanted = Wanted(
            tuple(self._served), room, self._terms.per_tenant, self._terms.priorities, tuple(self._lately_left())
        )
        try:
            rows = await self._journal.take(wanted)
        except (StoreUnavailable, LedgerFull):
            return False
        for row in rows:
            task = asyncio.ensure_future(self._one(row))
            self._running.add(task)
            task.add_done_callback(self._ended)
        self.worked += len(rows)
        return len(rows) == room and len(self._running) < self._terms.concurrency

    async def _one(self, row: TaskRow) -> None:
        try:
            await self._work(row)
        except (Fenced, Shed, StoreUnavailable, LedgerFull):
            pass  # it goes on where it is, here or elsewhere
        except Exception:  # noqa: BLE001 - a defect that one task shows must not keep all others waiting
            _log.exception("task %s could not be worked on", row.id)
        self._left[row.id] = self._clock.monotonic_s()
        self._left.move_to_end(row.id)
        if len(self._left) > MOST_REMEMBERED:
            self._left.popitem(last=False)

    def _ended(self, task: asyncio.Task[None]) -> None:
        full = len(self._running) >= self._terms.concurrency
        self._running.discard(task)
        if full:
            self._nudged.set()  # there may be some that found no room

    def _lately_left(self) -> list[str]:
        since_s = self._clock.monotonic_s() - AGAIN_S
        while self._left:
            task, at_s = next(iter(self._left.items()))
            if at_s > since_s:
                break
            del self._left[task]
        return list(self._left)

    async def _something_new(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._terms.every_s):
                await self._nudged.wait()


class Listening:
    """Says when another process has made a task due. A thread of its own, which sleeps in the store's driver."""

    def __init__(self, waker: Waker, heard: Callable[[], object], *, every_s: float = 30.0) -> None:
        """`heard` is called on the event loop that calls `start`."""
        self._waker, self._heard, self._every_s = waker, heard, every_s
        self._ended = threading.Event()

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(loop,), name="interlock-due", daemon=True).start()

    def stop(self) -> None:
        self._ended.set()
        self._waker.close()

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._ended.is_set():
            if self._waker.wait(self._every_s):
                with suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(self._heard)

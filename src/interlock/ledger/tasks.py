"""Tasks for those who run them: the log, the lease and the signals of a task, each write in its order on the writing thread.

Above: agents. Below: record, and a `core.store.Store`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from interlock.core.due import Wanted
from interlock.core.events import Record
from interlock.core.sealing import KeyMissing, why_unreadable
from interlock.core.store import Signal, Store, StorePrompts, TaskRow
from interlock.core.time import NS_PER_S, Clock

from .owner import alive, this_owner
from .record import Recorder


class TaskLog:
    """What one worker process does with tasks. Every method may raise StoreUnavailable."""

    def __init__(
        self,
        recorder: Recorder,
        store: Store,
        clock: Clock,
        *,
        owner: str = "",
        lease_s: float = 30.0,
        lease_now: Callable[[], int] | None = None,
        is_alive: Callable[[str], bool] = alive,
    ) -> None:
        """`owner` names the worker (default: this process); `lease_s` is how long a lease holds without being renewed; by `lease_now`, the
        store's `lease_clock`, or `clock` where there is none.
        """
        self.owner = owner or this_owner()
        self.lease_s = lease_s
        self._recorder = recorder
        self._store = store
        self._clock = clock
        self._alive = is_alive
        self._lease_now = lease_now or clock.wall_ns

    async def begin(self, record: Record) -> int:
        """Writes a `Started` record and takes the lease with it; returns the fence.

        Raises:
            Fenced: a task of that id exists already.
        """
        return await self._recorder.run(lambda store: store.tasks.begin(record, self.owner, self._until_ns()))

    async def claim(self, task: str) -> int | None:
        """The new fence, or `None` while a living worker holds the task (or it is finished or unknown).

        A worker of this machine that has died loses its leases at once, any other when they run out.
        """

        def claiming(store: Store) -> int | None:
            now_ns = self._lease_now()
            until_ns = now_ns + self._lease_ns
            return store.tasks.claim(task, self.owner, now_ns=now_ns, lease_until_ns=until_ns, alive=self._alive)

        return await self._recorder.run(claiming)

    async def take(self, wanted: Wanted) -> Sequence[TaskRow]:
        """Claims due tasks, as `claim` does one by one; their rows hold the new fences."""

        def taking(store: Store) -> list[TaskRow]:
            now_ns, due_ns = self._lease_now(), self._clock.wall_ns()
            until_ns, alive = now_ns + self._lease_ns, self._alive
            return store.tasks.take(
                wanted, self.owner, now_ns=now_ns, lease_until_ns=until_ns, due_ns=due_ns, alive=alive
            )

        return await self._recorder.run(taking)

    async def renew(self, tasks: Sequence[str]) -> list[str]:
        """Extends leases; returns the tasks that this worker no longer holds."""
        return await self._recorder.run(
            lambda store: store.tasks.renew(tasks, self.owner, lease_until_ns=self._until_ns())
        )

    async def release(self, task: str, fence: int, wake_at_ns: int | None = None) -> bool:
        """Gives the lease back. `wake_at_ns` says when to look again; zero: only on a signal (or at once if it runs)."""
        return await self._recorder.run(lambda store: store.tasks.release(task, fence, wake_at_ns=wake_at_ns))

    async def append(self, records: Sequence[Record]) -> None:
        """Commits records; see `Recorder.append`."""
        await self._recorder.append(records)

    async def signal(self, signal: Signal) -> bool:
        """Sends a signal; False when one of that id is there already."""
        return await self._recorder.run(lambda store: store.signals.add(signal))

    async def consume(self, task: str, ids: Sequence[str]) -> None:
        """Marks signals as dealt with, once the records that follow from them are committed."""
        await self._recorder.run(lambda store: store.signals.consume(task, ids))

    async def scrub(self, task: str, policy: StorePrompts, redact: Callable[[str], str]) -> int:
        """Applies a retention policy to a finished task's content; returns how many records changed."""
        return await self._recorder.run(lambda store: store.scrub(task, policy, redact))

    async def pending(self, task: str) -> list[Signal]:
        """Signals that are not consumed, oldest first."""
        return await asyncio.to_thread(self._store.signals.pending, task)

    async def called(self, tasks: Sequence[str]) -> list[str]:
        """Those of `tasks` that something has come in for, through whichever process."""
        return await asyncio.to_thread(self._store.signals.called, tasks)

    async def records(self, task: str, *, after: int = -1) -> list[Record]:
        """The committed log in order, with content. Raises KeyMissing: what was said in it is sealed, and cannot be opened here."""
        found = await asyncio.to_thread(lambda: self._store.records(task, after=after))
        for record in found:
            if why := why_unreadable(record.content):
                raise KeyMissing(f"task {task} cannot be gone on with: {why}", hint="See `interlock vault status`.")
        return found

    async def get(self, task: str) -> TaskRow | None:
        return await asyncio.to_thread(self._store.tasks.get, task)

    async def runnable(self, *, limit: int = 100) -> Sequence[TaskRow]:
        """Tasks that somebody should work on now and nobody does, oldest first."""
        now_ns = self._clock.wall_ns()

        def read() -> Sequence[TaskRow]:
            lease_now_ns = self._lease_now()
            return self._store.tasks.runnable(now_ns, lease_now_ns=lease_now_ns, alive=self._alive, limit=limit)

        return await asyncio.to_thread(read)

    async def unfinished(self, *, limit: int = 1000) -> Sequence[TaskRow]:
        return await asyncio.to_thread(lambda: self._store.tasks.unfinished(limit=limit))

    async def find(self, batch: str, line: int) -> TaskRow | None:
        """The task of one line of an input file."""
        return await asyncio.to_thread(self._store.tasks.find, batch, line)

    async def of_batch(self, batch: str) -> Sequence[TaskRow]:
        """The tasks of one input file, by line."""
        return await asyncio.to_thread(self._store.tasks.of_batch, batch)

    def _until_ns(self) -> int:
        return self._lease_now() + self._lease_ns

    @property
    def _lease_ns(self) -> int:
        return round(self.lease_s * NS_PER_S)

"""What the agents need of the log of tasks. `ledger.TaskLog` satisfies it over any store.

Above: `run`, `service`. Below: core's records and rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from interlock.core.due import Wanted
from interlock.core.events import Record
from interlock.core.store import Signal, StorePrompts, TaskRow


class Journal(Protocol):
    """Tasks with leases and fences, their records, and the signals that people send them.

    Raises:
        StoreUnavailable: from every method, when the store could not be used within its bound.
    """

    lease_s: float
    """For how long a claim holds without being renewed."""

    async def begin(self, record: Record) -> int:
        """Writes the `Started` record and takes the lease; returns the fence. Raises Fenced when the id exists."""
        ...

    async def claim(self, task: str) -> int | None:
        """The new fence, or `None` while somebody else holds the task, or when it is finished or unknown."""
        ...

    async def take(self, wanted: Wanted) -> Sequence[TaskRow]:
        """Claims due tasks; their rows hold the new fences."""
        ...

    async def renew(self, tasks: Sequence[str]) -> Sequence[str]:
        """Extends leases; returns the tasks that were lost meanwhile."""
        ...

    async def release(self, task: str, fence: int, *, wake_at_ns: int | None = None) -> bool:
        """Gives the lease back; `wake_at_ns` says when to look again, zero: on a signal (or at once if it runs)."""
        ...

    async def append(self, records: Sequence[Record]) -> None:
        """Durable when it returns, after everything settled before. Raises Fenced."""
        ...

    async def records(self, task: str) -> list[Record]: ...

    async def get(self, task: str) -> TaskRow | None: ...

    async def runnable(self) -> Sequence[TaskRow]:
        """Tasks somebody should work on now."""
        ...

    async def find(self, batch: str, line: int) -> TaskRow | None: ...

    async def signal(self, signal: Signal) -> bool: ...

    async def pending(self, task: str) -> Sequence[Signal]: ...

    async def called(self, tasks: Sequence[str]) -> Sequence[str]:
        """Those of `tasks` that have signals pending."""
        ...

    async def consume(self, task: str, ids: Sequence[str]) -> None: ...

    async def scrub(self, task: str, policy: StorePrompts, redact: Callable[[str], str]) -> object: ...

"""Tasks and the tail of a ledger whose content is sealed: what begins a task is sealed, what is read is opened, the rest passes through.

Above: records. Below: the seams in core. What passes through carries nobody's words; a test holds the list of such methods against the seams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from interlock.core.events import Record
from interlock.core.store import TaskStore
from interlock.core.tail import Tail

Change = Callable[[Record], Record]


class SealedTasks:
    """`core.store.TaskStore`."""

    def __init__(self, inner: TaskStore, sealed: Change) -> None:
        self._inner, self._sealed = inner, sealed

    def begin(self, record: Record, owner: str, lease_until_ns: int) -> int:
        return self._inner.begin(self._sealed(record), owner, lease_until_ns)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class SealedTail:
    """`core.tail.Tail`."""

    def __init__(self, inner: Tail, opened: Change) -> None:
        self._inner, self._opened = inner, opened

    def read(self, place: str, limit: int) -> tuple[Sequence[Record], str]:
        records, behind = self._inner.read(place, limit)
        return [self._opened(each) for each in records], behind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

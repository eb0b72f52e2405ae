"""The exact cache in the workspace's database: reads off the event loop, writes queued in groups behind the ledger's.

Above: `plugins.caches.front` (through `core.answers.AnswerStore`), put together by `app`. Below: record, and a `core.store.Store`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from interlock.core.answers import CacheEntry, Keeping
from interlock.core.store import Store
from interlock.core.time import Clock

from .record import Recorder

_TRIM_EVERY = 1024
"""Writes between two looks at how many entries there are."""


class StoredCache:
    """`core.answers.AnswerStore` over the tables of a `core.store.Store`. A put is queued and may be lost: the ledger comes first."""

    def __init__(self, store: Store, recorder: Recorder, clock: Clock, *, max_entries: int = 10_000) -> None:
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._max_entries = max_entries
        self._puts = 0
        self._seen = 0
        """Place in the store's order up to which keys have been told, or are our own."""
        self._seeing = threading.Lock()

    async def get(self, tenant: str, key: bytes) -> CacheEntry | None:
        return await asyncio.to_thread(self._store.cache.get, tenant, key, self._clock.wall_ns())

    async def put(self, group: Sequence[Keeping]) -> None:
        """Queues one transaction; while the store is behind, nothing is kept."""
        now_ns = self._clock.wall_ns()
        before, self._puts = self._puts, self._puts + len(group)
        most = self._max_entries if before // _TRIM_EVERY != self._puts // _TRIM_EVERY else 0

        def keeping(store: Store) -> None:
            placed = store.cache.put_all(group, now_ns, most)
            with self._seeing:
                if placed is not None and placed.before <= self._seen:  # nobody else's are among them
                    self._seen = max(self._seen, placed.last)

        self._recorder.defer(keeping, sum([len(each.value) for each in group]))

    async def keys(self, kept_after_ns: int) -> list[bytes]:
        """Our own are left out where the store tells them apart."""
        expiring_ns = max(kept_after_ns, self._clock.wall_ns())

        def reading() -> list[bytes]:
            with self._seeing:
                after = self._seen if kept_after_ns else 0
            keys, last = self._store.cache.keys(after, expiring_ns, self._max_entries)
            with self._seeing:
                self._seen = max(self._seen, last)
            return keys

        return await asyncio.to_thread(reading)

    async def clear(self, tenant: str = "") -> int:
        return await self._recorder.run(lambda store: store.cache.clear(tenant))

    async def close(self) -> None:
        """Holds nothing open: store and recorder are their owner's."""

"""The exact cache in the workspace's database: reads off the event loop, writes queued in groups behind the ledger's.

Above: `plugins.caches.front` (through `core.answers.AnswerStore`), put together by `app`. Below: record, and a `core.store.Store`.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from operator import attrgetter

from interlock.core.answers import CacheEntry, CacheRow, Keeping
from interlock.core.store import Store
from interlock.core.time import NS_PER_S, Clock

from .record import Recorder

_TRIM_EVERY = 1024
"""Writes between two looks at how many entries there are."""
_TIMES = struct.Struct("<qq")


class StoredCache:
    """`core.answers.AnswerStore` over the tables of a `core.store.Store`. A put is queued and may be lost: the ledger comes first."""

    def __init__(self, store: Store, recorder: Recorder, clock: Clock, *, max_entries: int = 10_000) -> None:
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._max_entries = max_entries
        self._puts = 0

    async def get(self, tenant: str, key: bytes) -> CacheEntry | None:
        kept = await asyncio.to_thread(self._store.cache.get, tenant, key.hex(), self._clock.wall_ns())
        if kept is None:
            return None
        stored_ns, fresh_until_ns = _TIMES.unpack_from(kept)
        return CacheEntry(kept[_TIMES.size :], stored_ns, fresh_until_ns)

    async def put(self, group: Sequence[Keeping]) -> None:
        """Queues one transaction; while the store is behind, nothing is kept."""
        now_ns = self._clock.wall_ns()
        before, self._puts = self._puts, self._puts + len(group)
        trim = before // _TRIM_EVERY != self._puts // _TRIM_EVERY

        def keeping(store: Store) -> None:
            store.cache.put_all(_rows(group, now_ns))
            if trim:
                store.cache.purge(now_ns)
                store.cache.trim(self._max_entries)

        self._recorder.defer(keeping, sum([len(each.value) for each in group]))

    async def keys(self, kept_after_ns: int) -> list[bytes]:
        after_ns = max(kept_after_ns, self._clock.wall_ns())

        def reading() -> list[bytes]:
            return [bytes.fromhex(key) for key in self._store.cache.keys(after_ns, self._max_entries)]

        return await asyncio.to_thread(reading)

    async def clear(self, tenant: str = "") -> int:
        return await self._recorder.run(lambda store: store.cache.clear(tenant))

    async def close(self) -> None:
        """Holds nothing open: store and recorder are their owner's."""


def _rows(group: Sequence[Keeping], now_ns: int) -> list[CacheRow]:
    """Those of the group whose time is not over, in the order of the index, which is then gone through once.

    They leave the store with the end of the second in which their time is over, so that those that came together can be written together; what an entry says of its own time stays.
    """
    rows = [
        CacheRow(
            each.tenant,
            each.key.hex(),
            _TIMES.pack(each.stored_ns, each.fresh_until_ns) + each.value,
            -(-each.keep_until_ns // NS_PER_S) * NS_PER_S,
        )
        for each in group
        if each.keep_until_ns > now_ns
    ]
    rows.sort(key=attrgetter("tenant", "key"))
    return rows

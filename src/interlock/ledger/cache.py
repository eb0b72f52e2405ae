"""The exact cache as the gateway uses it: reads are direct, writes are queued behind the ledger's and may be lost.

Above: gateway (through a port). Below: record, and a `core.store.Store`.
"""

from __future__ import annotations

import struct

from interlock.core.errors import StoreUnavailable
from interlock.core.store import CacheEntry, Store
from interlock.core.time import Clock

from .record import Recorder

_TRIM_EVERY = 256
"""Writes between two looks at how many entries there are."""
_TIMES = struct.Struct("<qq")
_SHARED = ""
"""The callers' keys hold the tenant already."""


class StoredCache:
    """Whole answers by key. A store that cannot be read is a miss: a cache never fails a call."""

    def __init__(self, store: Store, recorder: Recorder, clock: Clock, *, max_entries: int = 10_000) -> None:
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._max_entries = max_entries
        self._puts = 0

    async def get(self, key: str) -> CacheEntry | None:
        """What is kept under `key`, unless its time is up. One read of the database by its key: some ten microseconds."""
        try:
            kept = self._store.cache.get(_SHARED, key, self._clock.wall_ns())
        except StoreUnavailable:
            return None
        if kept is None:
            return None
        stored_ns, fresh_until_ns = _TIMES.unpack_from(kept)
        return CacheEntry(kept[_TIMES.size :], stored_ns, fresh_until_ns)

    async def put(self, key: str, value: bytes, stored_ns: int, fresh_until_ns: int, keep_until_ns: int) -> None:
        """Keeps a value until `keep_until_ns`. Never blocks; while the store is behind, nothing is kept."""
        now_ns = self._clock.wall_ns()
        kept = _TIMES.pack(stored_ns, fresh_until_ns) + value
        self._puts += 1
        trim = self._puts % _TRIM_EVERY == 0

        def keeping(store: Store) -> None:
            store.cache.put(_SHARED, key, kept, now_ns=now_ns, expires_ns=keep_until_ns)
            if trim:
                store.cache.purge(now_ns)
                store.cache.trim(self._max_entries)

        self._recorder.defer(keeping, len(kept) + len(key))

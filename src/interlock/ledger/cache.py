"""The exact cache as the gateway uses it: reads are direct, writes are queued behind the ledger's and may be lost.

Above: gateway (through a port). Below: record, and a `core.store.Store`.
"""

from __future__ import annotations

from interlock.core.errors import StoreUnavailable
from interlock.core.store import Store
from interlock.core.time import NS_PER_S, Clock

from .record import Recorder

_TRIM_EVERY = 256
"""Writes between two looks at how many entries there are."""


class StoredCache:
    """Whole answers by tenant and key. A store that cannot be read is a miss: a cache never fails a call."""

    def __init__(self, store: Store, recorder: Recorder, clock: Clock, *, max_entries: int = 10_000) -> None:
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._max_entries = max_entries
        self._puts = 0

    def get(self, tenant: str, key: str) -> bytes | None:
        """The value, unless it has expired. Reads the database: some ten microseconds."""
        try:
            return self._store.cache.get(tenant, key, self._clock.wall_ns())
        except StoreUnavailable:
            return None

    def put(self, tenant: str, key: str, value: bytes, ttl_s: float) -> bool:
        """Keeps a value for `ttl_s`. Never blocks; False when it was not kept because the store is behind."""
        now_ns = self._clock.wall_ns()
        expires_ns = now_ns + round(ttl_s * NS_PER_S)
        self._puts += 1
        trim = self._puts % _TRIM_EVERY == 0

        def keeping(store: Store) -> None:
            store.cache.put(tenant, key, value, now_ns=now_ns, expires_ns=expires_ns)
            if trim:
                store.cache.purge(now_ns)
                store.cache.trim(self._max_entries)

        return self._recorder.defer(keeping, len(value) + len(key))

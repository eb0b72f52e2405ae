"""Sessions in the workspace's own store, without waiting on a thread of the caller's.

Above: app. Below: record, and a `core.store.Store`. Writes go to the writing thread in their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from interlock.core.sessions import Values
from interlock.core.store import Store
from interlock.core.time import NS_PER_S, Clock

from .record import Recorder

SWEEP_EVERY = 500
"""Changes between two removals of what has ended."""


class StoredSessions:
    """`core.sessions.SessionStore` over the store."""

    def __init__(self, recorder: Recorder, store: Store, clock: Clock, *, ttl_s: float, max_bytes: int) -> None:
        self._recorder, self._store, self._clock = recorder, store, clock
        self._ttl_ns, self._max_bytes = round(ttl_s * NS_PER_S), max_bytes
        self._changes = 0

    async def read(self, tenant: str, session: str) -> Values:
        return await asyncio.to_thread(self._store.sessions.read, tenant, session, self._clock.wall_ns())

    async def change(self, tenant: str, session: str, values: Mapping[str, Any]) -> Values:
        now_ns = self._clock.wall_ns()
        self._changes += 1
        if self._changes % SWEEP_EVERY == 0:
            self._recorder.defer(lambda store: store.sessions.sweep(now_ns), 0)
        ends_ns, most = now_ns + self._ttl_ns, self._max_bytes
        return await self._recorder.run(
            lambda store: store.sessions.change(tenant, session, values, now_ns=now_ns, ends_ns=ends_ns, max_bytes=most)
        )

    async def forget(self, tenant: str, session: str) -> bool:
        now_ns = self._clock.wall_ns()
        return await self._recorder.run(lambda store: store.sessions.forget(tenant, session, now_ns))

    async def close(self) -> None: ...

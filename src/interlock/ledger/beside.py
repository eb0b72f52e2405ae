"""What stands beside tasks, for whoever works on them: messages that have to be told, and texts; writes in their order on the writing thread.

Above: app. Below: record, and a `core.store.Store`. Every method may raise StoreUnavailable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from interlock.core.outbox import OutboxRow, TextKind
from interlock.core.store import Store
from interlock.core.time import Clock

from .record import Recorder


class Beside:
    """`core.outbox`'s stores without waiting on a thread."""

    def __init__(self, recorder: Recorder, store: Store, clock: Clock) -> None:
        self._recorder, self._store, self._clock = recorder, store, clock

    async def tell(self, rows: Sequence[OutboxRow]) -> None:
        """Keeps messages."""
        await self._recorder.run(lambda store: store.outbox.put(rows))

    async def take(self, until_ns: int, *, limit: int) -> list[OutboxRow]:
        """Messages that are due, which nobody else gets before `until_ns`."""
        now_ns = self._clock.wall_ns()
        return await self._recorder.run(lambda store: store.outbox.take(now_ns, until_ns, limit=limit))

    async def again(self, message: str, next_ns: int) -> None:
        await self._recorder.run(lambda store: store.outbox.again(message, next_ns))

    async def done(self, message: str) -> None:
        await self._recorder.run(lambda store: store.outbox.done(message))

    async def keep_text(self, tenant: str, kind: TextKind, key: str, text: str) -> None:
        at_ns = self._clock.wall_ns()
        await self._recorder.run(lambda store: store.texts.put(tenant, kind, key, text, at_ns))

    async def first_text(self, tenant: str, kind: TextKind, key: str, text: str) -> str:
        """What stands there, which is `text` where nothing did."""
        at_ns = self._clock.wall_ns()

        def first(store: Store) -> str:
            there = store.texts.get(tenant, kind, key)
            if there is None:
                store.texts.put(tenant, kind, key, text, at_ns)
            return text if there is None else there

        return await self._recorder.run(first)

    async def text(self, tenant: str, kind: TextKind, key: str) -> str | None:
        return await asyncio.to_thread(self._store.texts.get, tenant, kind, key)

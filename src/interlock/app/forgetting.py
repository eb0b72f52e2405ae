"""What a process that runs keeps in memory of an erased tenant or user, dropped within a second of the erasure, whichever process did it.

Above: compose; the server and workers have it watch. Below: erasures, the caches, tools. An answer does not say for whom it was made: all of the tenant's go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from interlock.core.errors import StoreUnavailable
from interlock.core.store import Store

from .erasures import TOLD

LOOK_S = 0.5
_log = logging.getLogger("interlock.erasing")
Forget = Callable[[str], Awaitable[object]]
"""Drops a tenant's answers, or with an empty name everybody's."""


class Forgetting:
    """One process's look at what was erased elsewhere."""

    def __init__(self, store: Store, forget: Forget) -> None:
        self._store, self._forget = store, forget
        self._seen: int | None = None
        self._watching: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Goes on looking, until `close`."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    async def look(self) -> None:
        """Forgets where something was erased since the last look; the first one only sees how things stand. Raises StoreUnavailable."""
        said = await asyncio.to_thread(self._store.texts.get, "", "erasures", TOLD) or "0"
        count, _, tenant = said.partition(" ")
        before, now = self._seen, int(count)
        if before is not None and before != now:
            await self._forget(tenant if now == before + 1 else "")
        self._seen = now

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except StoreUnavailable as error:  # what is kept in memory ends with its time at the latest
                _log.warning("it could not be looked whether anything was erased: %s", error)

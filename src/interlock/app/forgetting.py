"""What a process that runs keeps in memory of an erased tenant or user, dropped within a second of the erasure, whichever process did it.

Above: compose. Below: looks, erasures, the caches, tools. An answer does not say for whom it was made: all of the tenant's go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from interlock.core.store import Store

from .erasures import TOLD
from .looks import Looks

LOOK_S = 0.5
Forget = Callable[[str], Awaitable[object]]
"""Drops a tenant's answers, or with an empty name everybody's."""


class Forgetting:
    """One process's look at what was erased elsewhere."""

    def __init__(self, store: Store, forget: Forget, looks: Looks) -> None:
        """`looks` goes on looking once it is started."""
        self._store, self._forget, self._looks = store, forget, looks
        self._seen: int | None = None
        self._question = looks.add("erasures", LOOK_S, self._ask, self._take_in)

    async def look(self) -> None:
        """Forgets where something was erased since the last look; the first one only sees how things stand. Raises StoreUnavailable."""
        await self._looks.now(self._question)

    def _ask(self) -> str:
        return self._store.texts.get("", "erasures", TOLD) or "0"

    async def _take_in(self, said: str) -> None:
        count, _, tenant = said.partition(" ")
        before, now = self._seen, int(count)
        if before is not None and before != now:
            await self._forget(tenant if now == before + 1 else "")
        self._seen = now

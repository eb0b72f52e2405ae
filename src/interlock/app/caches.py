"""The gateway's answer cache: memory first, then the store, so that answers outlive the process.

Above: compose. Below: the gateway's port, which both levels implement.
"""

from __future__ import annotations

from interlock.gateway.settings import AnswerCache, Entry


class TwoLevels:
    """`AnswerCache`: what `memory` does not have is looked up in `stored`. Keys hold the tenant already."""

    def __init__(self, memory: AnswerCache, stored: AnswerCache) -> None:
        self._memory = memory
        self._stored = stored

    async def get(self, key: str) -> Entry | None:
        return await self._memory.get(key) or await self._stored.get(key)

    async def put(self, key: str, value: bytes, stored_ns: int, fresh_until_ns: int, keep_until_ns: int) -> None:
        await self._memory.put(key, value, stored_ns, fresh_until_ns, keep_until_ns)
        await self._stored.put(key, value, stored_ns, fresh_until_ns, keep_until_ns)

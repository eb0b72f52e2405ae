"""The gateway's answer cache over the store: memory first, then the file, so that answers outlive the process.

Above: compose. Below: ledger (the stored cache), gateway (the port), plug-ins (the memory).
"""

from __future__ import annotations

import msgspec

from interlock.core.time import NS_PER_S, Clock
from interlock.gateway.settings import AnswerCache, Entry
from interlock.ledger import StoredCache


class TwoLevels:
    """`AnswerCache`: what `memory` does not have is looked up in the store. Keys hold the tenant already."""

    def __init__(self, memory: AnswerCache, stored: StoredCache, clock: Clock) -> None:
        self._memory = memory
        self._stored = stored
        self._clock = clock
        self._decoder = msgspec.msgpack.Decoder(Entry)

    async def get(self, key: str) -> Entry | None:
        found = await self._memory.get(key)
        if found is not None:
            return found
        kept = self._stored.get("", key)
        return None if kept is None else self._decoder.decode(kept)

    async def put(self, key: str, value: bytes, stored_ns: int, fresh_until_ns: int, keep_until_ns: int) -> None:
        await self._memory.put(key, value, stored_ns, fresh_until_ns, keep_until_ns)
        keep_s = (keep_until_ns - self._clock.wall_ns()) / NS_PER_S
        self._stored.put("", key, msgspec.msgpack.encode(Entry(value, stored_ns, fresh_until_ns)), keep_s)

"""The exact cache's answers in a Redis that replicas share.

Above: `app` puts it behind `plugins.caches.front` as a `core.answers.AnswerStore`. Below: redis. Values end with their time by themselves; a sorted
set of keys by that time tells other replicas what there is, and bounds how many are kept.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Sequence
from typing import Any, cast

from interlock.core.answers import CacheEntry, Keeping
from interlock.core.caller import Secret
from interlock.core.time import Clock

from .redis_open import explained, redis_at

NS_PER_MS = 1_000_000
_TIMES = struct.Struct("<qq")
_SWEPT = 1_000
"""Keys that one sweep removes at most."""


class RedisAnswers:
    """`core.answers.AnswerStore` on one Redis. Belongs to the event loop that uses it."""

    def __init__(
        self,
        url: Secret,
        clock: Clock,
        *,
        timeout_s: float = 0.25,
        prefix: str = "interlock",
        max_entries: int = 100_000,
    ) -> None:
        """`timeout_s` bounds every round trip, connecting included."""
        self._redis = redis_at(url, timeout_s)
        self._clock = clock
        self._prefix = prefix.encode() + b":answer:"
        self._all = prefix.encode() + b":answers"
        self._max_entries = max_entries

    async def get(self, tenant: str, key: bytes) -> CacheEntry | None:
        with explained("read a cached answer"):
            found = cast("bytes | None", await self._redis.get(self._name(tenant, key)))
        if found is None:
            return None
        stored_ns, fresh_until_ns = _TIMES.unpack_from(found)
        return CacheEntry(found[_TIMES.size :], stored_ns, fresh_until_ns)

    async def put(self, group: Sequence[Keeping]) -> None:
        now_ns = self._clock.wall_ns()
        with explained("keep answers"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for each in group:
                    left_ms = (each.keep_until_ns - now_ns) // NS_PER_MS
                    if left_ms <= 0:
                        continue
                    value = _TIMES.pack(each.stored_ns, each.fresh_until_ns) + each.value
                    pipe.set(self._name(each.tenant, each.key), value, px=left_ms)
                    pipe.zadd(self._all, {_member(each.tenant, each.key): each.keep_until_ns // NS_PER_MS})
                await cast("Awaitable[Any]", pipe.execute())
            await self._sweep(now_ns // NS_PER_MS)

    async def keys(self, kept_after_ns: int) -> list[bytes]:
        after_ms = max(kept_after_ns, self._clock.wall_ns()) // NS_PER_MS
        with explained("read the keys of cached answers"):
            found: list[bytes] = await self._redis.zrange(
                self._all, "+inf", f"({after_ms}", desc=True, byscore=True, offset=0, num=self._max_entries
            )
        return [bytes.fromhex(member.partition(b":")[0].decode()) for member in found]

    async def clear(self, tenant: str = "") -> int:
        """Reads through all members once; not for a hot path."""
        gone = 0
        with explained("clear cached answers"):
            members = [member async for member, _ in self._redis.zscan_iter(self._all, count=_SWEPT)]
            of_tenant = [each for each in members if tenant in ("", each.partition(b":")[2].decode())]
            for at in range(0, len(of_tenant), _SWEPT):
                gone += await self._remove(of_tenant[at : at + _SWEPT])
        return gone

    async def close(self) -> None:
        await self._redis.aclose()

    async def _sweep(self, now_ms: int) -> None:
        """Forgets the keys of what has ended, and removes what is more than there may be."""
        await self._redis.zremrangebyscore(self._all, "-inf", now_ms)
        over = await self._redis.zcard(self._all) - self._max_entries
        if over > 0:
            await self._remove(await self._redis.zrange(self._all, 0, min(over, _SWEPT) - 1))

    async def _remove(self, members: Sequence[bytes]) -> int:
        if not members:
            return 0
        names = [self._prefix + member for member in members]
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.unlink(*names)
            pipe.zrem(self._all, *members)
            await cast("Awaitable[Any]", pipe.execute())
        return len(members)

    def _name(self, tenant: str, key: bytes) -> bytes:
        return self._prefix + _member(tenant, key)


def _member(tenant: str, key: bytes) -> bytes:
    return key.hex().encode() + b":" + tenant.encode()

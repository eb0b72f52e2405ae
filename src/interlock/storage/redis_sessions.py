"""Sessions in a Redis that replicas share: one value each, which ends with its time by itself.

Above: `app` puts it where `core.sessions.SessionStore` is asked for. Below: redis. A change reads and writes in a transaction that another one's change breaks; then it is
made again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from redis.exceptions import WatchError

from interlock.core.caller import Secret
from interlock.core.errors import StoreUnavailable
from interlock.core.sessions import Values, changed

from .redis_open import explained, redis_at
from .sessions import encoded

TRIES = 32


class RedisSessions:
    """`core.sessions.SessionStore` on one Redis. Belongs to the event loop that uses it."""

    def __init__(
        self, url: Secret, *, ttl_s: float, max_bytes: int, timeout_s: float = 0.25, prefix: str = "interlock"
    ) -> None:
        """`timeout_s` bounds every round trip, connecting included."""
        self._redis = redis_at(url, timeout_s)
        self._ttl_ms, self._max_bytes, self._prefix = max(1, round(ttl_s * 1000)), max_bytes, prefix

    async def read(self, tenant: str, session: str) -> Values:
        with explained("read a session"):
            return _values(await self._redis.get(self._name(tenant, session)))

    async def change(self, tenant: str, session: str, values: Mapping[str, Any]) -> Values:
        name = self._name(tenant, session)
        with explained("change a session"):
            for _ in range(TRIES):
                async with self._redis.pipeline(transaction=True) as pipe:
                    await pipe.watch(name)
                    after = changed(_values(await pipe.get(name)), values)
                    held = encoded(after, self._max_bytes)
                    pipe.multi()
                    pipe.set(name, held, px=self._ttl_ms)
                    try:
                        await pipe.execute()
                    except WatchError:
                        continue
                    return after
        raise StoreUnavailable(f"the session was changed by others {TRIES} times in a row", hint="Try again.")

    async def forget(self, tenant: str, session: str) -> bool:
        with explained("end a session"):
            return bool(await self._redis.unlink(self._name(tenant, session)))

    async def forget_all(self, tenant: str, prefix: str) -> int:
        """Ends the tenant's sessions whose ids begin so (empty: all of them); how many. Reads through all keys once: not for a hot path."""
        begun = self._name(tenant, prefix).encode()
        with explained("end sessions"):
            found = [key async for key in self._redis.scan_iter(match=_literally(begun) + b"*", count=1_000)]
            return sum([int(await self._redis.unlink(key)) for key in found])

    async def close(self) -> None:
        await self._redis.aclose()

    def _name(self, tenant: str, session: str) -> str:
        return f"{self._prefix}:session:{tenant.encode().hex()}:{session}"


def _literally(text: bytes) -> bytes:
    """As a pattern of Redis's that matches just it."""
    return re.sub(rb"([\\*?\[\]^-])", rb"\\\1", text)


def _values(held: bytes | None) -> Values:
    return {} if held is None else msgspec.json.decode(held, type=dict[str, Any])

"""Virtual keys where replicas share a Redis; each keeps a copy in its own store, so that losing Redis shuts nobody out.

Above: `app`. Below: core, redis.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import msgspec
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from interlock.core.caller import Secret
from interlock.core.errors import StoreUnavailable
from interlock.core.keys import KeyRecord, KeyStore


class RedisKeys:
    """`core.keys.KeyStore` on Redis, read from `copy` while Redis is away."""

    def __init__(self, url: Secret, copy: KeyStore, *, timeout_s: float = 0.25, prefix: str = "interlock") -> None:
        self._redis: Any = Redis.from_url(  # pyright: ignore[reportUnknownMemberType] - the library leaves its options open
            url.reveal(),
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._copy = copy
        self._all = f"{prefix}:keys"
        self._version = f"{prefix}:keys:version"

    def records(self) -> Sequence[KeyRecord]:
        """All of them, the oldest first; those of the copy where Redis cannot be reached or has lost them."""
        kept = {record.id: record for record in self._copy.records()}
        try:
            with _explained("read the keys"):
                rows = cast("dict[str, str]", self._redis.hgetall(self._all))
        except StoreUnavailable:
            return list(kept.values())
        found = {key: msgspec.json.decode(row, type=KeyRecord) for key, row in rows.items()}
        for record in list(found.values()):
            known = kept.get(record.id)
            if known is not None and known.revoked_ns and not record.revoked_ns:
                found[record.id] = known  # Redis has come back with an older memory; a key that was revoked stays so
                self._put(known)
            elif known != record:
                self._copy.put_key(record)
        for record in kept.values():
            if record.id not in found:  # made before there was a Redis, or lost with its memory
                found[record.id] = record
                self._put(record)
        return sorted(found.values(), key=lambda record: (record.created_ns, record.id))

    def put_key(self, record: KeyRecord) -> None:
        """Raises StoreUnavailable where Redis cannot be reached: the others would not learn of it."""
        self._put(record)
        self._copy.put_key(record)

    def keys_version(self) -> int:
        with _explained("read the version of the keys"):
            return int(cast("str | None", self._redis.get(self._version)) or 0)

    def _put(self, record: KeyRecord) -> None:
        with _explained("write a key"):
            pipe = self._redis.pipeline(transaction=True)
            pipe.hset(self._all, record.id, msgspec.json.encode(record).decode())
            pipe.incr(self._version)
            pipe.execute()


@contextmanager
def _explained(doing: str) -> Generator[None]:
    try:
        yield
    except RedisError as error:
        raise StoreUnavailable(
            f"Redis: could not {doing}: {error}", hint="See that `redis.url` is right and the server runs."
        ) from error

"""A connection to the Redis that replicas share, and its errors as ours. Above: redis_answers, redis_sessions, redis_counts. Below: redis."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from interlock.core.caller import Secret
from interlock.core.errors import StoreUnavailable


def redis_at(url: Secret, timeout_s: float, *, texts: bool = False) -> Any:
    """A client that connects when it is first used. `timeout_s` bounds every round trip, connecting included, and nothing is tried twice. `texts`: answers are texts, not bytes."""
    return Redis.from_url(  # pyright: ignore[reportUnknownMemberType] - the library leaves its options open
        url.reveal(),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=texts,
    )


@contextmanager
def explained(doing: str) -> Generator[None]:
    """Turns errors of Redis into StoreUnavailable."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(
            f"Redis could not {doing}: {type(error).__name__}: {error}", hint="See that the Redis of `redis.url` is up."
        ) from error

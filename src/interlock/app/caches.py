"""The caches of a running instance, put together from the files.

Above: compose. Below: plugins.caches, ledger, storage.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from interlock.config.schema import Settings as Files
from interlock.core.answers import AnswerStore
from interlock.core.errors import ConfigError, Fault
from interlock.core.store import Store
from interlock.core.time import Clock
from interlock.gateway.settings import Caching
from interlock.ledger import Recorder, StoredCache
from interlock.plugins.caches.front import FrontedCache
from interlock.plugins.caches.memory import MemoryCache

from .semantic import Similar
from .tier0 import Model

if TYPE_CHECKING:
    from interlock.storage.sealing.envelope import Envelope


def exact(
    files: Files, clock: Clock, store: Store, recorder: Recorder, envelope: Envelope | None = None
) -> FrontedCache:
    """Memory before the back end that the files name. `envelope` seals what Redis is given; the store seals by itself."""
    terms = files.caching.exact_cache
    memory = MemoryCache(max_entries=terms.max_entries, max_bytes=terms.max_megabytes * 1024 * 1024)
    return FrontedCache(
        clock,
        memory,
        _behind(files, clock, store, recorder, envelope),
        max_entries=terms.max_stored,
        lifetime_s=terms.ttl_seconds + Caching().stale_s,
    )


def similar(files: Files, model: Model, clock: Clock, store: Store, recorder: Recorder) -> Similar | None:
    """The semantic cache, where the files ask for one. Raises ConfigError where the embedding model is not on this machine."""
    terms = files.caching.semantic_cache
    return Similar(terms, model, random.Random(), clock, recorder, store.similar) if terms.enabled else None


def _behind(
    files: Files, clock: Clock, store: Store, recorder: Recorder, envelope: Envelope | None
) -> AnswerStore | None:
    terms = files.caching.exact_cache
    if not terms.enabled or terms.backend == "memory":
        return None
    if terms.backend == "redis":
        from interlock.storage.redis_answers import RedisAnswers  # loaded where it is asked for
        from interlock.storage.sealing.shared import SealedAnswers

        said = files.redis
        if not said.url:
            raise ConfigError(
                [
                    Fault(
                        "",
                        0,
                        0,
                        "caching.exact_cache.backend",
                        "`redis` needs redis.url",
                        "Set redis.url, or use store.",
                    )
                ]
            )
        shared = RedisAnswers(
            said.url, clock, timeout_s=said.timeout_s, prefix=said.prefix, max_entries=terms.max_stored
        )
        return shared if envelope is None else SealedAnswers(shared, envelope)
    return StoredCache(store, recorder, clock, max_entries=terms.max_stored)

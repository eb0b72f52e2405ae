"""Memory before a slow store: look-ups touch memory alone, and what is kept is written in groups in the background.

Above: `app` builds it; the gateway knows it as `core.answers.AnswerCache`. Below: memory, known, and any `core.answers.AnswerStore`.
The keys that the store has, read in the background, say without asking whether it may have an answer; so a miss costs no disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from interlock.core.answers import AnswerStore, CacheEntry, Keeping
from interlock.core.errors import StoreUnavailable
from interlock.core.time import NS_PER_S, Clock

from .known import KnownKeys
from .memory import MemoryCache

WRITE_EVERY_S = 1.0
"""What a killed process may lose of its cache. Keys are random, so each write touches the pages of the whole index once, however many it brings."""
WRITTEN_WITHIN_S = WRITE_EVERY_S + 1.0
"""Of an answer's being given, by any process, in all likelihood; a key that is later is found by nobody else for its lifetime."""
LOOK_EVERY_S = 2.0
"""Between two looks at which keys other processes have stored."""
FETCH_WITHIN_S = 0.1
"""A store that takes longer to read is as good as a miss, and is not asked again before it has told its keys."""
MOST_WAITING_BYTES = 16 * 1024 * 1024
"""Of entries that wait to be written; beyond that new ones stay in memory alone."""
_GROUP = 2048
_log = logging.getLogger("interlock.caches")


class FrontedCache:
    """`core.answers.AnswerCache`. Between `start` and `close` it reads and writes its store; without a store it is memory alone."""

    def __init__(
        self,
        clock: Clock,
        memory: MemoryCache,
        store: AnswerStore | None = None,
        *,
        max_entries: int = 10_000,
        lifetime_s: float = 0.0,
    ) -> None:
        """`max_entries`: how many the store keeps; as many of their keys are remembered.

        `lifetime_s`: how long every entry is kept, by which new ones are told from old ones; 0: all keys are read each time.
        """
        self._clock = clock
        self._memory = memory
        self._store = store
        self._known = KnownKeys(max_entries)
        self._waiting: deque[Keeping] = deque()
        self._waiting_bytes = 0
        self._seen_ns = 0
        self._lifetime_ns = int(lifetime_s * NS_PER_S)
        self._failing = ""
        self._write_at: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()

    def at_hand(self, key: bytes) -> CacheEntry | None:
        return self._memory.look(key)

    def unseen(self, key: bytes) -> bool:
        return key not in self._memory and (self._store is None or key not in self._known or bool(self._failing))

    def elsewhere(self, key: bytes) -> bool:
        return self._store is not None and not self._failing and key in self._known

    async def fetch(self, key: bytes, tenant: str) -> CacheEntry | None:
        if self._store is None:
            return None
        try:
            async with asyncio.timeout(FETCH_WITHIN_S):
                found = await self._store.get(tenant, key)
        except (TimeoutError, StoreUnavailable) as error:
            self._note(error)
            return None
        if found is not None:
            until_ns = found.fresh_until_ns
            self._memory.add((Keeping(tenant, key, found.value, found.stored_ns, until_ns, until_ns),))
        return found

    def put(self, group: Sequence[Keeping]) -> None:
        self._memory.add(group)
        if self._looking is None:
            return
        size = sum([len(each.value) for each in group])
        if self._waiting_bytes + size > MOST_WAITING_BYTES:
            return
        self._waiting.extend(group)
        self._waiting_bytes += size
        if self._write_at is None:
            self._write_at = asyncio.get_running_loop().call_later(WRITE_EVERY_S, self._begin_to_write)

    def start(self) -> None:
        """Begins to learn the store's keys and to write."""
        if self._store is not None and self._looking is None:
            self._looking = asyncio.create_task(self._look_again_and_again(self._store))

    async def close(self) -> None:
        """Writes what waits, once, and lets go of the store."""
        if self._looking is None or self._store is None:
            return
        self._looking.cancel()
        await asyncio.gather(self._looking, *self._tasks, return_exceptions=True)
        self._looking = None
        if self._write_at is not None:
            self._write_at.cancel()
        await self._write(self._store)
        await self._store.close()

    async def clear(self, tenant: str = "") -> int:
        """Forgets one tenant's answers, or everybody's, here and in the store. Raises StoreUnavailable."""
        here = self._memory.remove(tenant)
        async with self._writing:
            kept = [each for each in self._waiting if tenant not in ("", each.tenant)]
            self._waiting = deque(kept)
            self._waiting_bytes = sum(len(each.value) for each in kept)
            stored = 0 if self._store is None else await self._store.clear(tenant)
        return max(here, stored)

    @property
    def failing(self) -> str:
        """The store's last error, while it fails; empty when it works."""
        return self._failing

    async def look_once(self) -> None:
        """Learns the keys that have come into the store since the last look; the first time, all of them."""
        if self._store is None:
            return
        now_ns = self._clock.wall_ns()
        after_ns = 0
        if self._seen_ns and self._lifetime_ns:  # what came since the last look is kept for one lifetime from then on
            after_ns = self._seen_ns + self._lifetime_ns - int(WRITTEN_WITHIN_S * NS_PER_S)
        try:
            keys = await self._store.keys(after_ns)
        except StoreUnavailable as error:
            self._note(error)
            return
        await asyncio.to_thread(self._known.learn, keys)
        self._failing = ""
        self._seen_ns = now_ns

    async def write_once(self) -> None:
        """Writes everything that waits; what cannot be written is lost, since a cache never holds up a call."""
        if self._store is not None:
            await self._write(self._store)

    async def _look_again_and_again(self, store: AnswerStore) -> None:
        while True:
            await self.look_once()
            await asyncio.sleep(LOOK_EVERY_S)

    def _begin_to_write(self) -> None:
        self._write_at = None
        task = asyncio.get_running_loop().create_task(self.write_once())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, store: AnswerStore) -> None:
        async with self._writing:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(_GROUP, len(self._waiting)))]
                self._waiting_bytes -= sum(len(each.value) for each in group)
                try:
                    await store.put(group)
                except StoreUnavailable as error:
                    self._note(error)
                    continue
                self._known.add(each.key for each in group)

    def _note(self, error: Exception) -> None:
        if not self._failing:
            _log.warning("the stored answer cache cannot be used, memory goes on alone: %s", error)
        self._failing = str(error) or type(error).__name__

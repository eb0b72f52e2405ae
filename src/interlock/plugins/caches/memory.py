"""Answers in this process's memory: least recently used first out, bounded by entries and by bytes.

Above: front, and `app` where nothing stands behind it. Below: `core`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from interlock.core.answers import CacheEntry, Keeping

ENTRY_BYTES = 250
"""What an entry costs beside its value: the structs, the key, the dictionary's slot. Measured with 100,000 entries."""


class MemoryCache:
    """`core.answers.AnswerStore` in memory. One past its time is kept until room is needed: whoever asks sees how old it is."""

    def __init__(self, max_entries: int = 10_000, max_bytes: int = 64 * 1024 * 1024) -> None:
        """`max_bytes` counts values, keys and overhead."""
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[bytes, Keeping] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size_bytes(self) -> int:
        """Bytes held, keys and overhead included."""
        return self._bytes

    def look(self, key: bytes) -> CacheEntry | None:
        """The entry, which counts as a use."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found.entry

    def __contains__(self, key: bytes) -> bool:
        """Whether it is here; no use of it."""
        return key in self._kept

    def add(self, group: Sequence[Keeping]) -> None:
        """Keeps entries; one that would not leave room for any other is not kept."""
        kept, most = self._kept, self._max_bytes
        for keeping in group:
            size = len(keeping.value) + ENTRY_BYTES
            if size > most // 2:
                continue
            if keeping.key in kept:
                self._drop(keeping.key)
            kept[keeping.key] = keeping
            self._bytes += size
            while len(kept) > self._max_entries or self._bytes > most:
                self._bytes -= len(kept.popitem(last=False)[1].value) + ENTRY_BYTES

    def remove(self, tenant: str = "") -> int:
        """Forgets one tenant's entries, or all."""
        gone = [key for key, each in self._kept.items() if tenant in ("", each.tenant)]
        for key in gone:
            self._drop(key)
        return len(gone)

    async def get(self, tenant: str, key: bytes) -> CacheEntry | None:
        found = self._kept.get(key)
        return None if found is None or found.tenant != tenant else self.look(key)

    async def put(self, group: Sequence[Keeping]) -> None:
        self.add(group)

    async def keys(self, kept_after_ns: int) -> list[bytes]:
        return [key for key, each in self._kept.items() if each.keep_until_ns > kept_after_ns]

    async def clear(self, tenant: str = "") -> int:
        return self.remove(tenant)

    async def close(self) -> None:
        """Holds nothing open."""

    def _drop(self, key: bytes) -> None:
        gone = self._kept.pop(key)
        self._bytes -= len(gone.value) + ENTRY_BYTES

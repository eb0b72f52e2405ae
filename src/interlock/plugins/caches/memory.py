"""Answers in this process's memory: least recently used first out, bounded by entries and by bytes.

Above: `app`, which hands it to the gateway (alone or in front of the stored cache). Below: `core`.
"""

from __future__ import annotations

from collections import OrderedDict

from interlock.core.store import CacheEntry

ENTRY_BYTES = 200
"""What an entry costs beside its value and key: the structs and the dictionary's slot."""


class MemoryCache:
    """Entries by key. One past its time is kept until room is needed: whoever asks sees how old it is."""

    def __init__(self, max_entries: int = 10_000, max_bytes: int = 64 * 1024 * 1024) -> None:
        """`max_bytes` counts values, keys and overhead."""
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, CacheEntry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size_bytes(self) -> int:
        """Bytes held, keys and overhead included."""
        return self._bytes

    async def get(self, key: str) -> CacheEntry | None:
        entry = self._kept.get(key)
        if entry is not None:
            self._kept.move_to_end(key)
        return entry

    async def put(self, key: str, value: bytes, stored_ns: int, fresh_until_ns: int, keep_until_ns: int) -> None:
        """Keeps a value; one that would not leave room for any other is not kept."""
        size = len(value) + len(key) + ENTRY_BYTES
        if size > self._max_bytes // 2:
            return
        self._drop(key)
        self._kept[key] = CacheEntry(value, stored_ns, fresh_until_ns)
        self._bytes += size
        while len(self._kept) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        entry = self._kept.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry.value) + len(key) + ENTRY_BYTES

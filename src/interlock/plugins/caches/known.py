"""Which keys a slow store may hold, in a few bits each, so that a miss asks no disk and no network.

Above: front. Below: the standard library. A Bloom filter (B. Bloom, CACM 13(7), 1970) in two generations: when one is full the other
begins, so that it forgets the oldest keys instead of growing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

BITS_PER_KEY = 16
"""With four probes one absent key in 400 looks present; in two generations one in 200."""
_PROBES = struct.Struct("<4I")


class KnownKeys:
    """Remembers at least the last `capacity` keys. Keys are digests, whose own bytes are the hash values."""

    __slots__ = ("_capacity", "_count", "_mask", "_new", "_old")

    def __init__(self, capacity: int) -> None:
        bits = 1 << max(10, (capacity * BITS_PER_KEY - 1).bit_length())
        self._capacity = capacity
        self._mask = bits - 1
        self._new = bytearray(bits >> 3)
        self._old: bytearray | None = None
        self._count = 0

    def add(self, keys: Iterable[bytes]) -> None:
        mask = self._mask
        for key in keys:
            if self._count >= self._capacity:
                self._old, self._new, self._count = self._new, bytearray(len(self._new)), 0
            bits = self._new
            for probe in _PROBES.unpack_from(key):
                at = probe & mask
                bits[at >> 3] |= 1 << (at & 7)
            self._count += 1

    def learn(self, keys: Iterable[bytes]) -> None:
        """Adds those that are not there yet. May run in another thread: at worst one key is overlooked, which is a miss."""
        self.add(key for key in keys if key not in self)

    def __contains__(self, key: bytes) -> bool:
        a, b, c, d = _PROBES.unpack_from(key)
        mask = self._mask
        a, b, c, d = a & mask, b & mask, c & mask, d & mask
        for bits in (self._new, self._old):
            if (
                bits is not None
                and bits[a >> 3] >> (a & 7) & 1
                and bits[b >> 3] >> (b & 7) & 1
                and bits[c >> 3] >> (c & 7) & 1
                and bits[d >> 3] >> (d & 7) & 1
            ):
                return True
        return False

    @property
    def size_bytes(self) -> int:
        """Bytes of its bits."""
        return len(self._new) + (len(self._old) if self._old is not None else 0)

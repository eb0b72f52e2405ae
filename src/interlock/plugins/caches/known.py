"""Which keys a slow store may hold, so that a miss asks no disk and no network.

Above: front. Below: nothing. Two generations of keys: when one is full the other begins, so that the oldest are forgotten instead of the whole growing. A Bloom
filter would take two bytes a key instead of some sixty, and forty times as long to ask; ten thousand keys, the default, are half a megabyte.
"""

from __future__ import annotations

from collections.abc import Iterable


class KnownKeys:
    """Remembers at least the last `capacity` keys, and those that came together with them; about twice as many at most."""

    __slots__ = ("_capacity", "_new", "_old")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._new: set[bytes] = set()
        self._old: set[bytes] = set()

    def add(self, keys: Iterable[bytes]) -> None:
        self._new.update(keys)
        if len(self._new) >= self._capacity:
            self._old, self._new = self._new, set()

    def learn(self, keys: Iterable[bytes]) -> None:
        """Adds those that are not there yet. May run in another thread: at worst one key is overlooked, which is a miss."""
        self.add(set(keys).difference(self._new, self._old))

    def __contains__(self, key: bytes) -> bool:
        return key in self._new or key in self._old

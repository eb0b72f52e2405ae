"""Which keys a slow store may hold, so that a miss asks no disk and no network.

Above: front. Below: nothing. Two Bloom filters (Bloom 1970, Communications of the ACM 13:7): when one has taken its share the other begins anew, so that the oldest
keys are forgotten instead of the whole growing. A set of the keys themselves would be asked in half a microsecond less and take a hundred bytes a key, twice eight
megabytes at the default of 100,000 that come with the calls; these take one from the start. Of the keys that are not there, one in two hundred may seem to be, and is asked for in vain.
"""

from __future__ import annotations

from collections.abc import Iterable

_BITS_A_KEY = 32
"""With two bits set for each key, a filter that is full has one bit in sixteen set at most."""


class KnownKeys:
    """Remembers at least the last `capacity` keys, and those that came together with them; about twice as many at most.

    Keys are told apart by Python's own hash, so it says the same within one process alone.
    """

    __slots__ = ("_capacity", "_mask", "_new", "_old", "_taken")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        bits = 1 << max(10, (capacity * _BITS_A_KEY - 1).bit_length())
        self._mask = bits - 1
        self._new = bytearray(bits >> 3)
        self._old = bytearray(bits >> 3)
        self._taken = 0

    def add(self, keys: Iterable[bytes]) -> None:
        new, mask = self._new, self._mask
        taken = 0
        for key in keys:
            mixed = hash(key)
            one, other = mixed & mask, mixed >> 32 & mask
            new[one >> 3] |= 1 << (one & 7)
            new[other >> 3] |= 1 << (other & 7)
            taken += 1
        self._taken += taken
        if self._taken >= self._capacity:
            self._old, self._new, self._taken = new, bytearray(len(new)), 0

    def learn(self, keys: Iterable[bytes]) -> None:
        """Adds those that are not there yet. May run in another thread: at worst one key is overlooked, which is a miss."""
        self.add([key for key in keys if key not in self])

    def __contains__(self, key: bytes) -> bool:
        mixed = hash(key)
        one = mixed & self._mask
        at, bit = one >> 3, 1 << (one & 7)
        in_new, in_old = self._new[at] & bit, self._old[at] & bit
        if not (in_new or in_old):
            return False
        other = mixed >> 32 & self._mask
        at, bit = other >> 3, 1 << (other & 7)
        return bool((in_new and self._new[at] & bit) or (in_old and self._old[at] & bit))

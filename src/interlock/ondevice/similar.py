"""Nearest neighbours by cosine among a bounded number of vectors: the index behind the semantic cache.

Below: numpy. Above: semantic, which asks `guards` before it serves a neighbour's answer.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

import numpy as np

from interlock.ondevice.minilm import Vectors


class VectorIndex:
    """Vectors by namespace and key. When `capacity` is reached the key unused for longest makes room.

    Exact search: 10,000 vectors of 384 in one namespace take about 2 ms. Safe to share between threads.
    """

    def __init__(self, capacity: int = 10_000, dimensions: int = 384) -> None:
        if capacity < 1:
            raise ValueError(f"A vector index needs room for at least one vector, not {capacity}.")
        self._capacity = capacity
        self._dimensions = dimensions
        self._spaces: dict[str, _Space] = {}
        self._used: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._used)

    @property
    def size_bytes(self) -> int:
        """Bytes of the vectors, rows kept free for growth included."""
        return sum(space.size_bytes for space in self._spaces.values())

    def add(self, key: str, vector: Vectors, *, namespace: str = "") -> tuple[str, str] | None:
        """Put a unit vector, replacing the key's former one; the (namespace, key) that made room for it, if one had to."""
        with self._lock:
            space = self._spaces.setdefault(namespace, _Space(self._dimensions))
            space.put(key, vector)
            self._used[namespace, key] = None
            self._used.move_to_end((namespace, key))
            if len(self._used) <= self._capacity:
                return None
            gone = next(iter(self._used))
            self._drop(*gone)
            return gone

    def nearest(self, vector: Vectors, *, namespace: str = "", most: int = 1) -> list[tuple[str, float]]:
        """Up to `most` keys with their cosines (-1..1), the highest first. The first counts as a use."""
        with self._lock:
            space = self._spaces.get(namespace)
            if space is None:
                return []
            found = space.nearest(vector, most)
            self._used.move_to_end((namespace, found[0][0]))
            return found

    def remove(self, key: str, *, namespace: str = "") -> bool:
        """Forget a key; False when it is not there."""
        with self._lock:
            if (namespace, key) not in self._used:
                return False
            self._drop(namespace, key)
            return True

    def _drop(self, namespace: str, key: str) -> None:
        del self._used[namespace, key]
        space = self._spaces[namespace]
        space.take(key)
        if not space.keys:
            del self._spaces[namespace]


class _Space:
    """A dense matrix that grows by doubling; a removed row is filled with the last one."""

    def __init__(self, dimensions: int) -> None:
        self.keys: list[str] = []
        self._places: dict[str, int] = {}
        self._rows = np.zeros((4, dimensions), np.float32)

    @property
    def size_bytes(self) -> int:
        return self._rows.nbytes

    def put(self, key: str, vector: Vectors) -> None:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.keys)
            self.keys.append(key)
            if place == len(self._rows):
                self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[place] = vector

    def nearest(self, vector: Vectors, most: int) -> list[tuple[str, float]]:
        cosines = self._rows[: len(self.keys)] @ vector
        if len(cosines) > most:
            places = np.argpartition(-cosines, most - 1)[:most]
            places = places[np.argsort(-cosines[places])]
        else:
            places = np.argsort(-cosines)
        return [(self.keys[place], float(cosines[place])) for place in places]

    def take(self, key: str) -> None:
        place = self._places.pop(key)
        last = self.keys.pop()
        if last != key:
            self.keys[place] = last
            self._places[last] = place
            self._rows[place] = self._rows[len(self.keys)]

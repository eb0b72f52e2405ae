"""Nearest neighbours by cosine among a bounded number of vectors: the index behind a semantic cache.

Below: numpy. Above: the application, which asks `guards` before it serves a neighbour's answer.
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

    def add(self, key: str, vector: Vectors, *, namespace: str = "") -> None:
        """Put a unit vector, replacing the key's former one."""
        with self._lock:
            space = self._spaces.setdefault(namespace, _Space(self._dimensions))
            space.put(key, vector)
            self._used[namespace, key] = None
            self._used.move_to_end((namespace, key))
            if len(self._used) > self._capacity:
                self._drop(*next(iter(self._used)))

    def nearest(self, vector: Vectors, *, namespace: str = "") -> tuple[str, float] | None:
        """The key with the highest cosine (-1..1) and that cosine; None in an empty namespace. Counts as a use."""
        with self._lock:
            space = self._spaces.get(namespace)
            if space is None:
                return None
            key, cosine = space.nearest(vector)
            self._used.move_to_end((namespace, key))
            return key, cosine

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
        self._rows = np.zeros((16, dimensions), np.float32)

    def put(self, key: str, vector: Vectors) -> None:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.keys)
            self.keys.append(key)
            if place == len(self._rows):
                self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[place] = vector

    def nearest(self, vector: Vectors) -> tuple[str, float]:
        cosines = self._rows[: len(self.keys)] @ vector
        place = int(cosines.argmax())
        return self.keys[place], float(cosines[place])

    def take(self, key: str) -> None:
        place = self._places.pop(key)
        last = self.keys.pop()
        if last != key:
            self.keys[place] = last
            self._places[last] = place
            self._rows[place] = self._rows[len(self.keys)]

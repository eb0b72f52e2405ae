"""Keys that derive from one root, each of which can be destroyed alone: a binary tree of seeds, of which only the tops of what is left are kept.

Above: keyring. Below: the standard library. Pure. The construction of Goldreich, Goldwasser and Micali (J. ACM 33:4, 1986): each seed gives two, and a key is the seed 64 steps below the
root, by the bits of its number. To destroy one, the seeds on its way are dropped and those beside its way kept (a puncturable pseudorandom function: Boneh and Waters, ASIACRYPT 2013,
section 2): nobody works out the one that is gone, all others stay what they were, and nothing has to be stored for a user who was never erased. A key costs 64 hashes, some 50 µs; whoever
uses it keeps it. One that was destroyed leaves at most 64 seeds behind, 41 bytes each.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Iterator
from typing import Self

DEPTH = 64
"""Bits of a number: of ten million users, any two meet by chance in one case of 370,000."""
SEED_BYTES = 32
_NODE = struct.Struct(f">BQ{SEED_BYTES}s")


class Leaves:
    """What still derives from a root. Frozen: `without` makes another one."""

    __slots__ = ("_depths", "_first", "_seeds")

    def __init__(self, nodes: Iterator[tuple[int, int, bytes]]) -> None:
        """`nodes`: how many steps below the root, the first number under it, and the seed; by that number, none under another."""
        found = list(nodes)
        self._depths = [depth for depth, _, _ in found]
        self._first = [first for _, first, _ in found]
        self._seeds = [seed for _, _, seed in found]

    @classmethod
    def whole(cls, root: bytes) -> Self:
        """Of a root of which nothing was destroyed."""
        return cls(iter([(0, 0, root)]))

    @classmethod
    def decoded(cls, data: bytes) -> Self:
        """What `encoded` gave. Raises struct.error: it is no such thing."""
        return cls(_NODE.iter_unpack(data))

    def encoded(self) -> bytes:
        """For `decoded`; as secret as the keys themselves."""
        return b"".join(map(_NODE.pack, self._depths, self._first, self._seeds))

    def __contains__(self, leaf: int) -> bool:
        return self._above(leaf) is not None

    def key(self, leaf: int) -> bytes | None:
        """The key of that number; `None` where it was destroyed."""
        at = self._above(leaf)
        if at is None:
            return None
        seed = self._seeds[at]
        for depth in range(self._depths[at], DEPTH):
            seed = _below(seed, _bit(leaf, depth))
        return seed

    def without(self, leaf: int) -> Leaves:
        """The same without that one; itself where it was destroyed before."""
        gone = self._above(leaf)
        if gone is None:
            return self
        nodes = list(zip(self._depths, self._first, self._seeds, strict=True))
        seed, beside = self._seeds[gone], list[tuple[int, int, bytes]]()
        for depth in range(self._depths[gone], DEPTH):
            other = 1 - _bit(leaf, depth)
            below = DEPTH - depth - 1
            beside.append((depth + 1, ((leaf >> below) ^ 1) << below, _below(seed, other)))
            seed = _below(seed, 1 - other)
        return Leaves(iter([*nodes[:gone], *sorted(beside, key=lambda node: node[1]), *nodes[gone + 1 :]]))

    def __len__(self) -> int:
        """How many seeds are kept."""
        return len(self._seeds)

    def _above(self, leaf: int) -> int | None:
        """The place of the seed that it derives from."""
        at = bisect_right(self._first, leaf) - 1
        return at if at >= 0 and leaf - self._first[at] < 1 << (DEPTH - self._depths[at]) else None


def number_of(key: str, user: str, again: int) -> int:
    """A user's number under the data key of this id, after having been erased `again` times."""
    named = f"{again}:{user}".encode()
    return int.from_bytes(hashlib.blake2b(named, digest_size=8, key=key.encode(), person=b"il-user").digest())


def _bit(leaf: int, depth: int) -> int:
    return leaf >> (DEPTH - depth - 1) & 1


def _below(seed: bytes, bit: int) -> bytes:
    return hashlib.blake2b(b"\1" if bit else b"\0", digest_size=SEED_BYTES, key=seed, person=b"il-leaf").digest()

"""A fair queue: tenants share capacity by weight, and within a tenant the more urgent call goes first.

Above: admit. Below: the standard library. Deficit round robin (Shreedhar and Varghese, "Efficient Fair Queueing Using Deficit Round-Robin",
SIGCOMM 1995) over tenants, in tokens, so that a tenant of few large calls gets no more than one of many small ones. A full queue takes
from whoever holds most of it (McKenney, "Stochastic Fairness Queueing", 1990), so that nobody is kept out by a flood of somebody else's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Generic, TypeVar

Item = TypeVar("Item")
PRIORITIES = ("high", "normal", "low")
QUANTUM = 4_000
"""Tokens that each tenant may have per round, times its weight; a call counts for no less, so that small ones take turns one by one."""
LARGEST = 8 * QUANTUM
"""A call counts for no more than this, so that a round ends soon."""


class _Tenant(Generic[Item]):
    """What one tenant has waiting."""

    __slots__ = ("deficit", "lines", "waiting", "weight")

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.deficit = 0.0
        self.waiting = 0
        self.lines: tuple[deque[tuple[int, Item]], ...] = tuple(deque() for _ in PRIORITIES)

    def head(self) -> deque[tuple[int, Item]]:
        return next(line for line in self.lines if line)

    def tail(self) -> deque[tuple[int, Item]]:
        return next(line for line in reversed(self.lines) if line)


class FairQueue(Generic[Item]):
    """Items by tenant and priority. Every operation takes time in proportion to the tenants that wait, at most."""

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        """`weights`: by tenant, 1 for one that is not named; a tenant of weight 2 gets twice the room when room is short."""
        self._weights = weights or {}
        self._tenants: dict[str, _Tenant[Item]] = {}
        self._turns: deque[str] = deque()
        self.size = 0
        """How many wait."""

    def __len__(self) -> int:
        return self.size

    def of(self, tenant: str) -> int:
        """How many items of a tenant wait."""
        known = self._tenants.get(tenant)
        return known.waiting if known else 0

    def push(self, tenant: str, priority: int, cost: int, item: Item) -> None:
        """Puts an item last of its tenant's of that priority (a place in `PRIORITIES`). `cost` in tokens."""
        known = self._tenants.get(tenant)
        if known is None:
            known = self._tenants[tenant] = _Tenant(max(0.01, self._weights.get(tenant, 1.0)))
            self._turns.append(tenant)
        known.lines[priority].append((max(QUANTUM, min(cost, LARGEST)), item))
        known.waiting += 1
        self.size += 1

    def pop(self) -> Item | None:
        """The next item; `None` when nobody waits."""
        while self._turns:
            name = self._turns[0]
            tenant = self._tenants[name]
            line = tenant.head()
            cost, item = line[0]
            if cost <= tenant.deficit:
                line.popleft()
                tenant.deficit -= cost
                self._took(name, tenant)
                return item
            tenant.deficit += QUANTUM * tenant.weight
            self._turns.rotate(-1)
        return None

    def evict(self, for_tenant: str) -> Item | None:
        """Makes room for one of `for_tenant`: the last and least urgent item of the tenant that has most waiting for its weight.

        `None` where that is `for_tenant` itself, who then has no claim to room.
        """
        most = max(self._tenants, key=lambda name: self._tenants[name].waiting / self._tenants[name].weight, default="")
        own = self._tenants.get(for_tenant)
        if not most or most == for_tenant:
            return None
        largest = self._tenants[most]
        if own is not None and own.waiting / own.weight >= largest.waiting / largest.weight:
            return None
        _, item = largest.tail().pop()
        self._took(most, largest)
        return item

    def remove(self, tenant: str, item: Item) -> bool:
        """Takes out an item that waits no longer; false where it is not there."""
        known = self._tenants.get(tenant)
        for line in known.lines if known else ():
            for entry in line:
                if entry[1] is item:
                    line.remove(entry)
                    assert known is not None
                    self._took(tenant, known)
                    return True
        return False

    def _took(self, name: str, tenant: _Tenant[Item]) -> None:
        tenant.waiting -= 1
        self.size -= 1
        if not tenant.waiting:
            del self._tenants[name]
            self._turns.remove(name)

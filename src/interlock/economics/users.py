"""For whom money was spent: tasks and calls of a period by the user they name.

Above: app's sight, pages. Below: statement, a `core.store.Store`. No roll-up knows users, so the newest `READ` tasks and calls are read; where a period holds more, it says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from interlock.core.store import Store, TaskFilter, TaskRow

from .statement import is_success

READ = 5_000
AT_A_TIME = 500
SHOWN = 50


class UserCost(Struct, frozen=True):
    """Of one user."""

    user: str
    """Empty for calls that name none."""
    tasks: int
    """Tasks and lone calls."""
    succeeded: int
    cost_nano_usd: int
    simulated_nano_usd: int


class ByUser(Struct, frozen=True):
    """Of a period."""

    users: tuple[UserCost, ...] = ()
    """The dearest first, at most `SHOWN`."""
    others: int = 0
    """Users beside those, and below what they cost together."""
    others_nano_usd: int = 0
    read: int = 0
    """Tasks and calls that were read."""
    whole: bool = True
    """Those are all that the period has."""


def by_user(store: Store, tenant: str, since_ns: int = 0) -> ByUser:
    """Since then. Raises StoreUnavailable."""
    sums: dict[str, list[int]] = {}
    read = 0
    for row in _newest(store, tenant, since_ns):
        if read == READ:
            return _told(sums, read, whole=False)
        read += 1
        each = sums.setdefault(row.user, [0, 0, 0, 0])
        good = row.kind != "late" and is_success(row.outcome, simulated=row.simulated, success=row.success)
        for place, amount in enumerate((row.kind != "late", good, row.cost_nano_usd, row.simulated_nano_usd)):
            each[place] += amount
    return _told(sums, read, whole=True)


def _newest(store: Store, tenant: str, since_ns: int) -> Iterator[TaskRow]:
    which = TaskFilter(tenant=tenant, since_ns=since_ns, limit=AT_A_TIME)
    while rows := store.tasks.list(which):
        yield from rows
        last = rows[-1]
        which = TaskFilter(
            tenant=tenant, since_ns=since_ns, until_ns=last.created_ns, before_id=last.id, limit=AT_A_TIME
        )


def _told(sums: dict[str, list[int]], read: int, *, whole: bool) -> ByUser:
    users = sorted(
        (UserCost(user, *each) for user, each in sums.items()), key=lambda one: (-one.cost_nano_usd, one.user)
    )
    rest = users[SHOWN:]
    return ByUser(tuple(users[:SHOWN]), len(rest), sum(each.cost_nano_usd for each in rest), read, whole)

"""The hours' sums in a SQLite file: what a transaction adds to roll-ups and meters.

Above: writes, steps. Below: rolls, meters.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from interlock.core.sketch import Counts, packed

from .meters import Meters
from .rolls import NS_PER_HOUR, Kinds, PriceOfVersion, RollKey, RollSum, sums_of
from .rows import encode
from .statements import statements


def add_sums(db: sqlite3.Connection, kinds: Kinds, price_of: PriceOfVersion, ended: Sequence[str] = ()) -> None:
    """Adds calls, and what happened in them, to their hours; `ended` are the tasks that have finished."""
    meters = Meters()
    sums = sums_of(kinds, price_of, meters.usual)
    if ended:
        _roll_tasks(db, sums, ended)
    _merge(db, sums)
    if counts := meters.rows(kinds):
        db.executemany(statements("meters")["merge"], counts)


def add_took(db: sqlite3.Connection, took: Mapping[RollKey, Counts]) -> None:
    """Adds calls that used nothing, by how long they took."""
    for key, counts in took.items():
        n, latency = sum(counts.values()), packed(counts)
        if not db.execute(statements("roll")["took"], (n, latency, *key)).rowcount:
            _merge(db, {key: RollSum(n, counts)})


def _merge(db: sqlite3.Connection, sums: Mapping[RollKey, RollSum]) -> None:
    if sums:
        db.executemany(statements("roll")["merge"], [each.row(key) for key, each in sums.items()])


def _roll_tasks(db: sqlite3.Connection, sums: dict[RollKey, RollSum], tasks: Sequence[str]) -> None:
    for tenant, workflow, outcome, tier, simulated, finished_ns, duration_us in db.execute(
        statements("tasks")["ended"], (encode(tasks),)
    ):
        hour = finished_ns // NS_PER_HOUR
        key: RollKey = (hour, tenant, workflow, "task", "task", workflow, "", tier, simulated, "", outcome)
        into = sums.setdefault(key, RollSum())
        into.n += 1
        into.took(duration_us)

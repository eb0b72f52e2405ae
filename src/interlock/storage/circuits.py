"""State changes of circuit breakers as rows, counted by the hour as they are written.

Above: the stores, as `circuits`. Below: session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import structs

from interlock.core.circuits import CircuitChange
from interlock.core.meters import turned

from .rolls import NS_PER_HOUR
from .session import Database


class Circuits:
    """`core.circuits.CircuitStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("circuits")
        self._meters = database.sql("meters")

    def add(self, changes: Sequence[CircuitChange]) -> None:
        counts: Counter[tuple[int, str, str, str, str]] = Counter()
        with self._database.transaction("keep changes of breakers") as db:
            for each in changes:
                if db.execute(self._sql["add"], structs.astuple(each)).rowcount > 0:
                    meter, label, n = turned(each)
                    counts[each.at_ns // NS_PER_HOUR, each.tenant, "", meter, label] += n
            # Sorted, so that two processes that count the same hour wait for each other in one order.
            db.executemany(self._meters["merge"], [(*key, n) for key, n in sorted(counts.items())])

    def since(self, tenant: str, since_ns: int, limit: int) -> list[CircuitChange]:
        with self._database.reading("read changes of breakers") as db:
            rows = db.execute(self._sql["since"], (tenant, since_ns, limit)).fetchall()
        return [CircuitChange(*row) for row in rows]

    def before(self, tenant: str, before_ns: int, limit: int) -> list[CircuitChange]:
        with self._database.reading("read how breakers stood") as db:
            rows = db.execute(self._sql["before"], (tenant, before_ns, limit)).fetchall()
        return [CircuitChange(*row) for row in rows]

    def forget(self, before_ns: int) -> int:
        with self._database.transaction("forget changes of breakers") as db:
            return int(db.execute(self._sql["forget"], (before_ns,)).rowcount)

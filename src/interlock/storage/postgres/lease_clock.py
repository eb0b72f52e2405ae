"""The clock by which leases on one PostgreSQL go: the server's, carried on by this machine's monotonic one between two questions.

Above: this folder's store. Below: database. No machine's wall clock has a part in it but the server's own.
"""

from __future__ import annotations

import threading
import time

from .database import Database

ASK_EVERY_S = 30.0
"""How far apart the questions are; what two machines' monotonic clocks drift in that time is far below a lease."""
_ASK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint"


class LeaseClock:
    """`now_ns` from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._asked: tuple[float, int] | None = None

    def now_ns(self) -> int:
        """Nanoseconds since the epoch. Raises StoreUnavailable where the server was not asked lately and cannot be."""
        with self._lock:
            at_s = time.monotonic()
            if self._asked is None or at_s - self._asked[0] > ASK_EVERY_S:
                self._asked = time.monotonic(), self._server_ns()
            since_s, server_ns = self._asked
            return server_ns + round((time.monotonic() - since_s) * 1e9)

    def _server_ns(self) -> int:
        with self._database.reading("ask for its time") as db:
            (now_ns,) = db.execute(_ASK).fetchone() or (0,)
        return int(now_ns)

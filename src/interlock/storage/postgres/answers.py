"""Whole answers of the exact cache on PostgreSQL, by their keys and by the time in which they end.

Above: store, as `cache`. Below: session. Transactions of several processes end in any order, so that places in the order of coming would tell others too little.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from interlock.core.answers import CacheEntry, Keeping, Placed
from interlock.storage.answers import entry_of, expires_ns, value_of
from interlock.storage.session import Database


class Answers:
    """`core.answers.CacheStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("cache")

    def get(self, tenant: str, key: bytes, now_ns: int) -> CacheEntry | None:
        with self._database.reading("read the cache") as db:
            row = db.execute(self._sql["get"], (tenant, key.hex(), now_ns)).fetchone()
        return None if row is None else entry_of(row[0])

    def put_all(self, group: Sequence[Keeping], now_ns: int, most: int = 0) -> Placed | None:
        rows = [
            (each.tenant, each.key.hex(), expires_ns(each), value_of(each))
            for each in group
            if each.keep_until_ns > now_ns
        ]
        rows.sort(key=itemgetter(0, 1))  # one way through the index, and no two processes the other way round
        with self._database.transaction("write the cache") as db:
            db.executemany(self._sql["put"], rows)
            if most:
                db.execute(self._sql["purge"], (now_ns,))
                db.execute(self._sql["trim"], (most,))
        return None

    def keys(self, after: int, kept_after_ns: int, limit: int) -> tuple[list[bytes], int]:
        with self._database.reading("read the cache's keys") as db:
            rows = db.execute(self._sql["keys"], (kept_after_ns, limit)).fetchall()
        return [bytes.fromhex(row[0]) for row in rows], after

    def clear(self, tenant: str = "") -> int:
        with self._database.transaction("clear the cache") as db:
            return db.execute(self._sql["clear"], (tenant,)).rowcount

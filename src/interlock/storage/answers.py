"""Whole answers of the exact cache on SQLite, in the order in which they came.

Above: sqlite, as `cache`. Below: session, rows. Written, told to other processes and removed at the ends of one table; what stands at random places, since keys
are hashes, is a short index. With an index over whole keys and one over times, and removal by time, an answer took two to three times the CPU of the writing thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interlock.core.answers import CacheRow, Placed

from .rows import encode
from .session import Database


class Answers:
    """`core.answers.CacheStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("cache")

    def get(self, tenant: str, key: bytes, now_ns: int) -> bytes | None:
        with self._database.reading("read the cache") as db:
            row = db.execute(self._sql["get"], {"tenant": tenant, "key": key, "now_ns": now_ns}).fetchone()
        return None if row is None else bytes(row[0])

    def put_all(self, rows: Sequence[CacheRow], now_ns: int, most: int = 0) -> Placed:
        with self._database.transaction("write the cache") as db:
            before: int = db.execute(self._sql["newest"]).fetchone()[0]
            for group in _alike([row for row in rows if row.expires_ns > now_ns]):
                db.execute(self._sql["put_all"], _joined(group))
            last: int = db.execute(self._sql["newest"]).fetchone()[0]
            if most:
                db.execute(self._sql["purge"], (now_ns,))
                db.execute(self._sql["trim"], (most,))
        return Placed(before, last)

    def keys(self, after: int, kept_after_ns: int, limit: int) -> tuple[list[bytes], int]:
        with self._database.reading("read the cache's keys") as db:
            rows = db.execute(self._sql["keys"], (after, limit)).fetchall()
        return [row[0] for row in rows], max(after, rows[0][1] if rows else 0)

    def clear(self, tenant: str = "") -> int:
        with self._database.transaction("clear the cache") as db:
            found: int = db.execute(self._sql["count"], (tenant,)).fetchone()[0]
            db.execute(self._sql["clear"], (tenant,))
            if db.execute(self._sql["is_there_before"]).fetchone() is not None:
                found += db.execute(self._sql["clear_before"], (tenant,)).rowcount
        return found


def _alike(rows: Sequence[CacheRow]) -> list[list[CacheRow]]:
    """Rows of one tenant that expire at one time, in their order."""
    groups: dict[tuple[str, int, int], list[CacheRow]] = {}
    for row in rows:
        groups.setdefault((row.tenant, row.expires_ns, len(row.key)), []).append(row)
    return list(groups.values())


def _joined(rows: Sequence[CacheRow]) -> dict[str, Any]:
    """The parameters of `cache.put_all`; places are (begin, bytes) as one number of 32 bits each."""
    first, begin, places = rows[0], 0, list[int]()
    for row in rows:
        size = len(row.value)
        places.append(begin << 32 | size)
        begin += size
    return {
        "tenant": first.tenant,
        "expires_ns": first.expires_ns,
        "key_bytes": len(first.key),
        "keys": b"".join([row.key for row in rows]),
        "places": encode(places),
        "values": b"".join([row.value for row in rows]),
    }

"""Whole answers of the exact cache on SQLite, in the order in which they came.

Above: sqlite, as `cache`. Below: session, rows. Written, told to other processes and removed at the ends of one table; what stands at random places, since keys
are hashes, is a short index. With an index over whole keys and one over times, and removal by time, an answer took two to three times the CPU of the writing thread.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from interlock.core.answers import CacheEntry, Keeping, Placed
from interlock.core.time import NS_PER_S

from .rows import encode
from .session import Database

TIMES = struct.Struct("<qq")


class Answers:
    """`core.answers.CacheStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("cache")

    def get(self, tenant: str, key: bytes, now_ns: int) -> CacheEntry | None:
        with self._database.reading("read the cache") as db:
            row = db.execute(self._sql["get"], {"tenant": tenant, "key": key, "now_ns": now_ns}).fetchone()
        return None if row is None else entry_of(row[0])

    def put_all(self, group: Sequence[Keeping], now_ns: int, most: int = 0) -> Placed:
        with self._database.transaction("write the cache") as db:
            before: int = db.execute(self._sql["newest"]).fetchone()[0]
            for (tenant, expires_ns, _), alike in _alike(group, now_ns).items():
                db.execute(self._sql["put_all"], _joined(tenant, expires_ns, alike))
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


def expires_ns(keeping: Keeping) -> int:
    """The end of the second in which its time is over, so that those that came together can be written together."""
    return -(-keeping.keep_until_ns // NS_PER_S) * NS_PER_S


def value_of(keeping: Keeping) -> bytes:
    """As it rests: its instants, and what it says."""
    return TIMES.pack(keeping.stored_ns, keeping.fresh_until_ns) + keeping.value


def entry_of(value: bytes) -> CacheEntry:
    """What `value_of` made."""
    stored_ns, fresh_until_ns = TIMES.unpack_from(value)
    return CacheEntry(bytes(value[TIMES.size :]), stored_ns, fresh_until_ns)


def _alike(group: Sequence[Keeping], now_ns: int) -> dict[tuple[str, int, int], list[Keeping]]:
    """Those whose time is not over, in their order, by tenant, the time at which they expire, and the length of their keys."""
    found: dict[tuple[str, int, int], list[Keeping]] = {}
    for each in group:
        if each.keep_until_ns > now_ns:
            kind = each.tenant, expires_ns(each), len(each.key)
            if (alike := found.get(kind)) is None:
                found[kind] = [each]
            else:
                alike.append(each)
    return found


def _joined(tenant: str, expires_ns: int, group: Sequence[Keeping]) -> dict[str, Any]:
    """The parameters of `cache.put_all`; places are (begin, bytes) as one number of 32 bits each."""
    begin, places, values = 0, list[int](), list[bytes]()
    for each in group:
        size = TIMES.size + len(each.value)
        places.append(begin << 32 | size)
        values.append(TIMES.pack(each.stored_ns, each.fresh_until_ns))
        values.append(each.value)
        begin += size
    return {
        "tenant": tenant,
        "expires_ns": expires_ns,
        "key_bytes": len(group[0].key),
        "keys": b"".join([each.key for each in group]),
        "places": encode(places),
        "values": b"".join(values),
    }

"""What stands beside the ledger: signals from outside, and whole answers kept for the exact cache.

Above: the stores, as `signals` and `cache`. Below: session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from interlock.core.answers import CacheRow
from interlock.core.store import Signal

from .rows import encode
from .session import Database


class Signals:
    """`core.store.SignalStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("signals")

    def add(self, signal: Signal) -> bool:
        row = (signal.task, signal.id, signal.name, encode(signal.payload), signal.at_ns)
        with self._database.transaction(f"add a signal for task {signal.task}") as db:
            return db.execute(self._sql["add"], row).rowcount > 0

    def pending(self, task: str) -> list[Signal]:
        with self._database.reading(f"read signals of task {task}") as db:
            rows = db.execute(self._sql["pending"], (task,)).fetchall()
        return [Signal(row[0], row[1], row[2], msgspec.json.decode(row[3]), row[4]) for row in rows]

    def called(self, tasks: Sequence[str]) -> list[str]:
        with self._database.reading("look for signals of tasks at work") as db:
            return [row[0] for row in db.execute(self._sql["called"], (encode(list(tasks)),)).fetchall()]

    def consume(self, task: str, ids: Sequence[str]) -> None:
        with self._database.transaction(f"consume signals of task {task}") as db:
            db.executemany(self._sql["consume"], [(task, each) for each in ids])

    def forget(self, tasks: Sequence[str]) -> int:
        with self._database.transaction("forget what signals said") as db:
            return sum(db.execute(self._sql["forget"], (task,)).rowcount for task in tasks)


class Cache:
    """`core.store.CacheStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("cache")

    def get(self, tenant: str, key: str, now_ns: int) -> bytes | None:
        with self._database.reading("read the cache") as db:
            row = db.execute(self._sql["get"], (tenant, key, now_ns)).fetchone()
        return None if row is None else bytes(row[0])

    def put(self, tenant: str, key: str, value: bytes, *, now_ns: int, expires_ns: int) -> None:
        if expires_ns <= now_ns:
            return
        with self._database.transaction("write the cache") as db:
            db.execute(self._sql["put"], (tenant, key, expires_ns, value))

    def put_all(self, rows: Sequence[CacheRow]) -> None:
        together = self._sql.get("put_all", "")
        with self._database.transaction("write the cache") as db:
            if together:
                for group in _alike(rows):
                    db.execute(together, _joined(group))
            else:
                db.executemany(self._sql["put"], [(row.tenant, row.key, row.expires_ns, row.value) for row in rows])

    def keys(self, expiring_after_ns: int, limit: int) -> list[str]:
        with self._database.reading("read the cache's keys") as db:
            rows = db.execute(self._sql["keys"], (expiring_after_ns, limit)).fetchall()
        return [row[0] for row in rows]

    def purge(self, now_ns: int) -> int:
        with self._database.transaction("purge the cache") as db:
            return db.execute(self._sql["purge"], (now_ns,)).rowcount

    def trim(self, entries: int) -> int:
        with self._database.transaction("trim the cache") as db:
            return db.execute(self._sql["trim"], (entries,)).rowcount

    def clear(self, tenant: str = "") -> int:
        with self._database.transaction("clear the cache") as db:
            return db.execute(self._sql["clear"], (tenant,)).rowcount


def _alike(rows: Sequence[CacheRow]) -> list[list[CacheRow]]:
    """Rows of one tenant that expire at one time, in their order."""
    groups: dict[tuple[str, int, int], list[CacheRow]] = {}
    for row in rows:
        groups.setdefault((row.tenant, row.expires_ns, len(row.key.encode())), []).append(row)
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
        "key_bytes": len(first.key.encode()),
        "keys": "".join([row.key for row in rows]).encode(),
        "places": encode(places),
        "values": b"".join([row.value for row in rows]),
    }

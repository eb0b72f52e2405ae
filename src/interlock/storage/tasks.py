"""Tasks: their leases, and the lists that people and workers ask for.

Above: `SqliteStore.tasks`. Below: database, writes.
"""

from __future__ import annotations

import builtins
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
from msgspec import structs

from interlock.core.due import Wanted
from interlock.core.errors import Fenced
from interlock.core.events import Record
from interlock.core.store import OutcomeRow, TaskFilter, TaskRow

from . import packed
from .database import Database
from .fair import Due, chosen
from .rolls import END_OF_TIME, NS_PER_HOUR, PriceOfVersion
from .statements import statements
from .writes import write_groups

Alive = Callable[[str], bool]
_LAST_NS = 2**63 - 1
_FIELDS = frozenset(TaskRow.__struct_fields__)
_KNOWN = (msgspec.json.Decoder(TaskRow), msgspec.json.Decoder(OutcomeRow))
"""Made for their side effect: msgspec works a type out when it first meets it, and ends the process when two threads do so at the same time
(0.22.0, in `convert`). Here it has met both before any thread begins."""


class SqliteTasks:
    """`core.store.TaskStore` on SQLite."""

    def __init__(self, database: Database, price_of: PriceOfVersion) -> None:
        self._database = database
        self._price_of = price_of
        self._sql = statements("tasks")
        self._segments = statements("segments")

    def begin(self, record: Record, owner: str, lease_until_ns: int) -> int:
        with self._database.transaction(f"begin task {record.task}") as db:
            if db.execute(self._sql["lease"], (record.task,)).fetchone() is not None:
                raise Fenced(
                    f"task {record.task} exists already.",
                    hint="Claim it to go on with it, or begin one with a fresh id.",
                )
            write_groups(db, [[structs.replace(record, fence=0)]], (), self._price_of, self._database.ahead)
            db.execute(self._sql["hold"], (owner, lease_until_ns, 1, record.task))
        return 1

    def claim(
        self, task: str, owner: str, *, now_ns: int, lease_until_ns: int, alive: Alive | None = None
    ) -> int | None:
        with self._database.transaction(f"claim task {task}") as db:
            row = db.execute(self._sql["lease"], (task,)).fetchone()
            if row is None or row[3] == "finished" or not _free(row[0], row[1], now_ns, alive):
                return None
            if db.execute(self._sql["behind"], (task,)).fetchone()[0]:
                return None
            fence = int(row[2]) + 1
            db.execute(self._sql["hold"], (owner, lease_until_ns, fence, task))
        return fence

    def take(
        self,
        wanted: Wanted,
        owner: str,
        *,
        now_ns: int,
        lease_until_ns: int,
        due_ns: int | None = None,
        alive: Alive | None = None,
    ) -> builtins.list[TaskRow]:
        served, but = frozenset(wanted.served), frozenset(wanted.but)
        with self._database.transaction("take due tasks") as db:
            rows = db.execute(self._sql["due"], {"now_ns": now_ns if due_ns is None else due_ns}).fetchall()
            due = [
                Due(*row[:5])
                for row in rows
                if row[0] not in but and (row[1], row[2]) in served and _free(row[5], row[6], now_ns, alive)
            ]
            held = db.execute(self._sql["held"], (now_ns,)).fetchall() if due else []
            busy = Counter(tenant for tenant, holder in held if alive is None or alive(holder))
            taken = chosen(due, busy, wanted)
            db.executemany(self._sql["take"], [(owner, lease_until_ns, task) for task in taken])
        with self._database.reading("read the tasks that were taken") as db:
            return [row for task in taken for row in _all(db.execute(self._sql["get"], (task,))) if row.owner == owner]

    def renew(self, tasks: Sequence[str], owner: str, *, lease_until_ns: int) -> builtins.list[str]:
        with self._database.transaction("renew leases") as db:
            held = {task: db.execute(self._sql["renew"], (lease_until_ns, task, owner)).rowcount for task in tasks}
        return [task for task, rows in held.items() if rows == 0]

    def release(self, task: str, fence: int, *, wake_at_ns: int | None = None) -> bool:
        with self._database.transaction(f"release task {task}") as db:
            return db.execute(self._sql["release"], (wake_at_ns, task, fence)).rowcount > 0

    def get(self, task: str) -> TaskRow | None:
        with self._database.reading(f"read task {task}") as db:
            lone = packed.find(db, self._segments, task)
            return lone.call.task() if lone is not None else _one(db.execute(self._sql["get"], (task,)))

    def list(self, which: TaskFilter) -> builtins.list[TaskRow]:
        # A bound of its own for the index: a page far back costs what the first one does.
        end = which.until_ns or _LAST_NS
        asked = structs.asdict(which) | {"last_ns": end if which.before_id or end == _LAST_NS else end - 1}
        with self._database.snapshot("list tasks") as db:
            lone = packed.newest(db, self._segments, which, asked["last_ns"])
            rows = _all(db.execute(self._sql["list"], asked))
        return sorted([*rows, *lone], key=lambda row: (row.created_ns, row.id), reverse=True)[: which.limit]

    def unfinished(self, *, limit: int = 1000) -> builtins.list[TaskRow]:
        with self._database.reading("list unfinished tasks") as db:
            return _all(db.execute(self._sql["unfinished"], (limit,)))

    def runnable(
        self, now_ns: int, *, lease_now_ns: int | None = None, alive: Alive | None = None, limit: int = 100
    ) -> builtins.list[TaskRow]:
        by_ns = now_ns if lease_now_ns is None else lease_now_ns
        with self._database.reading("list runnable tasks") as db:
            rows = _all(db.execute(self._sql["runnable"], {"now_ns": now_ns, "limit": -1}))
        free = [row for row in rows if _free(row.owner, row.lease_until_ns, by_ns, alive)]
        return free[:limit]

    def of_batch(self, batch: str) -> builtins.list[TaskRow]:
        with self._database.reading(f"read batch {batch}") as db:
            return _all(db.execute(self._sql["of_batch"], (batch,)))

    def find(self, batch: str, line: int) -> TaskRow | None:
        with self._database.reading(f"read line {line} of batch {batch}") as db:
            return _one(db.execute(self._sql["find"], (batch, line)))

    def outcomes(
        self, *, tenant: str = "", workflow: str | None = None, since_ns: int = 0, until_ns: int = 0
    ) -> builtins.list[OutcomeRow]:
        asked = {
            "since": since_ns // NS_PER_HOUR,
            "until": -(-until_ns // NS_PER_HOUR) if until_ns else END_OF_TIME,
            "tenant": tenant,
            "workflow": workflow,
        }
        with self._database.snapshot("count outcomes") as db:
            rows = db.execute(statements("outcomes")["read"], asked).fetchall()
        return [msgspec.convert(dict(row), OutcomeRow, strict=False) for row in rows]


def _free(owner: str, lease_until_ns: int, now_ns: int, alive: Alive | None) -> bool:
    """Nobody holds the lease, it has run out, or its holder is known to be gone."""
    return not owner or lease_until_ns <= now_ns or (alive is not None and not alive(owner))


def _row(row: sqlite3.Row) -> TaskRow:
    return msgspec.convert({key: row[key] for key in row.keys() if key in _FIELDS}, TaskRow, strict=False)  # noqa: SIM118


def _one(cursor: sqlite3.Cursor) -> TaskRow | None:
    row = cursor.fetchone()
    return None if row is None else _row(row)


def _all(cursor: sqlite3.Cursor) -> list[TaskRow]:
    return [_row(row) for row in cursor.fetchall()]

"""Tasks: their leases, and the lists that people and workers ask for.

Above: this folder's store. Below: database, calls, writes.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import structs

from interlock.core.due import Wanted
from interlock.core.errors import Fenced
from interlock.core.events import Record
from interlock.core.store import OutcomeRow, TaskFilter, TaskRow
from interlock.storage.rolls import END_OF_TIME, NS_PER_HOUR, PriceOfVersion
from interlock.storage.rows import encode
from interlock.storage.session import Answer, Session

from . import calls
from .database import Database
from .writes import write_groups

Alive = Callable[[str], bool]
_LAST_NS = 2**63 - 1
SPARE = 8
"""Tasks that are looked at beyond those that are wanted, since others may be taking the first of them at the same moment."""
_COLUMNS = len(TaskRow.__struct_fields__)
"""A task's row begins with the fields of `TaskRow`, in their order; what follows is the store's own."""


class PostgresTasks:
    """`core.store.TaskStore` on PostgreSQL."""

    def __init__(self, database: Database, price_of: PriceOfVersion) -> None:
        self._database = database
        self._price_of = price_of
        self._sql = database.sql("tasks")
        self._gone: frozenset[str] = frozenset()
        """Who holds tasks and lives no more, as far as the last take saw."""

    def begin(self, record: Record, owner: str, lease_until_ns: int) -> int:
        with self._database.transaction(f"begin task {record.task}") as db:
            db.execute(self._sql["alone"], (record.task,))
            there = db.execute(self._sql["lease"], ([record.task],)).fetchone()
            if there is None:
                write_groups(db, [[structs.replace(record, fence=0)]], self._price_of)
            elif not _is_ours(db, self._database.sql("events")["there"], record, there, owner):
                raise Fenced(
                    f"task {record.task} exists already.",
                    hint="Claim it to go on with it, or begin one with a fresh id.",
                )
            db.execute(self._sql["hold"], (owner, lease_until_ns, 1, record.task))
        return 1

    def claim(
        self, task: str, owner: str, *, now_ns: int, lease_until_ns: int, alive: Alive | None = None
    ) -> int | None:
        with self._database.transaction(f"claim task {task}") as db:
            row = db.execute(self._sql["lease"], ([task],)).fetchone()
            if row is None or row[4] == "finished" or not _free(row[1], row[2], now_ns, alive):
                return None
            if db.execute(self._sql["behind"], (task,)).fetchone()[0]:
                return None
            fence = int(row[3]) + 1
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
        asked = {
            "tenants": [tenant for tenant, _ in wanted.served],
            "workflows": [workflow for _, workflow in wanted.served],
            "urgencies": [wanted.priorities.get(workflow, 0) for _, workflow in wanted.served],
            "but": list(wanted.but),
            "per_tenant": wanted.per_tenant,
            "now_ns": now_ns,
            "due_ns": now_ns if due_ns is None else due_ns,
            "owner": owner,
            "until_ns": lease_until_ns,
        }
        taken: list[TaskRow] = []
        if not wanted.per_tenant:
            taken, done = self._take(asked, wanted.limit, alive)
            if done:
                return taken
        with self._database.transaction("take due tasks") as db:  # nobody else does so until it ends
            db.execute(self._sql["taking"])
            more, done = self._take(asked, wanted.limit - len(taken), alive, db)
            if not done:
                more += self._take(asked, wanted.limit - len(taken) - len(more), alive, db)[0]
        return taken + more

    def _take(
        self, asked: Mapping[str, Any], limit: int, alive: Alive | None, db: Session | None = None
    ) -> tuple[builtins.list[TaskRow], bool]:
        """Takes what is due and free; whether that was all that can be had. Not so where others were at the same tasks, or where it turned out that
        somebody who holds some is gone.
        """
        told = {**asked, "limit": limit, "most": limit + SPARE, "gone": sorted(self._gone)}
        if db is None:
            with self._database.at_once("take due tasks") as alone:
                rows = alone.execute(self._sql["take"], told).fetchall()
        else:
            rows = db.execute(self._sql["take"], told).fetchall()
        owners, due = rows[0][:2]
        gone = frozenset(owner for owner in owners if alive is not None and not alive(owner))
        news, self._gone = not gone <= self._gone, gone
        taken = [TaskRow(*row[2 : 2 + _COLUMNS]) for row in rows if row[2] is not None]
        return taken, len(taken) == limit or (len(taken) >= due and not news)

    def renew(self, tasks: Sequence[str], owner: str, *, lease_until_ns: int) -> builtins.list[str]:
        asked = {"tasks": list(tasks), "owner": owner, "lease_until_ns": lease_until_ns}
        with self._database.transaction("renew leases") as db:
            held = {row[0] for row in db.execute(self._sql["renew"], asked)}
        return [task for task in tasks if task not in held]

    def release(self, task: str, fence: int, *, wake_at_ns: int | None = None) -> bool:
        with self._database.at_once(f"release task {task}") as db:
            return db.execute(self._sql["release"], (wake_at_ns, task, fence)).rowcount > 0

    def get(self, task: str) -> TaskRow | None:
        with self._database.snapshot(f"read task {task}") as db:
            found = _one(db.execute(self._sql["get"], (task,)))
            if found is None and (call := calls.find(db, task)) is not None:
                return calls.as_task(encode(call.event), call.at_ns)
        return found

    def list(self, which: TaskFilter) -> builtins.list[TaskRow]:
        # A bound of its own for the index: a page far back costs what the first one does.
        end = which.until_ns or _LAST_NS
        last_ns = end if which.before_id or end == _LAST_NS else end - 1
        with self._database.snapshot("list tasks") as db:
            lone = calls.newest(db, which, last_ns)
            rows = _all(db.execute(self._sql["list"], structs.asdict(which) | {"last_ns": last_ns}))
        return sorted([*rows, *lone], key=lambda row: (row.created_ns, row.id), reverse=True)[: which.limit]

    def unfinished(self, *, limit: int = 1000) -> builtins.list[TaskRow]:
        with self._database.reading("list unfinished tasks") as db:
            return _all(db.execute(self._sql["unfinished"], (limit,)))

    def runnable(
        self, now_ns: int, *, lease_now_ns: int | None = None, alive: Alive | None = None, limit: int = 100
    ) -> builtins.list[TaskRow]:
        by_ns = now_ns if lease_now_ns is None else lease_now_ns
        with self._database.reading("list runnable tasks") as db:
            rows = _all(db.execute(self._sql["runnable"], {"now_ns": now_ns}))
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
            return [OutcomeRow(*row) for row in db.execute(self._database.sql("outcomes")["read"], asked)]


def _is_ours(db: Session, at: str, record: Record, lease: Sequence[Any], owner: str) -> bool:
    """The task was begun by this very call, whose answer got lost with the connection."""
    if lease[1] != owner or lease[3] != 1:
        return False
    found = db.execute(at, ([record.task], [record.seq])).fetchone()
    return found is not None and found[2] == encode(record.event)


def _free(owner: str, lease_until_ns: int, now_ns: int, alive: Alive | None) -> bool:
    """Nobody holds the lease, it has run out, or its holder is known to be gone."""
    return not owner or lease_until_ns <= now_ns or (alive is not None and not alive(owner))


def _one(answer: Answer) -> TaskRow | None:
    row = answer.fetchone()
    return None if row is None else TaskRow(*row[:_COLUMNS])


def _all(answer: Answer) -> list[TaskRow]:
    return [TaskRow(*row[:_COLUMNS]) for row in answer.fetchall()]

"""The raw rows that retention moves out of a PostgreSQL store: lone calls, and tasks with their events.

Above: this folder's store. Below: database; leaving, said. A row is deleted in the version in which it was read (`xmin`, postgresql.org/docs/current/ddl-system-columns.html).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from interlock.storage.leaving import Changed, Portion, Row, row_of
from interlock.storage.rows import decode_event
from interlock.storage.said import Said, plain
from interlock.storage.session import Session

from .database import Database
from .tail import place_of

_EVERYTHING = {"era": 2**31 - 1, "xid": str(2**64 - 1), "place": 2**63 - 1}
_TASKS = 200
"""Whose events are read at once."""


class Read(Struct, frozen=True):
    """The rows that a portion was read from, each with its version."""

    calls: list[tuple[str, str]]
    tasks: list[tuple[str, str]]
    events: list[tuple[str, int, str]]
    said: list[bytes | None]
    """What was said in them, as it rests."""


class PostgresRows:
    """`leaving.RawRows` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("archives")
        self._bodies = database.sql("bodies")

    def portion(self, db: Session, before_ns: int, most: int) -> Portion:
        asked = {"before": before_ns, "limit": most, **self._read_by_all(db)}
        calls = db.execute(self._sql["calls"], asked).fetchall()
        rows = self._rows(db, calls)
        found = Read([(row[0], row[7]) for row in calls], [], [], [row[6] for row in calls])
        moments = [row[8] for row in calls]
        tasks = db.execute(self._sql["tasks"], asked).fetchall() if len(rows) < most else []
        for at in range(0, len(tasks), _TASKS):
            if len(rows) >= most:
                break
            some = tasks[at : at + _TASKS]
            ids = [task for task, _, _ in some]
            unread = {row[0] for row in db.execute(self._sql["unread"], asked | {"tasks": ids})}
            events = [row for row in db.execute(self._sql["events"], (ids,)).fetchall() if row[0] not in unread]
            rows += self._rows(db, events)
            found.tasks.extend((task, version) for task, _, version in some if task not in unread)
            found.events.extend((row[0], row[1], row[7]) for row in events)
            found.said.extend(row[6] for row in events)
            moments += [created_ns for task, created_ns, _ in some if task not in unread]
        whole = len(found.calls) + len(found.tasks)
        return Portion(rows, whole, min(moments, default=0), max(moments, default=0), found)

    def drop(self, db: Session, portion: Portion, said: Said) -> None:
        read: Read = portion.read
        for name, rows in (("drop_calls", read.calls), ("drop_tasks", read.tasks), ("drop_events", read.events)):
            columns = [list(column) for column in zip(*rows, strict=True)]
            if rows and db.execute(self._sql[name], columns).rowcount != len(rows):
                raise Changed
        for kept in read.said:
            said.dropped(kept)
        tasks = [task for task, _ in read.tasks]
        for name in ("drop_moved", "drop_signals"):
            db.execute(self._sql[name], (tasks,))

    def forget(self, db: Session, before_ns: int, most: int, said: Said) -> int:
        forgotten = 0
        for what in ("calls", "events"):
            rows = db.execute(self._sql[f"said_{what}"], (before_ns, most)).fetchall()
            for _, kept in rows:
                said.dropped(kept)
            db.execute(self._sql[f"forget_{what}"], ([place for place, _ in rows],))
            forgotten += len(rows)
        return forgotten

    def pack(self, db: Session, most: int, said: Said) -> int:
        if not said.secret:
            return 0
        packed = 0
        for what in ("calls", "events"):
            rows = db.execute(self._sql[f"old_{what}"], (most,)).fetchall()
            again = [(said.one(tenant, content.encode()), place) for place, tenant, content in rows]
            db.executemany(self._sql[f"pack_{what}"], again)
            packed += len(rows)
        return packed

    @contextmanager
    def alone(self) -> Generator[bool]:
        """By a lock that the server gives back when the connection ends, however it does."""
        with self._database.explained("see whether another process rolls off"):
            connection = self._database.connect("write")
        try:
            row = connection.execute(self._sql["alone"].encode()).fetchone()
            yield row == (True,)
        finally:
            connection.close()

    def _read_by_all(self, db: Session) -> dict[str, Any]:
        """The place up to which every reader that must miss nothing has read."""
        places = [place_of(row[0]) for row in db.execute(self._sql["cursors"])]
        return min(places, key=lambda place: (place["era"], int(place["xid"]), place["place"]), default=_EVERYTHING)

    def _rows(self, db: Session, found: Sequence[Sequence[Any]]) -> list[Row]:
        contents = plain(db, self._bodies, [row[6] for row in found])
        return [
            row_of(place, task, seq, at_ns, tenant, decode_event(event), event, said)
            for (task, seq, tenant, at_ns, place, event, *_), said in zip(found, contents, strict=True)
        ]

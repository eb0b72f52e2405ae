"""The chain of the audit, one row an entry; the database itself refuses to change or remove one.

Above: the stores, as `audit`. Below: session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from interlock.core.audit import EMPTY, Deed, Entry, Head, chained
from interlock.core.tenancy import acting_for_everybody

from .session import Database, Session

_LARGEST = (1 << 62) - 1


class Audit:
    """`core.audit.AuditStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("audit")

    def append(self, deeds: Sequence[Deed]) -> Head:
        with self._database.transaction("write the audit") as db:
            db.execute(self._sql["alone"])  # whoever comes meanwhile waits, so that nobody seals the same head twice
            entries = chained(self._head(db), deeds)
            rows = [(each.seq, *structs.astuple(each.deed), each.seal) for each in entries]
            db.executemany(self._sql["append"], rows)
            return Head(entries[-1].seq, entries[-1].seal) if entries else self._head(db)

    def read(self, after: int, limit: int, tenant: str = "") -> list[Entry]:
        with self._database.reading("read the audit") as db:
            return [_entry(row) for row in db.execute(self._sql["after"], (after, tenant, tenant, limit)).fetchall()]

    def latest(self, before: int, limit: int, tenant: str = "") -> list[Entry]:
        with self._database.reading("read the audit") as db:
            asked = (before or _LARGEST, tenant, tenant, limit)
            return [_entry(row) for row in db.execute(self._sql["before"], asked).fetchall()]

    def head(self) -> Head:
        with acting_for_everybody(), self._database.reading("read the head of the audit") as db:  # one chain
            return self._head(db)

    def _head(self, db: Session) -> Head:
        row = db.execute(self._sql["head"]).fetchone()
        return EMPTY if row is None else Head(*row)


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(row[0], Deed(*row[1:8]), row[8])

"""The ledger in the order of its commits, while many processes write to it.

Above: this folder's store, as `tail`. Below: database. A row's place is (era, transaction, number). Transactions end in another order than they
begin, so only rows of transactions older than every open one are read: nothing older can come any more. A dump that is put into another database
system meets transactions that are counted anew, hence the eras.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.errors import InsufficientPrivilege

from interlock.core.events import Record
from interlock.storage.rows import record_of
from interlock.storage.said import plain
from interlock.storage.session import Session

from .database import Database

MOST_COUNTED = 100_000


class Tail:
    """`core.tail.Tail` on PostgreSQL."""

    def __init__(self, database: Database, era: int) -> None:
        """`era`: what `enter_era` gave."""
        self._database = database
        self._sql = database.sql("tail")
        self._bodies = database.sql("bodies")
        self._era = era

    def read(self, place: str, limit: int) -> tuple[list[Record], str]:
        asked = {**place_of(place), "now": self._era, "limit": limit}
        with self._database.snapshot("read the ledger on") as db:
            rows = db.execute(self._sql["read"], asked).fetchall()
            contents = plain(db, self._bodies, [row[8] for row in rows])
        if not rows:
            return [], place
        records = [record_of(row[3:9], content) for row, content in zip(rows, contents, strict=True)]
        return records, ":".join(str(each) for each in rows[-1][:3])

    def end(self) -> str:
        with self._database.reading("look where the ledger ends") as db:
            xid = db.execute(self._sql["end"]).fetchone()[0]
        return f"{self._era}:{xid}:{2**63 - 1}"

    def behind(self, place: str) -> int:
        with self._database.reading("count what is to be read") as db:
            return int(db.execute(self._sql["behind"], {**place_of(place), "most": MOST_COUNTED}).fetchone()[0])

    def kept(self, reader: str) -> str | None:
        with self._database.reading(f"read how far {reader} has got") as db:
            row = db.execute(self._sql["kept"], (reader,)).fetchone()
        return None if row is None else str(row[0])

    def keep(self, reader: str, place: str, was: str | None) -> bool:
        with self._database.transaction(f"keep how far {reader} has got") as db:
            if was is None:
                return db.execute(self._sql["begin"], (reader, place)).rowcount > 0
            return db.execute(self._sql["move"], (place, reader, was)).rowcount > 0


def enter_era(db: Session, sql: Mapping[str, str]) -> int:
    """Inside a transaction that is alone with the schema: the era in which rows are written now, a new one in a system that was not seen before."""
    system = _system(db, sql)
    row = db.execute(sql["last"]).fetchone()
    if row is not None and row[1] in (system, ""):
        return int(row[0])
    era = 1 if row is None else int(row[0]) + 1
    db.execute(sql["begin"], (era, system))
    for table in ("events", "calls"):
        db.execute(f"ALTER TABLE {table} ALTER COLUMN era SET DEFAULT {era}")
    return era


def _system(db: Session, sql: Mapping[str, str]) -> str:
    db.execute("SAVEPOINT system")
    try:
        return str(db.execute(sql["system"]).fetchone()[0])
    except InsufficientPrivilege:
        db.execute("ROLLBACK TO SAVEPOINT system")
        return ""


def place_of(place: str) -> dict[str, Any]:
    """The parts of a place."""
    era, xid, number = place.split(":") if place else ("0", "0", "0")
    return {"era": int(era), "xid": xid, "place": int(number)}

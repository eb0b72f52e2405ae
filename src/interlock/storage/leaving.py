"""Retention: moves old raw rows into Parquet files by day and deletes them, while the aggregates stay.

Above: the stores, as `retention`. Below: parquet, said, session; what a store's raw rows are, its `RawRows` knows. The order is everything: read,
write the file, bring it to the disk, then in one transaction delete exactly what was read and name the file. What changed meanwhile is read again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from interlock.core.errors import StoreUnavailable
from interlock.core.events import Event, Settled
from interlock.core.retention import Archive, Bodies

from .parquet import Kind, write_all
from .rows import money
from .said import Said
from .session import Database, Session

COLUMNS: dict[str, Kind] = {
    "place": "int64",
    "task": "text",
    "seq": "int64",
    "at_ns": "int64",
    "tenant": "text",
    "type": "text",
    "workflow": "text",
    "tier": "text",
    "status": "text",
    "started_ns": "int64",
    "duration_us": "int64",
    "cost_nano_usd": "int64",
    "simulated_nano_usd": "int64",
    "event": "text",
    "content": "text",
}
_COST = list(COLUMNS).index("cost_nano_usd")
PORTION = 20_000
"""Records that leave in one transaction, about: other writers wait for it."""
MOST_SAID = 500
"""Rows that forget, or are packed, in one transaction."""
TRIES = 5
_PREFIX, _SUFFIX = "ledger-", ".parquet"
_NS_PER_S = 1_000_000_000

Row = tuple[int | str, ...]


class Changed(Exception):
    """Something happened to what was about to leave."""


class Portion(Struct, frozen=True):
    """What leaves together."""

    rows: list[Row]
    """By `COLUMNS`."""
    tasks: int
    first_ns: int
    last_ns: int
    read: Any = None
    """What its store needs in order to delete exactly that."""


class RawRows(Protocol):
    """What one kind of store holds row by row. All within the transaction of the session that is handed in."""

    def portion(self, db: Session, before_ns: int, most: int) -> Portion:
        """The oldest finished work from before `before_ns` that every reader has read, about `most` records."""
        ...

    def drop(self, db: Session, portion: Portion, said: Said) -> None:
        """Deletes what was read. Raises Changed where it is not as it was."""
        ...

    def forget(self, db: Session, before_ns: int, most: int, said: Said) -> int:
        """Deletes what was said in some work that was over before `before_ns`; how many rows forgot something."""
        ...

    def pack(self, db: Session, most: int, said: Said) -> int:
        """Keeps what some rows said as it is kept today; how many rows."""
        ...

    def alone(self) -> AbstractContextManager[bool]:
        """Holds others off; False where one is at it."""
        ...


class Archives:
    """`core.retention.Retention`."""

    def __init__(self, database: Database, raw: RawRows) -> None:
        self._database = database
        self._raw = raw
        self._sql = database.sql("archives")
        self._bodies = database.sql("bodies")

    def alone(self) -> AbstractContextManager[bool]:
        return self._raw.alone()

    def size_bytes(self) -> int:
        with self._database.reading("measure the store") as db:
            return int(db.execute(self._sql["used"]).fetchone()[0])

    def oldest_ns(self) -> int | None:
        with self._database.reading("look for the oldest rows") as db:
            found = db.execute(self._sql["oldest"]).fetchone()[0]
        return None if found is None else int(found)

    def roll_off(self, before_ns: int, folder: Path | None, now_ns: int) -> Archive | None:
        for _ in range(TRIES):
            with self._database.snapshot("read what is to be rolled off") as db:
                portion = self._raw.portion(db, before_ns, PORTION)
            if not portion.rows:
                return None
            file = "" if folder is None else write_file(folder, portion)
            try:
                return self._let_go(portion, file, now_ns)
            except Changed:
                if folder is not None:
                    (folder / file).unlink(missing_ok=True)
        raise StoreUnavailable(
            "the oldest rows kept changing while they were rolled off.",
            hint="Nothing was moved; it is tried again with the next round.",
        )

    def forget_bodies(self, before_ns: int) -> int:
        forgotten = 0
        while True:
            with self._database.transaction("forget what was said") as db:
                said = Said(db, self._bodies)
                some = self._raw.forget(db, before_ns, MOST_SAID, said)
                said.write()
            forgotten += some
            if not some:
                return forgotten

    def bodies(self) -> Bodies:
        with self._database.reading("count bodies") as db:
            return Bodies(*map(int, db.execute(self._bodies["held"]).fetchone()))

    def pack(self) -> int:
        packed = 0
        while True:
            with self._database.transaction("pack what was said") as db:
                said = Said(db, self._bodies)
                some = self._raw.pack(db, MOST_SAID, said)
                said.write()
            packed += some
            if not some:
                return packed

    def archives(self) -> Sequence[Archive]:
        with self._database.reading("list archives") as db:
            return [Archive(*row) for row in db.execute(self._sql["list"]).fetchall()]

    def sweep(self, folder: Path) -> int:
        named = {each.file for each in self.archives()}
        lost = [path for path in folder.glob(f"{_PREFIX}*{_SUFFIX}*") if path.name not in named]
        for path in lost:
            path.unlink(missing_ok=True)
        return len(lost)

    def _let_go(self, portion: Portion, file: str, now_ns: int) -> Archive:
        cost, simulated = (sum(int(row[at]) for row in portion.rows) for at in (_COST, _COST + 1))
        left = Archive(
            file,
            portion.first_ns,
            portion.last_ns,
            len(portion.rows),
            portion.tasks,
            cost,
            simulated,
            now_ns,
        )
        with self._database.transaction("roll off old rows") as db:
            said = Said(db, self._bodies)
            self._raw.drop(db, portion, said)
            said.write()
            db.execute(self._sql["add"], tuple(getattr(left, name) for name in Archive.__struct_fields__))
        return left


def row_of(
    place: int, task: str, seq: int, at_ns: int, tenant: str, event: Event, text: str, content: bytes | None
) -> Row:
    """A record as it leaves."""
    tag, said = str(event.__struct_config__.tag), "" if content is None else content.decode()
    facts: Row = ("", "", "", 0, 0, 0, 0)
    if isinstance(event, Settled):
        facts = (event.caller.workflow, event.tier, event.status, event.started_ns, event.duration_us, *money(event))
    return (place, task, seq, at_ns, tenant, tag, *facts, text, said)


def write_file(folder: Path, portion: Portion) -> str:
    """The portion as a file that is whole and on the disk; returns its name, which the oldest record gives it.

    Raises:
        StoreUnavailable: it cannot be written.
    """
    day = datetime.fromtimestamp(portion.first_ns / _NS_PER_S, UTC).strftime("%Y-%m-%d")
    path = folder / f"{_PREFIX}{day}-{min(int(row[0]) for row in portion.rows)}{_SUFFIX}"
    unfinished = path.with_name(path.name + ".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            write_all(file, COLUMNS, portion.rows, "interlock")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        _to_disk(folder)
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: old rows could not be written there: {error}.",
            hint="Free space on that disk, or see that this user may write there. Nothing was deleted.",
        ) from error
    return path.name


def _to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Letting raw rows go: into Parquet files by day, while the sums stay.

Above: the store, as `retention`. Below: parquet, segments, database. The order is everything: read, write the file, bring it to the disk,
then in one transaction delete exactly what was read and name the file. What changed meanwhile is read again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from interlock.core.errors import StoreUnavailable
from interlock.core.retention import Archive

from .database import Database
from .parquet import Kind, write_all
from .rows import encode, money
from .segments import NOTHING, contents_of, opened
from .statements import statements

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
TRIES = 5
_PREFIX, _SUFFIX = "ledger-", ".parquet"
_NS_PER_S = 1_000_000_000
_EVERYTHING = 1 << 62

Row = tuple[int | str, ...]


class _Changed(Exception):
    """Something happened to what was about to leave."""


class Portion(Struct, frozen=True):
    """What leaves together."""

    rows: list[Row]
    """By `COLUMNS`."""
    segments: list[tuple[int, bytes, str | None]]
    """Id, calls and contents, as read."""
    tasks: list[tuple[str, int, int]]
    """Id, events and `updated_ns`, as read."""
    alone: list[str]
    """Ids of the lone calls."""
    first_ns: int
    last_ns: int
    cost_nano_usd: int
    simulated_nano_usd: int


class Archives:
    """`core.retention.Retention` on SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("archives")

    def size_bytes(self) -> int:
        with self._database.reading("measure the store") as db:
            return int(db.execute(self._sql["used"]).fetchone()[0])

    def oldest_ns(self) -> int | None:
        with self._database.reading("look for the oldest rows") as db:
            found = db.execute(self._sql["oldest"]).fetchone()[0]
        return None if found is None else int(found)

    def roll_off(self, before_ns: int, folder: Path | None, now_ns: int) -> Archive | None:
        for _ in range(TRIES):
            portion = self._portion(before_ns)
            if not portion.rows:
                return None
            file = "" if folder is None else _write(folder, portion)
            try:
                return self._let_go(portion, file, now_ns)
            except _Changed:
                if folder is not None:
                    (folder / file).unlink(missing_ok=True)
        raise StoreUnavailable(
            f"{self._database.path}: the oldest rows kept changing while they were rolled off.",
            hint="Nothing was moved; it is tried again with the next round.",
        )

    def forget_bodies(self, before_ns: int) -> int:
        with self._database.transaction("forget what was said") as db:
            return sum(
                db.execute(self._sql[name], (before_ns,)).rowcount for name in ("forget_segments", "forget_events")
            )

    def archives(self) -> Sequence[Archive]:
        with self._database.reading("list archives") as db:
            return [Archive(*row) for row in db.execute(self._sql["list"]).fetchall()]

    def sweep(self, folder: Path) -> int:
        named = {each.file for each in self.archives()}
        lost = [path for path in folder.glob(f"{_PREFIX}*{_SUFFIX}*") if path.name not in named]
        for path in lost:
            path.unlink(missing_ok=True)
        return len(lost)

    def _portion(self, before_ns: int) -> Portion:
        with self._database.snapshot("read what is to be rolled off") as db:
            read = db.execute(self._sql["read_by_all"]).fetchone()[0]
            asked = {"before": before_ns, "read": _EVERYTHING if read is None else int(read) + 1, "limit": PORTION}
            rows: list[Row] = []
            segments: list[sqlite3.Row] = []
            for each in db.execute(self._sql["segments"], asked):
                segments.append(each)
                rows += _rows_of(each)
                if len(rows) >= PORTION:
                    break
            alone = [str(row[1]) for row in rows]
            tasks: list[sqlite3.Row] = []
            for each in db.execute(self._sql["tasks"], asked) if len(rows) < PORTION else ():
                events = [tuple(row) for row in db.execute(self._sql["events"], (each["id"],))]
                if all(row[0] < asked["read"] for row in events):
                    tasks.append(each)
                    rows += events
                if len(rows) >= PORTION:
                    break
        moments = [
            *(s["first_ns"] for s in segments),
            *(s["last_ns"] for s in segments),
            *(t["created_ns"] for t in tasks),
        ]
        return Portion(
            rows,
            [(each["id"], each["calls"], each["contents"]) for each in segments],
            [(each["id"], each["events"], each["updated_ns"]) for each in tasks],
            alone,
            min(moments, default=0),
            max(moments, default=0),
            sum(int(row[_COST]) for row in rows),
            sum(int(row[_COST + 1]) for row in rows),
        )

    def _let_go(self, portion: Portion, file: str, now_ns: int) -> Archive:
        left = Archive(
            file,
            portion.first_ns,
            portion.last_ns,
            len(portion.rows),
            len(portion.alone) + len(portion.tasks),
            portion.cost_nano_usd,
            portion.simulated_nano_usd,
            now_ns,
        )
        with self._database.transaction("roll off old rows") as db:
            for segment in portion.segments:
                _once(db.execute(self._sql["drop_segment"], segment))
            for task in portion.tasks:
                _once(db.execute(self._sql["drop_task"], task))
            tasks = encode([task for task, _, _ in portion.tasks])
            for name in ("drop_events", "drop_lone", "drop_signals"):
                db.execute(self._sql[name], (tasks,))
            db.execute(self._sql["drop_lone"], (encode(portion.alone),))
            db.execute(self._sql["add"], _fields(left))
        return left


def _fields(left: Archive) -> tuple[Any, ...]:
    return tuple(getattr(left, name) for name in Archive.__struct_fields__)


def _once(cursor: sqlite3.Cursor) -> None:
    if cursor.rowcount != 1:
        raise _Changed


def _rows_of(segment: sqlite3.Row) -> Iterator[Row]:
    """The calls of a segment as records that leave."""
    calls = opened(segment["calls"])
    for at, (call, content) in enumerate(zip(calls, contents_of(segment["contents"], len(calls)), strict=True)):
        if call is not None:
            event = call.event
            real, simulated = money(event)
            said = "" if content == NOTHING else content.decode()
            head = (segment["id"] + at, event.caller.task, event.caller.step, call.at_ns, segment["tenant"], "settled")
            facts = (event.caller.workflow, event.tier, event.status, event.started_ns, event.duration_us)
            yield (*head, *facts, real, simulated, encode(event), said)


def _write(folder: Path, portion: Portion) -> str:
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

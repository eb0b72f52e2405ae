"""The store on one SQLite file.

Above: `app` builds it and hands it to whoever asks for `core.store.Store`. Below: the aggregates of this room.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from interlock.core.errors import Fenced, InterlockError
from interlock.core.events import Record
from interlock.core.lots import Lot
from interlock.core.meters import MeterRow
from interlock.core.money import BUCKETS, Price, Totals, Usage
from interlock.core.sketch import unpacked
from interlock.core.store import LINES, Change, RollFilter, RollRow, StorePrompts

from . import packed
from .anew import rewritten
from .answers import Answers
from .archive import SqliteRows
from .aside import Signals
from .audit import Audit
from .batches import Batches, Files
from .bodies import NOTHING
from .changes import Changes
from .circuits import Circuits
from .database import Database, Synchronous
from .kept import Responses
from .keys import Keys
from .lease_clock import lease_clock
from .leaving import Archives
from .migrate import prepare
from .outbox import Outbox, Texts
from .rolls import END_OF_TIME, NS_PER_HOUR
from .rows import record_of
from .said import Said, plain
from .scrubbed import scrubbed
from .sessions import Sessions
from .similar import SimilarAnswers
from .statements import statements
from .steps import NotSteps, Steps, steps_of, write_steps
from .tail import Tail
from .tasks import SqliteTasks
from .writes import put_prices, write_groups

MOST_PRICES = 10_000
"""Kept at hand; callers choose the models and so the prices."""

_SUMMED = ("events", "segments", "archives", "outcomes", "roll")
_HEAD = 15
"""Columns of `roll` before the usage buckets."""


_prices = msgspec.json.Decoder(Price)


class SqliteStore:
    """`core.store.Store` on SQLite, in WAL mode. Safe to use from any thread; several processes may share one file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._prices: dict[str, Price] = {}
        self._tasks = SqliteTasks(database, self._price_at_write)
        self._signals = Signals(database)
        self._cache = Answers(database)
        self._keys = Keys(database)
        self._responses = Responses(database)
        self._files = Files(database)
        self._batches = Batches(database)
        self._similar = SimilarAnswers(database)
        self._outbox = Outbox(database)
        self._texts = Texts(database)
        self._sessions = Sessions(database)
        self._audit = Audit(database)
        self._circuits = Circuits(database)
        self._tail = Tail(database)
        self._retention = Archives(database, SqliteRows(database.path))
        self._segments = statements("segments")
        self._bodies = statements("bodies")
        self._lease_clock = lease_clock(database.path)
        self._changes = Changes(database.path)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        busy_timeout_s: float = 1.0,
        synchronous: Synchronous = "full",
        by_itself: bool = True,
    ) -> SqliteStore:
        """Opens or creates the file and its folder, and brings its schema as far as this version needs (`by_itself`: where it may).

        `busy_timeout_s` bounds the wait for another process's transaction. `synchronous="full"` keeps what was committed
        through a loss of power; `"normal"` may lose the last moments then, never through a crash of the process.

        Raises:
            StoreUnavailable: it cannot be opened, is no database, or its schema is too new or too old.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        how = partial(prepare, by_itself=by_itself)
        return cls(Database(path, busy_timeout_s=busy_timeout_s, synchronous=synchronous, prepared=how))

    @property
    def path(self) -> Path:
        return self._database.path

    @property
    def tasks(self) -> SqliteTasks:
        return self._tasks

    @property
    def signals(self) -> Signals:
        return self._signals

    @property
    def cache(self) -> Answers:
        return self._cache

    @property
    def keys(self) -> Keys:
        return self._keys

    @property
    def files(self) -> Files:
        return self._files

    @property
    def batches(self) -> Batches:
        return self._batches

    @property
    def responses(self) -> Responses:
        return self._responses

    @property
    def similar(self) -> SimilarAnswers:
        return self._similar

    @property
    def outbox(self) -> Outbox:
        return self._outbox

    @property
    def texts(self) -> Texts:
        return self._texts

    @property
    def sessions(self) -> Sessions:
        return self._sessions

    @property
    def audit(self) -> Audit:
        return self._audit

    @property
    def circuits(self) -> Circuits:
        return self._circuits

    @property
    def tail(self) -> Tail:
        return self._tail

    @property
    def retention(self) -> Archives:
        return self._retention

    def write(
        self, groups: Sequence[Sequence[Record]], prices: Sequence[Price] = (), lots: Sequence[Lot] = ()
    ) -> list[Fenced | None]:
        if not prices and not lots and (steps := steps_of(groups)) is not None and self._write_steps(steps):
            return [None] * len(groups)
        with self._database.transaction("write events") as db:
            if prices:
                put_prices(db, prices)
                self._remember(prices)
            return write_groups(db, groups, lots, self._price_at_write, self._database.ahead)

    def _write_steps(self, steps: Steps) -> bool:
        """False, and nothing done, where they have to be looked at one by one."""
        try:
            with self._database.transaction("write events") as db:
                write_steps(db, steps, self._price_at_write, self._database.ahead)
        except NotSteps:
            return False
        return True

    def records(self, task: str, *, after: int = -1) -> list[Record]:
        with self._database.snapshot(f"read the log of task {task}") as db:
            lone = packed.find(db, self._segments, task)
            if lone is not None:
                call = lone.call
                return [call.record(lone.content(db, self._bodies))] if call.event.caller.step > after else []
            rows = db.execute(statements("events")["of_task"], (task, after)).fetchall()
            contents = plain(db, self._bodies, [row[5] for row in rows])
        return [record_of(*each) for each in zip(rows, contents, strict=True)]

    def scrub(self, task: str, policy: StorePrompts, redact: Callable[[str], str]) -> int:
        row = self._tasks.get(task)
        if policy == "full" or row is None:
            return 0
        if row.status != "finished":
            raise InterlockError(
                f"task {task} is {row.status}: its content is still needed.", hint="Scrub it when it has finished."
            )
        with self._database.transaction(f"scrub task {task}") as db:
            said = Said(db, self._bodies)
            lone = packed.find(db, self._segments, task)
            if lone is not None:
                content = lone.content(db, self._bodies)
                if content == NOTHING:
                    return 0
                packed.set_content(db, self._segments, lone, scrubbed(content, policy, redact), said)
                said.write()
                return 1
            rows = db.execute(statements("events")["contents"], (task,)).fetchall()
            for (seq, kept), content in zip(rows, plain(db, self._bodies, [row[1] for row in rows]), strict=True):
                left = scrubbed(content or NOTHING, policy, redact)
                said.dropped(kept)
                change = (said.one(row.tenant, left or NOTHING), task, seq)
                db.execute(statements("events")["set_content"], change)
            said.write()
        return len(rows)

    def rewrite(self, tasks: Sequence[str], change: Change) -> int:
        with self._database.transaction("write contents anew") as db:
            return rewritten(db, tasks, change)

    def rolls(self, which: RollFilter) -> list[RollRow]:
        with self._database.reading("read roll-ups") as db:
            rows = db.execute(statements("roll")["read" if which.by_hour else "sums"], _asked(which)).fetchall()
        return [_roll_row(row) for row in rows]

    def meters(self, which: RollFilter) -> list[MeterRow]:
        with self._database.reading("read meters") as db:
            rows = db.execute(statements("meters")["read" if which.by_hour else "sums"], _asked(which)).fetchall()
        return [MeterRow(*row) for row in rows]

    def _remember(self, prices: Iterable[Price]) -> None:
        if len(self._prices) > MOST_PRICES:
            self._prices.clear()
        self._prices.update({price.version: price for price in prices})

    def price(self, version: str) -> Price | None:
        known = self._prices.get(version)
        if known is None and version:
            with self._database.reading(f"read price {version}") as db:
                known = _price(db, version)
            if known is not None:
                self._remember((known,))
        return known

    def settle(self) -> bool:
        return self._database.checkpoint()

    def totals(self) -> Totals:
        with self._database.snapshot("sum the ledger") as db:
            *raw, tasks, rolls = [db.execute(statements(noun)["totals"]).fetchone() for noun in _SUMMED]
        real, simulated = (sum(each[place] for each in raw) for place in (0, 1))
        return Totals(real, tasks[0], rolls[0], simulated, tasks[1], rolls[1])

    def lease_clock(self) -> Callable[[], int]:
        return self._lease_clock

    def waker(self) -> None:
        """Other processes on the file are not heard."""
        return

    def wire(self, tenant: str) -> None:
        """Nor spoken with."""
        return

    def changes(self) -> Callable[[], int | None]:
        return self._changes

    def close(self) -> None:
        self._changes.close()
        self._database.close()

    def _price_at_write(self, version: str) -> Price | None:
        return self.price(version)


def _asked(which: RollFilter) -> dict[str, Any]:
    return {
        "since": which.since_ns // NS_PER_HOUR,
        "until": -(-which.until_ns // NS_PER_HOUR) if which.until_ns else END_OF_TIME,
        "tenant": which.tenant,
        "workflow": which.workflow,
        "role": which.role,
    }


def _price(db: sqlite3.Connection, version: str) -> Price | None:
    row = db.execute(statements("prices")["get"], (version,)).fetchone()
    return None if row is None else _prices.decode(row[0])


def _roll_row(row: Sequence[Any]) -> RollRow:
    at_lines = _HEAD + len(BUCKETS)
    usage = Usage(*row[_HEAD:at_lines])
    lines = dict(zip(LINES, row[at_lines : at_lines + len(LINES)], strict=True))
    head: dict[str, Any] = dict(zip(RollRow.__struct_fields__, row[:_HEAD], strict=False))
    head["simulated"] = bool(head["simulated"])
    spent = {name: amount for name, amount in lines.items() if amount}
    return RollRow(**head, usage=usage, lines_nano_usd=spent, latency=unpacked(row[-1]))

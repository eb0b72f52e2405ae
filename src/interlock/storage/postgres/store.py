"""The store on one PostgreSQL, for any number of processes on any number of machines.

Above: `app` builds it and hands it to whoever asks for `core.store.Store`. Below: this folder, and what all stores share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from interlock.core.errors import Fenced, InterlockError
from interlock.core.events import Record
from interlock.core.lots import Lot
from interlock.core.meters import MeterRow
from interlock.core.money import Price, Totals, Usage
from interlock.core.sketch import Counts
from interlock.core.store import LINES, Change, RollFilter, RollRow, StorePrompts
from interlock.storage.aside import Signals
from interlock.storage.audit import Audit
from interlock.storage.batches import Batches, Files
from interlock.storage.bodies import NOTHING
from interlock.storage.circuits import Circuits
from interlock.storage.kept import Responses
from interlock.storage.keys import Keys
from interlock.storage.leaving import Archives
from interlock.storage.outbox import Outbox, Texts
from interlock.storage.rolls import END_OF_TIME, NS_PER_HOUR
from interlock.storage.rows import record_of
from interlock.storage.said import Said, plain
from interlock.storage.scrubbed import scrubbed
from interlock.storage.sessions import Sessions
from interlock.storage.similar import SimilarAnswers

from . import calls
from .anew import rewritten
from .answers import Answers
from .archive import PostgresRows
from .database import Database
from .lease_clock import LeaseClock
from .migrate import migrate
from .sketches import sketch_of, sketches_of
from .tail import Tail
from .tasks import PostgresTasks
from .waker import Waker
from .wire import PostgresWire
from .writes import put_prices, write_groups

MOST_PRICES = 10_000
"""Kept at hand; callers choose the models and so the prices."""
_SUMMED = ("events", "calls", "archives", "outcomes", "roll")
_HEAD = 15
"""Columns of `roll` before the usage."""
_SUMS = 11
"""Columns of its key, after which its sums begin."""
_prices = msgspec.json.Decoder(Price)


class PostgresStore:
    """`core.store.Store` on PostgreSQL 13 or newer. Safe to use from any thread."""

    def __init__(self, database: Database, era: int) -> None:
        self._database = database
        self._prices: dict[str, Price] = {}
        self.tasks = PostgresTasks(database, self.price)
        self.signals = Signals(database)
        self.cache = Answers(database)
        self.keys = Keys(database)
        self.responses = Responses(database)
        self.files = Files(database)
        self.batches = Batches(database)
        self.similar = SimilarAnswers(database)
        self.outbox = Outbox(database)
        self.texts = Texts(database)
        self.sessions = Sessions(database)
        self.audit = Audit(database)
        self.circuits = Circuits(database)
        self.tail = Tail(database, era)
        self.retention = Archives(database, PostgresRows(database))
        self._lease_clock = LeaseClock(database)

    @classmethod
    def open(cls, dsn: str, *, busy_timeout_s: float = 5.0, by_itself: bool = True) -> PostgresStore:
        """Connects, and brings the schema as far as this version needs (`by_itself`: where it may).

        `dsn` is a URL (postgresql://user:password@host:5432/database?…) or a list of settings, as libpq takes them. `busy_timeout_s` bounds
        the wait for another process's transaction.

        Raises:
            StoreUnavailable: the server cannot be reached or refuses, or the schema is too new or too old.
        """
        database = Database(dsn, busy_timeout_s=busy_timeout_s)
        try:
            return cls(database, migrate(database, by_itself=by_itself))
        except BaseException:
            database.close()
            raise

    @property
    def name(self) -> str:
        """The address without its password."""
        return self._database.name

    def write(
        self, groups: Sequence[Sequence[Record]], prices: Sequence[Price] = (), lots: Sequence[Lot] = ()
    ) -> list[Fenced | None]:
        asked, groups = len(groups), [*groups, *([record] for lot in lots for record in lot.records())]
        with self._database.transaction("write events") as db:
            put_prices(db, prices)
            self._remember(prices)
            return write_groups(db, groups, self.price)[:asked]

    def records(self, task: str, *, after: int = -1) -> list[Record]:
        with self._database.snapshot(f"read the log of task {task}") as db:
            rows = db.execute(self._database.sql("events")["of_task"], (task, after)).fetchall()
            contents = plain(db, self._database.sql("bodies"), [row[5] for row in rows])
            lone = None if rows else calls.find(db, task)
        if lone is not None:
            return [lone] if lone.seq > after else []
        return [record_of(*each) for each in zip(rows, contents, strict=True)]

    def scrub(self, task: str, policy: StorePrompts, redact: Callable[[str], str]) -> int:
        row = self.tasks.get(task)
        if policy == "full" or row is None:
            return 0
        if row.status != "finished":
            raise InterlockError(
                f"task {task} is {row.status}: its content is still needed.", hint="Scrub it when it has finished."
            )
        sql, bodies = self._database.sql("events"), self._database.sql("bodies")
        with self._database.transaction(f"scrub task {task}") as db:
            said, alone = Said(db, bodies), calls.kept(db, task)
            rows = [(0, alone)] if alone is not None else db.execute(sql["contents"], (task,)).fetchall()
            for (seq, kept), content in zip(rows, plain(db, bodies, [each for _, each in rows]), strict=True):
                left = said.one(row.tenant, scrubbed(content or NOTHING, policy, redact) or NOTHING)
                said.dropped(kept)
                if alone is not None:
                    calls.set_content(db, task, left)
                else:
                    db.execute(sql["set_content"], (*calls.by_column(left), task, seq))
            said.write()
        return len(rows)

    def rewrite(self, tasks: Sequence[str], change: Change) -> int:
        with self._database.transaction("write contents anew") as db:
            return rewritten(db, tasks, change)

    def rolls(self, which: RollFilter) -> list[RollRow]:
        with self._database.reading("read roll-ups") as db:
            rows = db.execute(self._database.sql("roll")["read"], _asked(which)).fetchall()
        return [_roll_row(row, sketch_of(row[-1])) for row in rows] if which.by_hour else _added_up(rows)

    def meters(self, which: RollFilter) -> list[MeterRow]:
        with self._database.reading("read meters") as db:
            sql = self._database.sql("meters")["read" if which.by_hour else "sums"]
            return [MeterRow(*row) for row in db.execute(sql, _asked(which))]

    def price(self, version: str) -> Price | None:
        known = self._prices.get(version)
        if known is None and version:
            with self._database.reading(f"read price {version}") as db:
                row = db.execute(self._database.sql("prices")["get"], (version,)).fetchone()
            known = None if row is None else _prices.decode(row[0])
            if known is not None:
                self._remember((known,))
        return known

    def settle(self) -> bool:
        """False: PostgreSQL's own housekeeping removes old versions of rows, and the server recycles its write-ahead log, in their time."""
        return False

    def totals(self) -> Totals:
        with self._database.snapshot("sum the ledger") as db:
            *raw, tasks, rolls = [db.execute(self._database.sql(noun)["totals"]).fetchone() for noun in _SUMMED]
        real, simulated = (sum(each[place] for each in raw) for place in (0, 1))
        return Totals(real, tasks[0], rolls[0], simulated, tasks[1], rolls[1])

    def lease_clock(self) -> Callable[[], int]:
        return self._lease_clock.now_ns

    def waker(self) -> Waker:
        return Waker(self._database)

    def wire(self, tenant: str) -> PostgresWire:
        return PostgresWire(self._database, tenant)

    def changes(self) -> None:
        """Nothing is as cheap as asking what one wants to know."""
        return

    def close(self) -> None:
        self._database.close()

    def _remember(self, prices: Iterable[Price]) -> None:
        if len(self._prices) > MOST_PRICES:
            self._prices.clear()
        self._prices.update({price.version: price for price in prices})


def _asked(which: RollFilter) -> dict[str, Any]:
    return {
        "since": which.since_ns // NS_PER_HOUR,
        "until": -(-which.until_ns // NS_PER_HOUR) if which.until_ns else END_OF_TIME,
        "tenant": which.tenant,
        "workflow": which.workflow,
        "role": which.role,
    }


def _roll_row(row: Sequence[Any], latency: Counts) -> RollRow:
    usage, lines, _ = row[_HEAD:]
    spent = {name: amount for name, amount in zip(LINES, lines, strict=True) if amount}
    return RollRow(*row[:_HEAD], usage=Usage(*usage), lines_nano_usd=spent, latency=latency)


def _added_up(rows: Iterable[Sequence[Any]]) -> list[RollRow]:
    """Rows without their hours, each with the first of them."""
    of_key: dict[tuple[Any, ...], list[Sequence[Any]]] = {}
    for row in rows:
        of_key.setdefault(tuple(row[1:_SUMS]), []).append(row)
    return [_one(key, alike) for key, alike in of_key.items()]


def _one(key: tuple[Any, ...], alike: Sequence[Sequence[Any]]) -> RollRow:
    columns = list(zip(*alike, strict=True))
    sums = map(sum, columns[_SUMS:_HEAD])
    usage, lines = ([sum(column) for column in zip(*lists, strict=True)] for lists in columns[_HEAD:-1])
    return _roll_row((min(columns[0]), *key, *sums, usage, lines, b""), sketches_of(columns[-1]))

"""The thread that commits: groups of records in one transaction, tried again until it works.

Above: record. Below: queue, and the store.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from msgspec import Struct

from interlock.core.errors import Fenced, InterlockError, StoreUnavailable
from interlock.core.events import Record, Settled
from interlock.core.lots import Lot, merged
from interlock.core.money import Price
from interlock.core.store import Store
from interlock.core.time import Clock

from .health import RecorderLimits
from .queue import Appended, Calls, Entry, Item, Job, Queue
from .written import tell

_log = logging.getLogger("interlock.ledger")
Groups = Sequence[Sequence[Record]]
Recorded = Entry | Appended | Calls
MOST_KEPT = 10_000


class Failing(Struct, frozen=True):
    """The store cannot be written."""

    error: str
    since_ns: int


class Writer:
    """Takes from the queue and commits. The only thread that writes to the store for this process's ledger."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        queue: Queue,
        limits: RecorderLimits,
        price_of_version: Callable[[str], Price | None],
        landed: Callable[[list[int]], None],
        began_to_fail: Callable[[], None],
    ) -> None:
        """`landed` is told which slots' calls are committed; `began_to_fail`, that nobody need wait for that now."""
        self._store = store
        self._clock = clock
        self._queue = queue
        self._limits = limits
        self._price_of_version = price_of_version
        self._landed = landed
        self._began_to_fail = began_to_fail
        self._kept: set[str] = set()
        """Price versions that the store has; forgotten at times, since callers choose the models and so the prices."""
        self._thread: threading.Thread | None = None
        self._give_up_s: float | None = None
        self.failing: Failing | None = None
        self.rejected = 0

    def start(self) -> None:
        self._thread = threading.Thread(target=self._loop, name="interlock-ledger", daemon=True)
        self._thread.start()

    def stop(self, drain_s: float) -> int:
        """Writes on for at most `drain_s`, then ends; returns how many records were not written."""
        self._give_up_s = self._clock.monotonic_s() + drain_s
        self._queue.close()
        if self._thread is not None:
            # One transaction may still wait for the store; it has its own bound.
            self._thread.join(drain_s + 10.0)
        return self._queue.state()[0]

    def commit(self, groups: Groups, lots: Sequence[Lot] = ()) -> list[Fenced | None]:
        """Writes groups and lots with the prices they name."""
        lots = merged(lots) if lots else lots
        prices = self._new_prices(groups, lots)
        answers = self._store.write(groups, prices, lots)
        if len(self._kept) > MOST_KEPT:
            self._kept.clear()
        self._kept.update(price.version for price in prices)
        return answers

    def _loop(self) -> None:
        retry_s = self._limits.retry_first_s
        while items := self._queue.take(self._limits.group, self._limits.flush_window_s):
            left = self._write(items)
            if not left:
                retry_s = self._limits.retry_first_s
                continue
            self._queue.put_back(left)
            if self._give_up_s is not None and self._clock.monotonic_s() >= self._give_up_s:
                return
            self._queue.pause(retry_s if self._give_up_s is None else self._limits.retry_first_s)
            retry_s = min(retry_s * 2, self._limits.retry_longest_s)

    def _write(self, items: list[Item]) -> list[Item]:
        """Writes items in order, runs of records in one transaction; returns what could not be written."""
        rest = list(items)
        alone = 0
        """How many items are still to be written one by one, since one among them is at fault."""
        while rest:
            first = rest[0]
            run = _run(rest[:1] if alone else rest)
            try:
                ok = self._do(first) if isinstance(first, Job) else self._commit_run(run)
            except Exception:  # noqa: BLE001 - one record that cannot be written must not hold up all others
                if len(run) > 1:
                    alone = len(run)
                    continue
                self._reject(run[0])
                ok = True
            if not ok:
                return rest
            del rest[: max(1, len(run))]
            alone = max(0, alone - 1)
        return []

    def _do(self, job: Job) -> bool:
        try:
            value = job.job(self._store)
        except StoreUnavailable as error:
            if job.written is None:
                # Nobody waits for a deferred job, so it is not worth holding up the ledger.
                self._queue.done([job])
                return True
            return self._failed(error)
        except Exception as error:  # noqa: BLE001 - whatever the job raises belongs to whoever asked for it
            self._queue.done([job])
            if job.written is not None:
                tell([(job.written, None, error)])
        else:
            self.failing = None
            self._queue.done([job])
            if job.written is not None:
                tell([(job.written, value, None)])
        return True

    def _commit_run(self, run: list[Recorded]) -> bool:
        singly: list[Entry | Appended] = []
        lots: list[Lot] = []
        slots: list[int] = []
        for item in run:
            if isinstance(item, Calls):
                lots.append(item.lot)
                slots += item.slots
            else:
                singly.append(item)
                if isinstance(item, Entry):
                    slots.append(item.slot)
        try:
            answers = self.commit([item.records for item in singly], lots)
        except StoreUnavailable as error:
            return self._failed(error)
        self.failing = None
        self._queue.done(run)
        self._landed(slots)
        pairs = zip(singly, answers, strict=True)
        tell([(item.written, None, refused) for item, refused in pairs if isinstance(item, Appended)])
        return True

    def _failed(self, error: InterlockError) -> bool:
        if self.failing is None:
            self.failing = Failing(str(error), self._clock.wall_ns())
            self._began_to_fail()
            _log.error("the ledger cannot be written, calls wait in memory: %s", error)
        else:
            self.failing = Failing(str(error), self.failing.since_ns)
        return False

    def _reject(self, item: Recorded) -> None:
        """A fault of the program: the store cannot hold this record at all, and it must not hold up all others."""
        records = item.lot.records() if isinstance(item, Calls) else item.records
        self.rejected += len(records)
        self._queue.done([item])
        _log.exception("the store cannot hold these records: %r", [record.event for record in records])
        if isinstance(item, Calls):
            self._landed(item.slots)
        elif isinstance(item, Entry):
            self._landed([item.slot])
        else:
            error = InterlockError("the store cannot hold these records; the log of the process says why")
            tell([(item.written, None, error)])

    def _new_prices(self, groups: Groups, lots: Sequence[Lot]) -> list[Price]:
        """The prices that these name and the store does not have yet."""
        named: set[str] = set()
        for group in groups:
            for record in group:
                if isinstance(record.event, Settled):
                    _name(record.event, named)
        for lot in lots:
            _name(lot.form.sample, named)
        fresh = [self._price_of_version(version) for version in named - self._kept if version]
        return [price for price in fresh if price is not None]


def _name(call: Settled, named: set[str]) -> None:
    """Adds the prices that a call names."""
    named.add(call.price)
    for attempt in call.attempts:
        named.add(attempt.price)


def _run(items: list[Item]) -> list[Recorded]:
    """The records at the beginning of `items`, up to the first job."""
    run: list[Recorded] = []
    for item in items:
        if isinstance(item, Job):
            break
        run.append(item)
    return run

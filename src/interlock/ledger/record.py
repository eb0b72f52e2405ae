"""The recorder: calls open and settle in microseconds, and one thread commits them in groups.

Above: gateway and tools settle here, agents append (see `tasks`). Below: flight, and a `core.store.Store` that `app` hands in.
While the store cannot be written, calls go on and wait in memory and in the flight journal, until the stated bound is
reached; from then on `open` refuses. A store that can be written but is slower than the calls come makes them wait (`ready`).
Nothing that has settled is ever dropped.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from interlock.core.batches import ENDED, asks_a_line
from interlock.core.errors import LedgerFull, StoreUnavailable
from interlock.core.events import Record, Settled
from interlock.core.lots import Brief, Form, Lot, Opened
from interlock.core.money import Price
from interlock.core.store import Store
from interlock.core.time import NS_PER_S, Clock, Deadline

from .flight import Flight, FreeSlots, Wreck, encode, encode_content, flight_path, left_behind
from .health import Health, RecorderLimits
from .line import Line
from .owner import this_owner
from .queue import Appended, Calls, Entry, Job, Queue
from .write import Groups, Writer
from .written import Waits, Written

T = TypeVar("T")
_log = logging.getLogger("interlock.ledger")
_EVENT_BYTES = 1500
"""What a record is counted as where its size is not known: an append, whose content its caller holds anyway."""
_START_TRIES = 10
_LOOK_S = 0.1
_LOOKS = 300
"""How often an append that has run out of time looks whether a transaction that holds it has ended: half a minute at most."""


def _no_price(_version: str) -> Price | None:
    return None


class Recorder:
    """`core.ports.Ledger` over a store. One per process and store; `open` and `settle` may be called from any thread."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        path: Path | None = None,
        price_of_version: Callable[[str], Price | None] = _no_price,
        limits: RecorderLimits | None = None,
        seal: Callable[[Settled, bytes], bytes] | None = None,
    ) -> None:
        """`path`: the store's file, beside which the flight journal stands; without one nothing survives a kill.

        `price_of_version` gives the prices that settled calls name, so that they are kept with them. `seal` seals a call's content (JSON, as
        JSON) for the journal and the store; where it fails, the journal goes without, and the store seals.
        """
        self._store = store
        self._clock = clock
        self._path = path
        self._limits = limits or RecorderLimits()
        self._seal = seal
        self._slots = FreeSlots(self._limits.calls)
        self._flight: Flight | None = None
        self._queue = Queue(clock, hurry=min(self._limits.group, self._limits.calls) // 2)
        self._line = Line()
        self._writer = Writer(store, clock, self._queue, self._limits, price_of_version, self._landed, self._line.wake)
        self._refusing = threading.Lock()
        self._refused = 0
        self._recovered = 0
        self._adopted: dict[str, tuple[int, Settled]] = {}
        """Calls that a dead process left open and that are going to be made again under the same id, in slots of ours: by id."""
        self._waits: Waits | None = None
        """Of the loop that wrote last, which is nearly always the only one."""
        self._closed = False

    def start(self) -> int:
        """Settles what dead processes left behind, then begins to write; returns how many calls were recovered.

        Lines of a batch that is not over stay open instead: they are asked again, and settle once, with what they have used then.

        Raises:
            StoreUnavailable: the store cannot be written, or the flight journal cannot be made.
        """
        if self._path is not None:
            flight = self._flight = Flight(flight_path(self._path, this_owner()), self._limits.calls)
            try:
                self._recovered = self._recover(self._path, flight)
            except StoreUnavailable:
                flight.close(remove=not self._adopted)
                self._flight = None
                raise
        self._writer.start()
        return self._recovered

    async def ready(self, deadline: Deadline) -> None:
        if not self.has_room():
            await self._wait_for_room(min(self._limits.room_wait_s, deadline.left_s(self._clock)))

    def has_room(self) -> bool:
        return self._slots.used < self._slots.count and self._queue.bytes < self._limits.buffered_bytes

    def open(self, if_crashed: Settled) -> int:
        slot = self._slot()
        if self._flight is not None:
            try:
                self._flight.put_open(slot, if_crashed)
            except ValueError:
                self._slots.give([slot])
                raise
        if self._adopted and (before := self._adopted.pop(if_crashed.call, None)):
            self._landed([before[0]])  # it stands at its new place
        return slot

    @property
    def adopted(self) -> frozenset[tuple[str, str]]:
        """(tenant, task) of calls that a dead process left open and that wait to be made again."""
        return frozenset((each.caller.tenant, each.caller.task) for _, each in tuple(self._adopted.values()))

    def give_up(self, task: str) -> None:
        """Settles calls of a task that wait to be made again, and are not going to be, with the most that they may have used."""
        for call, (slot, crashed) in tuple(self._adopted.items()):
            if crashed.caller.task == task and self._adopted.pop(call, None):
                self.settle(slot, crashed)

    def settle(self, slot: int, settled: Settled, content: dict[str, Any] | None = None, *, fence: int = 0) -> None:
        encoded, body = encode(settled), encode_content(content)
        noted = body
        if body and self._seal is not None:
            try:
                noted = body = self._seal(settled, body)
                content = msgspec.json.decode(body)
            except StoreUnavailable:
                noted = b""
        if self._flight is not None:
            self._flight.put_settled(slot, settled, encoded, noted)
        caller, now_ns = settled.caller, self._clock.wall_ns()
        record = Record(caller.task, caller.step, caller.tenant, now_ns, settled, content, fence, encoded, body)
        self._queue.put(Entry((record,), slot, len(encoded) + len(body)))

    def note_open(self, form: Form, opened: Opened) -> int:
        """`core.short.QuickLedger`, as the two below."""
        slot = self._slot()
        if self._flight is not None:
            self._flight.note_open(slot, form, opened)
        return slot

    def note_settled(self, slot: int, form: Form, brief: Brief) -> None:
        if self._flight is not None:
            self._flight.note_settled(slot, form, brief)

    def hand_over(self, form: Form, briefs: list[Brief], slots: list[int]) -> None:
        self._queue.put(Calls(Lot(form, briefs, self._clock.wall_ns()), slots))

    async def append(self, records: Sequence[Record]) -> None:
        """Commits records, in order, after everything settled before.

        Raises:
            Fenced: another worker owns the task; none of the records was written.
            StoreUnavailable: not written within `append_wait_s`, and not going to be.
        """
        written: Written[None] = Written(self._waits_here())
        await self._urgently(Appended(tuple(records), _EVENT_BYTES * len(records), written), written)

    async def run(self, job: Callable[[Store], T]) -> T:
        """Does any other write on the writing thread, after everything queued before; `job` must be quick.

        Raises:
            StoreUnavailable: as `append`. Whatever else `job` raises.
        """
        written: Written[T] = Written(self._waits_here())
        return await self._urgently(Job(job, written), written)

    def defer(self, job: Callable[[Store], object], size: int) -> bool:
        """Queues a write that nobody waits for and that may be lost; False (and dropped) while the store is behind."""
        if self._writer.failing or self._queue.bytes + size > self._limits.buffered_bytes // 2:
            return False
        self._queue.put(Job(job, None, size))
        return True

    def health(self) -> Health:
        queued, oldest_s = self._queue.state()
        full = self._slots.used >= self._slots.count or self._queue.bytes >= self._limits.buffered_bytes
        failing = self._writer.failing
        return Health(
            state="full" if full else "behind" if failing else "ok",
            open=max(0, self._slots.used - self._queue.slots - len(self._adopted)),
            queued=queued,
            queued_bytes=self._queue.bytes,
            oldest_s=oldest_s,
            last_error=failing.error if failing else "",
            failing_since_ns=failing.since_ns if failing else 0,
            refused=self._refused,
            rejected=self._writer.rejected,
            recovered=self._recovered,
        )

    async def close(self, drain_s: float = 5.0) -> int:
        """Writes what is queued, for at most `drain_s`; returns how many records are left for the next start."""
        return await asyncio.to_thread(self.close_now, drain_s)

    def close_now(self, drain_s: float = 5.0) -> int:
        """As `close`, where no event loop runs. Calls still open stay in the journal and count as crashed."""
        self._closed = True
        self._line.wake()
        left = self._writer.stop(drain_s)
        if self._flight is not None:
            self._flight.close(remove=self._slots.used == 0)
            self._flight = None
        return left

    async def _urgently(self, entry: Appended | Job, written: Written[T]) -> T:
        if self._queue.bytes >= self._limits.buffered_bytes:
            raise self._behind()
        self._queue.put(entry, urgent=True)
        wait_s, until_s = self._limits.append_wait_s, self._clock.monotonic_s() + self._limits.busy_wait_s
        try:
            for _ in range(_LOOKS):
                await written.within(wait_s)
                while not written.done and self._writer.failing is None and self._clock.monotonic_s() < until_s:
                    await written.within(wait_s)  # others' writes are under way before it
                if written.done:
                    return written.result()
                if self._queue.withdraw(entry):
                    raise self._behind()
                # It is being written at this moment, which the store bounds; then it is done or in the queue again.
                wait_s = _LOOK_S
        except asyncio.CancelledError:
            self._queue.withdraw(entry)
            raise
        raise self._behind()

    def _waits_here(self) -> Waits:
        loop, waits = asyncio.get_running_loop(), self._waits
        if waits is None or waits.loop is not loop:
            waits = self._waits = Waits(loop)
        return waits

    def _slot(self) -> int:
        """A free one. Raises LedgerFull."""
        if self._closed:
            raise LedgerFull(
                "the ledger is closed: this process is shutting down.", hint="Send the call to another one."
            )
        slot = self._slots.take() if self._queue.bytes < self._limits.buffered_bytes else None
        if slot is None:
            with self._refusing:
                self._refused += 1
            raise self._full()
        return slot

    def _may_wait(self) -> bool:
        return self._writer.failing is None and not self._closed and len(self._line) < self._limits.calls

    async def _wait_for_room(self, wait_s: float) -> None:
        """Returns when there is room, when time is up, or when waiting is no use since the store cannot be written."""
        until_s = self._clock.monotonic_s() + wait_s
        while wait_s > 0 and self._may_wait():
            turn = self._line.join()
            try:
                if self.has_room():  # made between the look before and the place in the line
                    return
                await asyncio.wait((turn,), timeout=wait_s)
            finally:
                self._line.leave(turn)
            if self.has_room():
                return
            wait_s = until_s - self._clock.monotonic_s()

    def _landed(self, slots: list[int]) -> None:
        """These slots' calls are committed."""
        if self._flight is not None:
            for slot in slots:
                self._flight.clear(slot)
        self._slots.give(slots)
        if len(self._line):
            self._line.wake(len(slots))

    def _recover(self, path: Path, flight: Flight) -> int:
        """Settles the calls of processes that are gone, each journal in one go, and removes their journals."""
        found = 0
        for wreck in filter(None, map(Wreck.find, left_behind(path))):
            now_ns = self._clock.wall_ns()
            try:
                again, left = self._sorted(wreck)
                groups = [[Record(s.caller.task, s.caller.step, s.caller.tenant, now_ns, s, c)] for s, c in left]
                self._commit_patiently(groups)
            except StoreUnavailable:
                wreck.close(remove=False)
                raise
            for crashed in again:
                slot = self._slot()
                flight.put_open(slot, crashed)
                self._adopted[crashed.call] = (slot, crashed)
            wreck.close(remove=True)
            found += len(left)
        if found:
            _log.warning("%d calls of processes that had died were found in the flight journal and settled", found)
        return found

    def _sorted(self, wreck: Wreck) -> tuple[list[Settled], list[tuple[Settled, dict[str, Any] | None]]]:
        """(calls that are going to be made again, the others with their content)."""
        again: list[Settled] = []
        left: list[tuple[Settled, dict[str, Any] | None]] = []
        for each in wreck.calls():
            if len(self._adopted) + len(again) < self._slots.count // 2 and self._made_again(each.settled):
                again.append(each.settled)
            else:
                left.append((each.settled, each.content))
        return again, left

    def _made_again(self, settled: Settled) -> bool:
        """A line of a batch that is not over: whoever takes the batch up asks it again under the same id."""
        caller = settled.caller
        if settled.status != "crashed" or not asks_a_line(caller.task, settled.call):
            return False
        row = self._store.batches.get(caller.tenant, caller.task)
        return row is not None and row.status not in ENDED

    def _commit_patiently(self, groups: Groups) -> None:
        """Others who write all the time can keep one that starts from its turn for a while. Raises StoreUnavailable."""
        for _ in range(_START_TRIES - 1):
            try:
                self._writer.commit(groups)
            except StoreUnavailable:
                threading.Event().wait(self._limits.retry_first_s)
            else:
                return
        self._writer.commit(groups)

    def _full(self) -> LedgerFull:
        failing = self._writer.failing
        if failing is None:
            return LedgerFull(
                f"{self._slots.used} calls are open or waiting to be written, the most this ledger takes on.",
                hint="Try again when some have ended, or raise the ledger's bound.",
            )
        since_s = (self._clock.wall_ns() - failing.since_ns) / NS_PER_S
        return LedgerFull(
            f"the store has not been writable for {since_s:.0f} s and {self._slots.used} calls wait to be recorded: "
            f"no further call can be accounted for. Last error: {failing.error}",
            hint="Mend the store; what waits is written by itself then, and calls are taken on again.",
        )

    def _behind(self) -> StoreUnavailable:
        failing = self._writer.failing
        return StoreUnavailable(
            f"not written within {self._limits.append_wait_s:g} s: {failing.error if failing else 'the queue is long'}",
            hint="Nothing of it was written; try again once the store can be written.",
        )
